"""Memory modules as the real dmidecode prints an SMBIOS table that is made by the specification."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from virtboost.model.firmware import MemoryModule
from virtboost.scan import firmware
from virtboost.scan.gaps import Gaps
from virtboost.transport.source import Capture, Output

DDR4 = 0x1A
UNKNOWN = 0x02


def memory_device(
    size: int, locator: str, bank: str, *, extended_mb: int = 0, kind: int = DDR4, speed: int = 2933
) -> bytes:
    """Pack a structure of type 17 (DSP0134 3.2, table of "Memory Device")."""
    fixed = struct.pack(
        "<BBHHHHHHBBBBBHHBBBBBIHHHH",
        17, 40, 0x1100, 0x1000, 0xFFFE, 72, 64, size,  # ..., 0xFFFE: no error information
        9, 0, 1, 5 if bank else 0, kind, 0x80, speed,  # 9: DIMM; strings 1 and 5 are the locators
        2, 3, 4, 0, 2, extended_mb, speed - 267 if speed else 0, 1200, 1200, 1200,
    )  # fmt: skip
    strings = (locator, "Maker", "SERIAL7", "ASSET7", bank)
    return fixed + b"".join(s.encode() + b"\0" for s in strings if s) + b"\0"


def dump(*structures: bytes) -> bytes:
    """Put structures behind an SMBIOS 3 entry point, as ``dmidecode --from-dump`` wants them."""
    table = b"".join(structures) + bytes((127, 4, 0xFE, 0xFE, 0, 0))
    entry = struct.pack("<5sBBBBBBBIQ", b"_SM3_", 0, 24, 3, 2, 0, 1, 0, len(table), 32)
    checksum = -sum(entry) % 256
    return (entry[:5] + bytes((checksum,)) + entry[6:]).ljust(32, b"\0") + table


def test_what_dmidecode_prints_of_a_table(tmp_path: Path) -> None:
    dmidecode = shutil.which("dmidecode", path=f"{os.environ['PATH']}:/usr/sbin")
    if dmidecode is None:
        pytest.skip("dmidecode is not installed")
    table = tmp_path / "smbios"
    table.write_bytes(
        dump(
            memory_device(16384, "DIMM000 J11", "SOCKET 0 CHANNEL 0 DIMM 0"),
            memory_device(32767, "DIMM010", "", extended_mb=65536),
            memory_device(0x8000 | 512, "DIMM020", ""),
            memory_device(0, "DIMM030", "", kind=UNKNOWN, speed=0),
            memory_device(0xFFFF, "DIMM040", ""),
        )
    )
    done = subprocess.run(
        [dmidecode, "--from-dump", str(table), "-t", "17"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert _modules(done.stdout) == (
        _module("DIMM000 J11, SOCKET 0 CHANNEL 0 DIMM 0", 16 << 30),
        _module("DIMM010", 64 << 30),
        _module("DIMM020", 512 << 10),
        MemoryModule(slot="DIMM030", size_bytes=0),
    )


def _module(slot: str, size_bytes: int) -> MemoryModule:
    return MemoryModule(
        slot=slot,
        size_bytes=size_bytes,
        type="DDR4",
        speed_mtps=2933,
        configured_speed_mtps=2666,
    )


def _modules(stdout: str) -> tuple[MemoryModule, ...]:
    capture = Capture({}, {firmware.MEMORY_MODULES: (Output(0, stdout),)}, ())
    return firmware.parse(capture, Gaps()).memory_modules


def test_what_smbios_does_not_tell_is_a_gap() -> None:
    gaps = Gaps()
    firmware.parse(Capture({}, {}, ()), gaps)
    assert [gap.what for gap in gaps.all()] == ["server model", "memory modules"]


def test_nothing_that_names_one_machine_is_read() -> None:
    assert not [n for n in firmware.DMI.names if "serial" in n or "uuid" in n or "asset" in n]
