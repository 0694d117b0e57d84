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
from collections.abc import Mapping, Sequence

from msgspec import Struct

from virtboost.model.block import BlockDevice
from virtboost.model.pci import PciDevice
from virtboost.scan.gaps import Gaps
from virtboost.scan.pci import address_in
from virtboost.scan.texts import chosen, natural, times
from virtboost.transport.source import Capture, Files, Links

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
    attachments = _attachments(capture, places, told, {d.address: d.node_id for d in devices})
    return tuple(
        _disk(name, told.get(name, {}), attachments[name])
        for name, place in places.items()
        if not place.startswith(_MADE_BY_SOFTWARE)
        and not _NO_DISK.fullmatch(name)
        and not _PATH.fullmatch(name)
    )


class _Attachment(Struct, frozen=True, kw_only=True):
    """How a disk hangs on its controller."""

    pci_address: str | None
    node_id: int | None
    scheduler: str | None
    queue_count: int | None


_NOT_TOLD = _Attachment(pci_address=None, node_id=None, scheduler=None, queue_count=None)


def _attachments(
    capture: Capture,
    places: Mapping[str, str],
    told: Mapping[str, Mapping[str, str]],
    nodes: Mapping[str, int | None],
) -> dict[str, _Attachment]:
    """Return how each disk is attached; one with several paths as all of them are, else unknown."""
    queues = Counter(name for (name, _), _ in capture.matches(HARDWARE_QUEUES))
    attachments: dict[str, _Attachment] = {}
    paths: dict[str, set[_Attachment]] = {}
    for name, place in places.items():
        address = address_in(place)
        attachments[name] = _Attachment(
            pci_address=address if address in nodes else None,
            node_id=nodes.get(address or ""),
            scheduler=told.get(name, {}).get("scheduler"),
            queue_count=queues.get(name),
        )
        if path := _PATH.fullmatch(name):
            paths.setdefault(path[1] + path[2], set()).add(attachments[name])
    for name, ways in paths.items():
        attachments[name] = ways.pop() if len(ways) == 1 else _NOT_TOLD
    return attachments


def _disk(name: str, told: Mapping[str, str], attachment: _Attachment) -> BlockDevice:
    scheduler = attachment.scheduler or ""
    return BlockDevice(
        name=name,
        size_bytes=times(natural(told.get("size")), _SECTOR_BYTES),
        rotational={"0": False, "1": True}.get(told.get("rotational", "")),
        scheduler=chosen(scheduler),
        schedulers=tuple(word.strip("[]") for word in scheduler.split()),
        hardware_queue_count=attachment.queue_count,
        pci_address=attachment.pci_address,
        node_id=attachment.node_id,
    )
