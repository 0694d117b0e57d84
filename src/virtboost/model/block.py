"""Block devices."""

from __future__ import annotations

from msgspec import Struct


class BlockDevice(Struct, frozen=True, kw_only=True):
    """A disk; None is what the kernel does not tell."""

    name: str
    size_bytes: int | None
    """What it holds."""
    rotational: bool | None
    """Whether it turns; an SSD does not."""
    scheduler: str | None
    """The I/O scheduler in force; ``none`` is one."""
    schedulers: tuple[str, ...]
    """The I/O schedulers to choose from."""
    hardware_queue_count: int | None
    """Queues of the device (blk-mq); None where the kernel drives it without."""
    pci_address: str | None
    """The controller's PCI function; None for others, and for an NVMe disk behind several."""
    node_id: int | None
    """NUMA node of its controller; None: not told, or not the same for all its paths."""
    paths: tuple[str, ...] = ()
    """Hidden devices of an NVMe disk with native multipath: theirs are scheduler and queues."""
