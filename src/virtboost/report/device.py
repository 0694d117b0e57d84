"""Network interfaces, disks and other devices, at their NUMA nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from virtboost.model.block import BlockDevice
from virtboost.model.host import Host
from virtboost.model.net import NetInterface
from virtboost.model.pci import PciDevice
from virtboost.model.wording import listed, size
from virtboost.report.irq import by_node
from virtboost.report.workload import Workload

_CLASSES = {
    "01": "storage",
    "02": "network",
    "0302": "GPU",
    "0b40": "co-processor",
    "10": "encryption",
    "12": "accelerator",
}
"""PCI classes that an engineer asks for, by the beginning of the class code (pci.ids)."""


class Device(Struct, frozen=True, kw_only=True):
    """A device as the picture shows it."""

    kind: str
    """``network``, ``disk``, ``storage``, ``GPU``, ..."""
    name: str
    """``eth0``; the PCI address where it has no other name."""
    details: tuple[str, ...]
    """Speed, driver, queues, VFs."""
    node_id: int | None
    interrupts: tuple[str, ...]
    """Where its interrupts go, ``12 on node 0``; empty where it has none or it is not told."""
    misplaced: bool
    """Whether interrupts of a network interface go to another node than its own; those of a disk
    are the kernel's to spread over all CPUs."""
    objects: tuple[str, ...]
    """What findings call it: ``interface eth0``, ``device 0000:7d:00.0``."""
    tags: tuple[Workload, ...]
    """Guests that have the device or one of its VFs."""


def devices(host: Host, found: Sequence[Workload]) -> tuple[Device, ...]:
    """Return the devices that an engineer asks for: interfaces, disks, accelerators."""
    interfaces = [nic for nic in host.net if nic.kind == "physical" and nic.role != "vf"]
    named = {nic.pci_address for nic in interfaces} | {disk.pci_address for disk in host.block}
    others = [pci for pci in host.pci if _kind(pci) and pci.physical_function is None]
    return (
        *(_interface(host, nic, found) for nic in interfaces),
        *_disks(host, found),
        *(_other(host, pci, found) for pci in others if pci.address not in named),
    )


def _kind(pci: PciDevice) -> str | None:
    matches = (kind for code, kind in _CLASSES.items() if pci.class_code.startswith(code))
    return next(matches, None)


def _interface(host: Host, nic: NetInterface, found: Sequence[Workload]) -> Device:
    pci = host.pci_device(nic.pci_address)
    places = by_node((irq for irq in host.irq if irq.interface == nic.name), host.topology)
    speed = None if nic.speed_bps is None else f"{nic.speed_bps / 1e9:g} Gb/s"
    state = "no carrier" if nic.up is False else speed
    queues = f"{nic.rx_queue_count} queues" if (nic.rx_queue_count or 0) > 1 else None
    details = (state, "representor" if nic.role == "representor" else None, nic.driver, queues)
    return Device(
        kind="network",
        name=nic.name,
        details=(*(text for text in details if text), *_pci_details(pci)),
        node_id=nic.node_id,
        interrupts=_listed_places(places),
        misplaced=nic.node_id is not None and any(n not in (None, nic.node_id) for n in places),
        objects=(f"interface {nic.name}", f"device {nic.pci_address}"),
        tags=_tags(host, pci, found),
    )


def _listed_places(places: Mapping[int | None, int]) -> tuple[str, ...]:
    told = sorted(node for node in places if node is not None)
    texts = [f"{places[node]} on node {node}" for node in told]
    return (*texts, f"{places[None]} on several") if None in places else tuple(texts)


def _interrupts(host: Host, address: str | None) -> tuple[str, ...]:
    irqs = (irq for irq in host.irq if address is not None and irq.pci_address == address)
    return _listed_places(by_node(irqs, host.topology))


def _pci_details(pci: PciDevice | None) -> Iterator[str]:
    if pci is None:
        return
    if pci.sriov_total_vfs:
        yield f"{pci.sriov_num_vfs or 0} of {pci.sriov_total_vfs} VFs"
    now, able = pci.link_width, pci.max_link_width
    if now and able and now < able:
        yield f"PCIe x{now} of x{able}"


def _tags(host: Host, pci: PciDevice | None, found: Sequence[Workload]) -> tuple[Workload, ...]:
    addresses = set() if pci is None else {pci.address, *pci.virtual_functions}
    owners = {g.name for g in host.running_guests if addresses & set(g.pci_addresses)}
    return tuple(w for w in found if w.kind == "guest" and w.name in owners)


def _disks(host: Host, found: Sequence[Workload]) -> Iterator[Device]:
    """Yield the disks, those of one controller together."""
    by_controller: dict[str, list[BlockDevice]] = {}
    for disk in host.block:
        by_controller.setdefault(disk.pci_address or disk.name, []).append(disk)
    for disks in by_controller.values():
        yield _controller(host, disks, found)


def _controller(host: Host, disks: Sequence[BlockDevice], found: Sequence[Workload]) -> Device:
    pci = host.pci_device(disks[0].pci_address)
    sizes = [disk.size_bytes for disk in disks if disk.size_bytes is not None]
    count = f"{len(disks)} disks" if len(disks) > 1 else None
    details = (count, size(sum(sizes)) if sizes else None, pci.driver if pci else None)
    return Device(
        kind="disk",
        name=listed([disk.name for disk in disks]),
        details=(*(text for text in details if text), *_pci_details(pci)),
        node_id=disks[0].node_id,
        interrupts=_interrupts(host, disks[0].pci_address),
        misplaced=False,
        objects=(*(f"disk {disk.name}" for disk in disks), f"device {disks[0].pci_address}"),
        tags=_tags(host, pci, found),
    )


def _other(host: Host, pci: PciDevice, found: Sequence[Workload]) -> Device:
    return Device(
        kind=_kind(pci) or "device",
        name=pci.address,
        details=(pci.driver or "no driver", *_pci_details(pci)),
        node_id=pci.node_id,
        interrupts=_interrupts(host, pci.address),
        misplaced=False,
        objects=(f"device {pci.address}",),
        tags=_tags(host, pci, found),
    )
