"""A host as it will be when a plan is carried out: to draw it, and to check it."""

from __future__ import annotations

from msgspec import structs

from virtboost.model.change import HugepagePoolSize
from virtboost.model.container import Container
from virtboost.model.guest import Guest, GuestCell
from virtboost.model.host import Host
from virtboost.model.numa import HugepagePool, NumaNode
from virtboost.model.placement import GuestPlacement
from virtboost.model.plan import Plan


def planned_host(host: Host, plan: Plan) -> Host:
    """Return the host with everything of the plan where it goes; what stays is as it was."""
    names = {placement.name for placement in plan.guests}
    staying = [guest for guest in host.guests if guest.name not in names]
    others = [container for container in host.containers if container.name not in names]
    guests = [_guest(host, each) for each in plan.guests if each.kind == "guest"]
    containers = [_container(each) for each in plan.guests if each.kind == "container"]
    nodes = tuple(_node(host, node, plan) for node in host.topology.numa_nodes)
    return structs.replace(
        host,
        guests=(*staying, *guests),
        containers=(*others, *containers),
        topology=structs.replace(host.topology, numa_nodes=nodes),
    )


def _guest(host: Host, placement: GuestPlacement) -> Guest:
    huge = {
        cell.page_size_bytes
        for cell in placement.cells
        if cell.page_size_bytes in host.memory.hugepage_sizes_bytes
    }
    cells = tuple(
        GuestCell(
            id=cell.cell,
            vcpus=cell.vcpus,
            memory_bytes=cell.memory_bytes,
            node_ids=(cell.node_id,),
            memory_mode="strict",
            page_size_bytes=cell.page_size_bytes if huge else None,
        )
        for cell in placement.cells
    )
    return Guest(
        name=placement.name,
        state="running",
        arch=host.arch,
        accelerated=True,
        vcpu_count=len(placement.vcpus),
        max_vcpu_count=len(placement.vcpus),
        vcpu_pins={vcpu.vcpu: vcpu.pcpus for vcpu in placement.vcpus},
        emulator_pins=placement.emulator_pcpus or None,
        iothread_count=len(placement.iothreads),
        iothread_pins={thread.id: thread.pcpus for thread in placement.iothreads},
        memory_bytes=placement.memory_bytes,
        page_sizes_bytes=tuple(sorted(huge)),
        memory_mode="strict",
        node_ids=placement.node_ids,
        topology=placement.topology,
        cells=cells if len(cells) > 1 else (),
    )


def _container(placement: GuestPlacement) -> Container:
    return Container(
        name=placement.name,
        engine="docker",
        cpuset=placement.vcpus[0].pcpus,
        node_ids=placement.node_ids,
        memory_limit_bytes=placement.memory_bytes or None,
    )


def _node(host: Host, node: NumaNode, plan: Plan) -> NumaNode:
    """Return a node with the plan's pools, of which its guests have their pages."""
    totals = {pool.size_bytes: pool.total for pool in node.hugepages} | {
        change.size_bytes: change.pages
        for change in plan.changes
        if isinstance(change, HugepagePoolSize) and change.node_id == node.id
    }
    pools = tuple(
        HugepagePool(size_bytes=page, total=total, free=max(total - _used(plan, node.id, page), 0))
        for page, total in sorted(totals.items())
    )
    held = sum(pool.total * pool.size_bytes for pool in pools)
    before = sum(pool.total * pool.size_bytes for pool in node.hugepages)
    free = None if node.free_bytes is None else max(node.free_bytes - held + before, 0)
    return structs.replace(node, hugepages=pools, free_bytes=free)


def _used(plan: Plan, node_id: int, page: int) -> int:
    return sum(
        cell.pages
        for placement in plan.guests
        for cell in placement.cells
        if (cell.node_id, cell.page_size_bytes) == (node_id, page)
    )
