"""Items on the devices of guests: passed through, disks, network."""

from __future__ import annotations

from virtboost.catalogue.conditions import NUMA
from virtboost.catalogue.guest import GUESTS, PLATFORMS, confined, ids, node_ids, reach, tuned
from virtboost.catalogue.item import (
    NO_FIGURE,
    Effect,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import (
    LIBVIRT_DOMAIN,
    LOSS_OPTIMIZATION,
    MULTIQUEUE,
    QEMU_CACHE,
    SLOW_FIO,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.guest import Guest, GuestDisk
from virtboost.model.host import Host
from virtboost.model.wording import listed

PARAVIRTUAL_BUSES = ("virtio", "scsi")

EMULATED_NICS = ("e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", "i82551", "i82557b", "vmxnet3")

DIRECT = ("none", "directsync")
"""Cache modes that open the disk with O_DIRECT, which native AIO needs."""

QUEUES_FROM_VCPUS = 4
"""Guests with fewer vCPUs are left with one queue: it is rarely what they wait for."""

NOT_TUNED = "nobody set it up for speed: it has neither pins nor huge pages"


def _passthrough_node(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not guest.pci_addresses:
        return NotApplicable("no device is passed through to it")
    if not confined(host, guest):
        return NotApplicable("it floats: no node is its own")
    nodes = node_ids(host, reach(host, guest))
    places = {address: _node_of(host, address) for address in guest.pci_addresses}
    far = {a: node for a, node in places.items() if node is not None and node not in nodes}
    if far:
        told = listed(f"{address} is on node {node}" for address, node in far.items())
        return Wrong(
            found=f"{told}, the guest on {ids(nodes)}",
            wanted="device and guest on one node",
            reason="each packet and each interrupt crosses between nodes",
        )
    unknown = [address for address, node in places.items() if node is None]
    if unknown:
        return Unknown(f"the NUMA node of {listed(unknown)}")
    return Ok(f"{listed(places)} on node {ids(nodes)}, as the guest")


def _node_of(host: Host, address: str) -> int | None:
    device = host.pci_device(address)
    return None if device is None else device.node_id


# Disks.


def _disks(guest: Guest) -> list[GuestDisk]:
    return [disk for disk in guest.disks if disk.device == "disk"]


def _disk_bus(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    disks = _disks(guest)
    if not disks:
        return NotApplicable("it has no disk")
    emulated = [disk for disk in disks if disk.bus not in PARAVIRTUAL_BUSES]
    emulated += [d for d in disks if d.bus == "scsi" and _emulated_scsi(guest)]
    if not emulated:
        return Ok(listed(f"{disk.target} on {disk.bus}" for disk in disks))
    return Wrong(
        found=listed(f"{disk.target} on {disk.bus}" for disk in emulated),
        wanted="virtio",
        reason="each access to the emulated controller's registers leaves the guest",
    )


def _emulated_scsi(guest: Guest) -> bool:
    return bool(guest.scsi_controllers) and not any(
        model.startswith("virtio") for model in guest.scsi_controllers
    )


def _disk_scsi(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not tuned(guest):
        return NotApplicable(NOT_TUNED)
    disks = _disks(guest)
    if not disks or _emulated_scsi(guest):
        return NotApplicable("it has no disk on virtio-scsi or virtio-blk")
    scsi = [disk.target for disk in disks if disk.bus == "scsi"]
    if not scsi:
        return Ok(listed(f"{disk.target} on {disk.bus}" for disk in disks))
    return Wrong(
        found=f"{listed(scsi)} on virtio-scsi",
        wanted="virtio-blk",
        reason="each request passes QEMU's SCSI layer and the guest's, which do nothing for a disk",
    )


def _disk_cache(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    disks = _disks(guest)
    if not disks:
        return NotApplicable("it has no disk")
    modes = {disk.target: disk.cache or "default" for disk in disks}
    wrong = {target: mode for target, mode in modes.items() if not wanted.accepts(mode)}
    found = listed(f"{target}: {mode}" for target, mode in (wrong or modes).items())
    if not wrong:
        return Ok(found)
    unsafe = "unsafe" in wrong.values()
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="flushes of the guest are thrown away: a crash of the host loses what it wrote"
        if unsafe
        else "the host's page cache comes between guest and disk in a way that only costs",
    )


def _disk_io(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not tuned(guest):
        return NotApplicable(NOT_TUNED)
    direct = [disk for disk in _disks(guest) if disk.cache in DIRECT]
    if not direct:
        return NotApplicable("no disk of it bypasses the host's page cache")
    wrong = [disk for disk in direct if not wanted.accepts(disk.io or "threads")]
    found = listed(f"{disk.target}: {disk.io or 'threads, by default'}" for disk in wrong or direct)
    if not wrong:
        return Ok(found)
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="a pool of threads does what the kernel can do asynchronously, and takes pCPUs",
    )


# Network.


def _nic_model(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    nics = [nic for nic in guest.nics if nic.model is not None]
    if not nics:
        return NotApplicable("it has no virtual interface")
    wrong = [nic for nic in nics if nic.model in EMULATED_NICS]
    found = listed(f"{nic.target or nic.kind}: {nic.model}" for nic in wrong or nics)
    if not wrong:
        return Ok(found)
    return Wrong(
        found=found,
        wanted="virtio",
        reason="QEMU plays the registers of a real card; each packet leaves the guest several "
        "times and vhost cannot help",
    )


def _nic_queues(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    nics = [nic for nic in guest.nics if (nic.model or "").startswith("virtio")]
    if not nics:
        return NotApplicable("it has no virtio interface")
    if not tuned(guest):
        return NotApplicable(NOT_TUNED)
    if guest.vcpu_count < QUEUES_FROM_VCPUS:
        return NotApplicable(f"{guest.vcpu_count} vCPUs are served by one queue")
    single = [nic for nic in nics if (nic.queues or 1) == 1]
    found = listed(f"{nic.target or nic.kind}: {nic.queues or 1}" for nic in single or nics)
    if not single:
        return Ok(f"queues of {found}")
    return Wrong(
        found=f"queues of {found}",
        wanted=f"{guest.vcpu_count}, one for each vCPU",
        reason=f"one vCPU takes all packets for {guest.vcpu_count}",
    )


ITEMS = (
    Item(
        id="guest.passthrough_node",
        title="Devices passed through are on the guest's NUMA node",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="the other node may have no free virtual function",
        effect=NO_FIGURE,
        why=(
            "The device writes into the guest's memory: on another node, each packet crosses the "
            "link between sockets, and so does its interrupt. Move the guest or take a virtual "
            "function of a card on its node. A guest on several nodes needs the device on one of "
            "them. With Nova, hw:pci_numa_affinity_policy=required asks for it."
        ),
        sources=(LOSS_OPTIMIZATION, LIBVIRT_DOMAIN),
        by_hand=(
            "cat /sys/bus/pci/devices/ADDRESS/numa_node; virsh edit GUEST  # a <hostdev> of the "
            "guest's node"
        ),
        undo_by_hand="virsh edit GUEST  # the <hostdev> that was there before",
        applies=(NUMA,),
        subjects=GUESTS,
        judge=_passthrough_node,
    ),
    Item(
        id="guest.disk_bus",
        title="Disks are paravirtual",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="a guest without virtio drivers in its initial ramdisk does not boot",
        effect=NO_FIGURE,
        why=(
            "SATA, IDE and USB controllers are emulated register by register. They are there to "
            "install systems without virtio drivers; CD-ROMs stay where they are and are not "
            "looked at."
        ),
        sources=(LIBVIRT_DOMAIN,),
        by_hand="virsh edit GUEST  # <target dev='vda' bus='virtio'/>, without the <address>",
        undo_by_hand="virsh edit GUEST  # the <target> that was there before",
        subjects=GUESTS,
        judge=_disk_bus,
    ),
    Item(
        id="guest.disk_scsi",
        title="virtio-blk instead of virtio-scsi for disks of a tuned guest",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="guest restart",
        risk="device names change in the guest (sda to vda)",
        effect=Effect(
            figure="KVM threads on the host from over 200 to under 80",
            conditions="fio with 4 KiB blocks in one guest on a Kunpeng server",
            source=SLOW_FIO,
        ),
        why=(
            "Where a slow fio in a guest was looked into, pinning, irqbalance and huge pages "
            "changed almost nothing and virtio-blk did. virtio-scsi is right for many disks, for "
            "LUNs that are passed through and for SCSI reservations; it stays there. With Nova, "
            "the image says hw_disk_bus=virtio."
        ),
        sources=(SLOW_FIO,),
        by_hand="virsh edit GUEST  # <target dev='vda' bus='virtio'/>, without the <address>",
        undo_by_hand="virsh edit GUEST  # <target dev='sda' bus='scsi'/>",
        subjects=GUESTS,
        judge=_disk_scsi,
    ),
    Item(
        id="guest.disk_cache",
        title="No cache mode that loses data or waits for nothing",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="none for data; a guest that trusted unsafe becomes slower",
        effect=NO_FIGURE,
        why=(
            "unsafe ignores flushes: fine for an installation that can be repeated, not for a "
            "guest that is kept. writethrough flushes after each write although every current "
            "guest flushes by itself. Between none and writeback (QEMU's default) there is no "
            "rule: none for block devices and live migration, writeback for image files that the "
            "host's memory can cache. Huawei publishes no advice on it."
        ),
        sources=(QEMU_CACHE,),
        by_hand="virsh edit GUEST  # <driver name='qemu' type='...' cache='none'/>",
        undo_by_hand="virsh edit GUEST  # the cache= that was there before",
        subjects=GUESTS,
        wanted=Wanted("none | default | writeback | directsync"),
        judge=_disk_cache,
    ),
    Item(
        id="guest.disk_io",
        title="Asynchronous I/O for disks that bypass the page cache",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="guest restart",
        risk="native I/O blocks on sparse image files: for those, threads is right",
        effect=NO_FIGURE,
        why=(
            "With O_DIRECT, the kernel can take requests asynchronously; a pool of threads costs "
            "context switches on the pCPUs that vCPUs use. It pays for block devices and fully "
            "allocated files; on a sparse qcow2, native I/O waits for allocation. Guests that "
            "nobody tuned are left alone."
        ),
        sources=(QEMU_CACHE, LIBVIRT_DOMAIN),
        by_hand="virsh edit GUEST  # <driver name='qemu' type='raw' cache='none' io='native'/>",
        undo_by_hand="virsh edit GUEST  # take io='native' out",
        subjects=GUESTS,
        wanted=Wanted("native | io_uring"),
        judge=_disk_io,
    ),
    Item(
        id="guest.nic_model",
        title="Network interfaces are virtio",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="a guest without virtio drivers loses its network",
        effect=NO_FIGURE,
        why=(
            "An emulated card is for systems without virtio drivers. Everything else gets several "
            "times the packets with virtio, whose rings the host's kernel (vhost) or the switch "
            "serves directly."
        ),
        sources=(LIBVIRT_DOMAIN,),
        by_hand="virsh edit GUEST  # <model type='virtio'/>",
        undo_by_hand="virsh edit GUEST  # the <model> that was there before",
        subjects=GUESTS,
        judge=_nic_model,
    ),
    Item(
        id="guest.nic_queues",
        title="Several queues for the network of a tuned guest with several vCPUs",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="guest restart",
        risk="more CPU time on the host for the same packets, more MSI vectors in the guest",
        effect=NO_FIGURE,
        why=(
            "With one queue, one vCPU handles all packets. Queues pay for large packets over many "
            "connections, up to one for each vCPU; a guest with little traffic only pays for them. "
            "The guest must switch them on (ethtool -L). With Nova, hw:vif_multiqueue_enabled."
        ),
        sources=(MULTIQUEUE, LIBVIRT_DOMAIN),
        by_hand="virsh edit GUEST  # in <interface>: <driver name='vhost' queues='4'/>",
        undo_by_hand="virsh edit GUEST  # take queues= out",
        subjects=GUESTS,
        judge=_nic_queues,
    ),
)
