"""What must be set on the host so that a placement holds: pools, interrupts, PMD threads, pins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from virtboost.model.change import (
    Change,
    ContainerUpdate,
    GuestEmulatorPin,
    GuestIothreadPin,
    GuestMemoryPolicy,
    GuestVcpuPin,
    HugepagePoolSize,
    IrqAffinity,
    OvsOtherConfig,
)
from virtboost.model.container import Container
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.numa import NumaNode
from virtboost.model.placement import GuestPlacement
from virtboost.model.wording import size
from virtboost.plan.supply import Supply

UNMANAGED = "physical"
"""Interfaces whose interrupts a user may steer."""


def changes_of(
    host: Host, supply: Supply, placements: Sequence[GuestPlacement]
) -> tuple[Change, ...]:
    """Return the changes, in the order in which they are to be made."""
    guests = union(placement.pcpus for placement in placements)
    return (
        *_pools(host, supply, placements),
        *_interrupts(host, supply, guests),
        *_pmds(host, guests),
        *_pins(host, placements),
    )


def _pools(host: Host, supply: Supply, placements: Sequence[GuestPlacement]) -> Iterator[Change]:
    """Yield pools that are too small, after those that must shrink to make room for them."""
    wanted: Counter[tuple[int, int]] = Counter()
    base: Counter[int] = Counter()
    running = {guest.name: guest for guest in host.running_guests}
    for placement in placements:
        for cell in placement.cells:
            if cell.page_size_bytes in host.memory.hugepage_sizes_bytes:
                wanted[cell.node_id, cell.page_size_bytes] += cell.pages
            else:
                base[cell.node_id] += cell.memory_bytes
    held = _held(host, [running[p.name] for p in placements if p.name in running])
    for node in host.topology.numa_nodes:
        if node.id in supply.nodes:
            yield from _node_pools(node, supply, wanted, held, base[node.id])


def _held(host: Host, guests: Sequence[Guest]) -> Counter[tuple[int, int]]:
    """Return the huge pages that planned guests have now, by node and size."""
    held: Counter[tuple[int, int]] = Counter()
    for guest in guests:
        pages = guest.page_sizes_bytes
        if len(pages) != 1:
            continue
        page = pages[0] or host.memory.default_hugepage_bytes or 0
        cells = [(cell.node_ids or guest.node_ids, cell.memory_bytes) for cell in guest.cells]
        for node_ids, count in cells or [(guest.node_ids, guest.memory_bytes)]:
            if page and node_ids and len(node_ids) == 1:
                held[node_ids[0], page] += count // page
    return held


def _node_pools(
    node: NumaNode,
    supply: Supply,
    wanted: Counter[tuple[int, int]],
    held: Counter[tuple[int, int]],
    base: int,
) -> Iterator[Change]:
    """Yield the pools of one node: what is too small grows, what is in the way shrinks."""
    kept, grown = {}, {}
    for page in {pool.size_bytes for pool in node.hugepages} | {
        page for node_id, page in wanted if node_id == node.id
    }:
        pool = node.pool(page)
        total, free = (pool.total, pool.free) if pool else (0, 0)
        others = max(total - free - held[node.id, page], 0)
        need = others + wanted[node.id, page]
        kept[page] = max(need, total)
        grown[page] = need
    room = supply.nodes[node.id].memory_bytes - base
    mine = sum(page * wanted[node.id, page] for page in kept)
    spare = {page: kept[page] - grown[page] for page in kept}
    over = mine + sum(page * count for page, count in spare.items()) - room
    for page in sorted(spare):
        less = min(spare[page], max(-(-over // page), 0))
        kept[page] -= less
        over -= less * page
    found = {page: 0 if (pool := node.pool(page)) is None else pool.total for page in kept}
    ordered = sorted(kept, key=lambda page: (kept[page] > found[page], -page))
    for page in ordered:
        if kept[page] != found[page]:
            count = wanted[node.id, page]
            reason = f"{count} pages of {size(page)} for guests on node {node.id}"
            yield HugepagePoolSize(
                node_id=node.id, size_bytes=page, pages=kept[page], reason=reason
            )


def _interrupts(host: Host, supply: Supply, guests: CpuSet) -> Iterator[Change]:
    """Yield interrupts of network interfaces that guests' pCPUs take: to the host's, near them."""
    cards = {nic.name: nic for nic in host.net if nic.kind == UNMANAGED}
    passed = {address for guest in host.running_guests for address in guest.pci_addresses}
    for irq in host.irq:
        card = cards.get(irq.interface or "")
        if card is None or irq.affinity is None or irq.pci_address in passed:
            continue
        target = _near(supply, irq.node_id if irq.node_id is not None else card.node_id)
        if target and not irq.affinity.isdisjoint(guests) and irq.affinity != target:
            reason = f"interrupt of {card.name} off CPUs of guests, onto the host's near it"
            yield IrqAffinity(irq=irq.number, cpus=target, reason=reason)


def _near(supply: Supply, node_id: int | None) -> CpuSet:
    """Return the host's pCPUs on a node, or on the nearest that has some."""
    nodes = [node for node in supply.nodes.values() if node.host_pcpus]
    if node_id is None or not nodes:
        return supply.host_pcpus
    return min(nodes, key=lambda n: (supply.distance(node_id, n.id), n.id)).host_pcpus


def _pmds(host: Host, guests: CpuSet) -> Iterator[Change]:
    """Yield a mask of PMD threads without pCPUs of guests, where the mask has some."""
    mask = None if host.ovs is None else host.ovs.other_config.get("pmd-cpu-mask")
    if mask is None:
        return
    try:
        cpus = CpuSet.parse_mask(f"{int(mask, 16):x}") if len(mask) <= 8 else _long_mask(mask)
    except ValueError:
        return
    kept = cpus - guests
    if kept and kept != cpus:
        value = "0x" + kept.to_mask().replace(",", "")
        reason = "PMD threads off CPUs of guests"
        yield OvsOtherConfig(key="pmd-cpu-mask", value=value, reason=reason)


def _long_mask(mask: str) -> CpuSet:
    bits = int(mask, 16)
    return CpuSet(cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1)


def _pins(host: Host, placements: Sequence[GuestPlacement]) -> Iterator[Change]:
    """Yield the pins of what runs now and is somewhere else."""
    guests = {guest.name: guest for guest in host.running_guests}
    containers = {container.name: container for container in host.containers}
    for placement in placements:
        guest, container = guests.get(placement.name), containers.get(placement.name)
        if guest is not None and placement.kind == "guest":
            yield from _guest_pins(guest, placement)
        elif container is not None and placement.kind == "container":
            yield from _container_pins(container, placement)


def _container_pins(container: Container, placement: GuestPlacement) -> Iterator[Change]:
    if (container.cpuset, container.node_ids) != (placement.pcpus, placement.node_ids):
        yield ContainerUpdate(
            engine=container.engine,
            container=container.name,
            cpuset=placement.pcpus,
            node_ids=placement.node_ids,
            reason=_reason(placement),
        )


def _guest_pins(guest: Guest, placement: GuestPlacement) -> Iterator[Change]:
    name, reason = guest.name, _reason(placement)
    nodes = placement.node_ids
    if guest.node_ids != nodes and not any(cell.node_ids for cell in guest.cells):
        mode = guest.memory_mode or "strict"
        yield GuestMemoryPolicy(guest=name, mode=mode, node_ids=nodes, reason=reason)
    for vcpu in placement.vcpus:
        if guest.vcpu_pins.get(vcpu.vcpu) != vcpu.pcpus:
            yield GuestVcpuPin(guest=name, vcpu=vcpu.vcpu, cpus=vcpu.pcpus, reason=reason)
    if placement.emulator_pcpus and guest.emulator_pins != placement.emulator_pcpus:
        yield GuestEmulatorPin(guest=name, cpus=placement.emulator_pcpus, reason=reason)
    for thread in placement.iothreads:
        if guest.iothread_pins.get(thread.id) != thread.pcpus:
            yield GuestIothreadPin(guest=name, iothread=thread.id, cpus=thread.pcpus, reason=reason)


def _reason(placement: GuestPlacement) -> str:
    nodes = ", ".join(str(cell.node_id) for cell in placement.cells)
    return f"{placement.name} goes to node{'s' if len(placement.cells) > 1 else ''} {nodes}"
