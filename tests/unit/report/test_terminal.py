"""What a person sees first of a host."""

from collections.abc import Callable

import msgspec
import pytest
from rich.cells import cell_len

from support.captures import HOSTS
from virtboost.model.host import Host
from virtboost.report.terminal import host_lines
from virtboost.scan.host import scan
from virtboost.transport.recorded import RecordedReader


def recorded(name: str) -> Host:
    return scan(RecordedReader(HOSTS / name / "host.tar.zst"))


@pytest.mark.parametrize("name", ["8x86-2s2n-devices", "96arm-2s4n24cl4c"])
def test_recorded_host(name: str, golden: Callable[[str, str], None]) -> None:
    golden(
        f"report/host-{name}.txt", "".join(f"{line}\n" for line in host_lines(name, recorded(name)))
    )


def test_many_disks_fit_a_terminal() -> None:
    host = recorded("8x86-2s2n-devices")
    disk = host.block[0]
    names = [f"sd{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    disks = tuple(
        msgspec.structs.replace(disk, name=name, size_bytes=2 << 40, node_id=index // 13)
        for index, name in enumerate(names)
    )
    lines = list(host_lines("many", msgspec.structs.replace(host, block=disks)))
    start = next(index for index, line in enumerate(lines) if "disks" in line)
    told = " ".join(line.strip() for line in lines[start : start + 2])
    assert told == (
        "disks: sda, sdb, sdc, sdd and 9 more (2 TiB, node 0); "
        "sdn, sdo, sdp, sdq and 9 more (2 TiB, node 1)"
    )
    assert all(cell_len(line) <= 80 for line in lines[start : start + 2])


def test_hostile_name_does_not_steer_the_terminal() -> None:
    host = recorded("8x86-2s2n-devices")
    card = msgspec.structs.replace(host.net[0], name="\x1b[2Jx")
    lines = list(host_lines("h", msgspec.structs.replace(host, net=(card,))))
    assert r"  network cards: \x1b[2Jx (node 1)" in lines
