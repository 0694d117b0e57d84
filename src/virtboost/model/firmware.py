"""Server, BIOS and its settings."""

from __future__ import annotations

from msgspec import Struct


class MemoryModule(Struct, frozen=True, kw_only=True):
    """One slot of memory (SMBIOS type 17)."""

    slot: str
    """Locator and bank in the words of the board's maker: ``DIMM_A1, NODE 0 CHANNEL 0``."""
    size_bytes: int
    """0 for an empty slot."""
    type: str | None = None
    """``DDR4``; None for an empty slot."""
    speed_mtps: int | None = None
    """What the module can do, in megatransfers per second."""
    configured_speed_mtps: int | None = None
    """What it is set to."""


class Firmware(Struct, frozen=True, kw_only=True):
    """DMI, and BIOS settings where a BMC told them."""

    vendor: str | None = None
    """Maker of the server."""
    product: str | None = None
    """Model of the server."""
    board: str | None = None
    bios_vendor: str | None = None
    bios_version: str | None = None
    bios_date: str | None = None
    memory_modules: tuple[MemoryModule, ...] = ()
    """Empty where it is not readable (it needs root and dmidecode)."""
    bios_settings: dict[str, str | int | bool | None] | None = None
    """BIOS attributes by their Redfish names; None where no BMC was asked."""
