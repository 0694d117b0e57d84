"""BIOS settings by our names."""

import pytest

from virtboost.model.firmware import BIOS_ATTRIBUTES, Firmware


def test_a_setting_has_its_makers_name() -> None:
    kunpeng = Firmware(bios_settings={"DdrRefreshRate": "32ms", "OneNumaEnable": "Disabled"})
    dell = Firmware(bios_settings={"MemRefreshRate": "1x", "SriovGlobalEnable": "Enabled"})
    assert kunpeng.setting("memory_refresh_rate") == "32ms"
    assert dell.setting("memory_refresh_rate") == "1x"
    assert dell.setting("one_numa_per_socket") is None


@pytest.mark.parametrize("name", BIOS_ATTRIBUTES)
def test_without_a_bmc_no_setting_is_known(name: str) -> None:
    assert Firmware().setting(name) is None


def test_an_unknown_name_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Firmware(bios_settings={}).setting("refresh")
