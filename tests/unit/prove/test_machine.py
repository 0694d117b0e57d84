"""The state of a machine, from files as the kernel's documentation shows them."""

from __future__ import annotations

import time

import pytest

from support.cases import capture_of
from virtboost.model.machine import MachineState
from virtboost.prove.machine import SOURCES, parse
from virtboost.transport.local import LocalReader

HWMON = "/sys/class/hwmon/hwmon"

RAPL = "/sys/class/powercap/intel-rapl"

FILES = {
    "/proc/loadavg": "0.20 0.18 0.12 1/80 11206",
    "/proc/stat": "cpu  100 20 300 9000 50 6 7 8 90 0\ncpu0 1 1 1 1 1 1 1 1 1 0",
    "/proc/pressure/cpu": "some avg10=1.53 avg60=1.20 avg300=1.00 total=157622151",
    "/proc/pressure/io": "some avg10=broken avg60=1.20 avg300=1.00 total=157622151",
    "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "2600000",
    "/sys/devices/system/cpu/cpufreq/policy1/scaling_cur_freq": "1200000",
    "/sys/class/thermal/thermal_zone0/temp": "41500",
    f"{HWMON}0/temp1_input": "63250",
    f"{HWMON}0/temp2_input": "-273000000000000000000",
    f"{HWMON}1/power1_average": "90000000",
    f"{HWMON}2/power1_average": "1000000",
    f"{HWMON}2/power1_input": "30000000",
    f"{RAPL}:0/name": "package-0",
    f"{RAPL}:0/energy_uj": "1500000",
    f"{RAPL}:0/max_energy_range_uj": "262143328850",
    f"{RAPL}:0:0/name": "core",
    f"{RAPL}:0:0/energy_uj": "900000",
    f"{RAPL}:1/name": "package-1",
    f"{RAPL}:1/energy_uj": "2500000",
}


def test_every_figure() -> None:
    """Ticks are hundredths of a second: 100 + 20 + 300 + 6 + 7 + 8, of which 8 stolen."""
    assert parse(capture_of({"files": FILES}, SOURCES)) == MachineState(
        load=0.2,
        busy_s=4.41,
        steal_s=0.08,
        frequency_hz=1_900_000_000,
        lowest_frequency_hz=1_200_000_000,
        temperature_c=63.25,
        pressure_percent={"cpu": 1.53},
        energy_j=4.0,
        energy_range_j=262143.32885,
        power_w=120.0,
    )


@pytest.mark.parametrize("stat", ["", "cpu  1 2 3", "cpu  a b c d e f g h", "cpu0 1 1 1 1 1 1 1 1"])
def test_what_is_not_told_is_none(stat: str) -> None:
    assert parse(capture_of({"files": {"/proc/stat": stat}}, SOURCES)) == MachineState()


def test_this_machine() -> None:
    """A program that burns half a second of CPU shows in what is busy."""
    before = parse(LocalReader().read(SOURCES))
    begun = time.process_time()
    while time.process_time() - begun < 0.5:
        pass
    after = parse(LocalReader().read(SOURCES))
    assert before.busy_s is not None
    assert after.busy_s is not None
    assert after.busy_s - before.busy_s >= 0.45
