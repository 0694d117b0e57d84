"""Disks from ``/sys/block``.

Real disks only: not what software makes (``loop``, ``ram``, ``zram``, ``dm``, ``md``, ``nbd``), all
of it below ``/sys/devices/virtual/block``, nor optical drives and floppies.  An NVMe namespace with
several paths is one disk: the paths themselves are hidden.

Source: Documentation/ABI/stable/sysfs-block, Documentation/block/queue-sysfs.rst,
Documentation/admin-guide/nvme-multipath.rst of Linux.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import structs

from virtboost.model.block import BlockDevice
from virtboost.model.pci import PciDevice
from virtboost.scan.gaps import Gaps
from virtboost.scan.pci import address_in
from virtboost.scan.texts import chosen, natural, times
from virtboost.transport.source import Capture, Files, Links

T = TypeVar("T")

DISKS = "/sys/block"

PLACES = Links(DISKS, ("*",))
"""Where each disk is in the tree of devices: below its controller."""

ATTRIBUTES = Files(f"{DISKS}/*", ("size",))

QUEUE = Files(f"{DISKS}/*/queue", ("rotational", "scheduler"))

HARDWARE_QUEUES = Files(f"{DISKS}/*/mq/*", ("nr_tags",))

SOURCES = (PLACES, ATTRIBUTES, QUEUE, HARDWARE_QUEUES)

_MADE_BY_SOFTWARE = "/sys/devices/virtual/block/"

_NO_DISK = re.compile(r"(?:sr|fd)\d+")
"""SCSI CD-ROM and floppy (Documentation/admin-guide/devices.txt)."""

_PATH = re.compile(r"(nvme\d+)c\d+(n\d+)")
"""One path of a namespace: ``nvme0c1n1`` leads to ``nvme0n1`` through controller 1."""

_SECTOR_BYTES = 512
"""The unit of ``size``, whatever the sector of the disk is."""


def parse(capture: Capture, gaps: Gaps, devices: Sequence[PciDevice]) -> tuple[BlockDevice, ...]:
    """Return the disks, as the kernel names them.

    Args:
        capture: What was read.
        gaps: What is not told goes here.
        devices: The PCI functions of the host.
    """
    places = capture.entries(PLACES).get(DISKS, {})
    if not places:
        gaps.add("disks", DISKS, "the kernel does not tell block devices")
    told: dict[str, dict[str, str]] = {}
    for source in (ATTRIBUTES, QUEUE):
        for (name,), texts in capture.matches(source):
            told.setdefault(name, {}).update(texts)
    queues = Counter(name for (name, _), _ in capture.matches(HARDWARE_QUEUES))
    functions = {device.address: device for device in devices}
    disks = {
        name: _disk(
            name, told.get(name, {}), queues.get(name), functions.get(address_in(place) or "")
        )
        for name, place in places.items()
        if not place.startswith(_MADE_BY_SOFTWARE) and not _NO_DISK.fullmatch(name)
    }
    paths: dict[str, list[BlockDevice]] = {}
    for match in filter(None, map(_PATH.fullmatch, disks)):
        paths.setdefault(match[1] + match[2], []).append(disks[match[0]])
    return tuple(
        _with_paths(disk, paths[name]) if name in paths else disk
        for name, disk in disks.items()
        if not _PATH.fullmatch(name)
    )


def _disk(
    name: str, told: Mapping[str, str], queue_count: int | None, function: PciDevice | None
) -> BlockDevice:
    scheduler = told.get("scheduler", "")
    return BlockDevice(
        name=name,
        size_bytes=times(natural(told.get("size")), _SECTOR_BYTES),
        rotational={"0": False, "1": True}.get(told.get("rotational", "")),
        scheduler=chosen(scheduler),
        schedulers=tuple(word.strip("[]") for word in scheduler.split()),
        hardware_queue_count=queue_count,
        pci_address=function.address if function else None,
        node_id=function.node_id if function else None,
    )


def _with_paths(disk: BlockDevice, paths: Sequence[BlockDevice]) -> BlockDevice:
    """Return a disk with what its paths have in common: it has no queues of its own."""
    return structs.replace(
        disk,
        scheduler=_common(path.scheduler for path in paths),
        schedulers=_common(path.schedulers for path in paths) or (),
        hardware_queue_count=_common(path.hardware_queue_count for path in paths),
        pci_address=_common(path.pci_address for path in paths),
        node_id=_common(path.node_id for path in paths),
        paths=tuple(path.name for path in paths),
    )


def _common(values: Iterable[T]) -> T | None:
    different = set(values)
    return different.pop() if len(different) == 1 else None
