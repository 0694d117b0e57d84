"""The server's model, its BIOS and its memory modules by SMBIOS, BIOS settings by the BMC.

Source: SMBIOS Reference Specification (DMTF DSP0134); drivers/firmware/dmi-id.c of Linux;
dmidecode(8).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from virtboost.model.firmware import Firmware, MemoryModule, Setting
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import integer, pairs
from virtboost.transport.redfish import BIOS_SETTINGS
from virtboost.transport.source import Capture, Command, Files, Source

DMI = Files(
    "/sys/class/dmi/id",
    ("sys_vendor", "product_name", "board_name", "bios_vendor", "bios_version", "bios_date"),
)
"""What names a kind of machine; serial numbers, UUIDs and asset tags are beside and never read."""

MEMORY_MODULES = Command("memory-modules", ("dmidecode", "-t", "17"))
"""Type 17 of SMBIOS is in no file that an ordinary user can read."""

SOURCES: tuple[Source, ...] = (DMI, MEMORY_MODULES, BIOS_SETTINGS)

_NOT_FILLED = {"", "to be filled by o.e.m.", "not specified", "default string", "none", "unknown"}
"""What makers of boards leave in fields that they do not fill, and dmidecode's word for empty."""

_SIZE = re.compile(r"(\d{1,12}) (bytes|kB|MB|GB|TB)")
_UNITS = {"bytes": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_SPEED = re.compile(r"(\d+) (?:MT/s|MHz)")
"""Older versions of dmidecode write MHz where the specification means megatransfers per second."""


def parse(capture: Capture, gaps: Gaps) -> Firmware:
    """Return what SMBIOS and, where it was asked, the BMC tell of the server."""
    told = capture.entries(DMI).get(DMI.directory, {})
    fields = {name: _filled(text) for name, text in told.items()}
    if not fields:
        gaps.add("server model", DMI.directory, "the firmware tells no DMI")
    return Firmware(
        vendor=fields.get("sys_vendor"),
        product=fields.get("product_name"),
        board=fields.get("board_name"),
        bios_vendor=fields.get("bios_vendor"),
        bios_version=fields.get("bios_version"),
        bios_date=fields.get("bios_date"),
        memory_modules=_memory_modules(capture, gaps),
        bios_settings=dict(_bios_settings(capture)) or None,
    )


def _bios_settings(capture: Capture) -> Iterator[tuple[str, Setting]]:
    """Yield name and value of each attribute; a recording may hold what is none."""
    for name, text in capture.entries(BIOS_SETTINGS).get(BIOS_SETTINGS.directory, {}).items():
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if value is None or isinstance(value, str | int | float):
            yield name, value


def _filled(text: str | None) -> str | None:
    return None if text is None or text.lower() in _NOT_FILLED else text


def _memory_modules(capture: Capture, gaps: Gaps) -> tuple[MemoryModule, ...]:
    blocks = (capture.stdout(MEMORY_MODULES) or "").split("\n\n")
    devices = (dict(pairs(block)) for block in blocks if "\nMemory Device\n" in block)
    modules = tuple(_modules(devices))
    if not modules:
        gaps.add("memory modules", "dmidecode", "tells none; it needs root and SMBIOS")
    return modules


def _modules(devices: Iterator[Mapping[str, str]]) -> Iterator[MemoryModule]:
    for device in devices:
        size_bytes = _size_bytes(device.get("Size", ""))
        if size_bytes is not None:
            yield MemoryModule(
                slot=_slot(device),
                size_bytes=size_bytes,
                type=_filled(device.get("Type")),
                speed_mtps=_speed_mtps(device.get("Speed")),
                configured_speed_mtps=_speed_mtps(
                    device.get("Configured Memory Speed", device.get("Configured Clock Speed"))
                ),
            )


def _slot(device: Mapping[str, str]) -> str:
    """Return locator and bank: boards that call a slot of each channel ``DIMM 1`` need both."""
    told = (_filled(device.get(name)) for name in ("Locator", "Bank Locator"))
    return ", ".join(filter(None, told))


def _size_bytes(text: str) -> int | None:
    """Read ``32 GB``, ``32767 MB`` or ``No Module Installed``; ``Unknown`` is None."""
    if text == "No Module Installed":
        return 0
    match = _SIZE.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def _speed_mtps(text: str | None) -> int | None:
    match = _SPEED.fullmatch(text or "")
    return integer(match[1]) if match else None
