"""libvirt itself."""

from __future__ import annotations

from msgspec import Struct


class Libvirt(Struct, frozen=True, kw_only=True):
    """The libvirt daemon of the host; None is what it does not tell."""

    version: str | None = None
    """Of the daemon: ``9.0.0``."""
    hypervisor: str | None = None
    """``QEMU 7.2.22``."""
    machines: tuple[str, ...] = ()
    """Machine types and their aliases for guests of the host's own architecture."""
    accelerated: bool | None = None
    """Whether KVM guests of the host's architecture can run; None: not told."""
