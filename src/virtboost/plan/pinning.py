"""From cores of groups to pCPUs: which vCPU, emulator thread and I/O thread runs where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import GuestTopology
from virtboost.model.host import Host
from virtboost.model.placement import (
    CellPlacement,
    GuestPlacement,
    IothreadPlacement,
    VcpuPlacement,
)
from virtboost.plan.assignment import Assignment, Placed
from virtboost.plan.demand import Demand
from virtboost.plan.fit import CellFit
from virtboost.plan.problem import Problem
from virtboost.plan.supply import CoreGroup, Supply
from virtboost.plan.truth import Path, path_of, told_caches, told_topology

POOL = -1
"""Owner of the cores of the shared pool."""


class _Lie(Struct, frozen=True, kw_only=True):
    """Where the vCPUs of one demand are."""

    vcpus: tuple[CpuSet, ...]
    topology: GuestTopology | None = None
    own: CpuSet = CpuSet()
    """pCPUs of the guest's own for its emulator threads."""


class Pinning(Struct, frozen=True, kw_only=True):
    """The cores that everything has."""

    cores: dict[tuple[int, int], tuple[CpuSet, ...]]
    """By (index of the demand or ``POOL``, index of the group)."""
    free: CpuSet
    """pCPUs that are left."""

    def pool(self, node_groups: Sequence[CoreGroup]) -> CpuSet:
        """Return the pCPUs of the shared pool in some groups."""
        return union(
            core for group in node_groups for core in self.cores.get((POOL, group.index), ())
        )


def pinned(supply: Supply, demands: Sequence[Demand], assignment: Assignment) -> Pinning:
    """Hand out the cores of each group; who runs on one now keeps it."""
    owners: dict[int, list[tuple[int, int]]] = {}
    for index, placed in sorted(assignment.placed.items()):
        for number, count in placed.cores.items():
            owners.setdefault(number, []).append((index, count))
    for number, count in assignment.pool.items():
        owners.setdefault(number, []).append((POOL, count))
    cores, free = {}, CpuSet()
    for group in supply.groups:
        left = list(group.cores)
        wants = owners.get(group.index, [])
        kept = {owner: _kept(demands, owner, count, left) for owner, count in wants}
        for owner, count in wants:
            more = count - len(kept[owner])
            mine = (*kept[owner], *left[:more])
            del left[:more]
            cores[owner, group.index] = tuple(sorted(mine, key=lambda core: core.first))
        free |= union(left)
    return Pinning(cores=cores, free=free)


def _kept(demands: Sequence[Demand], owner: int, count: int, left: list[CpuSet]) -> list[CpuSet]:
    """Take out of ``left`` the cores that an owner runs on now, at most ``count``."""
    now = CpuSet() if owner == POOL else demands[owner].now
    mine = [core for core in left if not core.isdisjoint(now)][:count]
    left[:] = [core for core in left if core not in mine]
    return mine


def placement_of(problem: Problem, index: int, placed: Placed, pinning: Pinning) -> GuestPlacement:
    """Return where a demand goes, pCPU by pCPU."""
    host, supply, demand = problem.host, problem.supply, problem.demands[index]
    lie = _lie(problem, index, placed, pinning)
    every = union(lie.vcpus)
    near = helper_pcpus(supply, placed)
    guest = demand.kind == "guest"
    return GuestPlacement(
        name=demand.name,
        kind=demand.kind,
        dedicated=demand.dedicated,
        vcpus=tuple(VcpuPlacement(vcpu=n, pcpus=cpus) for n, cpus in enumerate(lie.vcpus)),
        cells=tuple(_cells(host, supply, demand, placed, lie.vcpus)),
        emulator_pcpus=(lie.own or near or every) if guest else CpuSet(),
        iothreads=tuple(
            IothreadPlacement(id=number + 1, pcpus=near or every)
            for number in range(demand.iothreads)
        ),
        host_pcpus=near,
        topology=lie.topology if guest else None,
        caches=told_caches(host, every) if demand.dedicated else {},
    )


def helper_pcpus(supply: Supply, placed: Placed) -> CpuSet:
    """Return the host's pCPUs on the guest's nodes; where there are none, on the nearest node."""
    node_ids = [cell.node_id for cell in placed.fit.cells]
    near = union(supply.nodes[node].host_pcpus for node in node_ids if node in supply.nodes)
    if near:
        return near
    others = [node for node in supply.nodes.values() if node.host_pcpus]
    if not others or not node_ids:
        return CpuSet()
    nearest = min(others, key=lambda node: (supply.distance(node_ids[0], node.id), node.id))
    return nearest.host_pcpus


def _lie(problem: Problem, index: int, placed: Placed, pinning: Pinning) -> _Lie:
    """Return on which pCPUs each vCPU may run."""
    host, supply, demand = problem.host, problem.supply, problem.demands[index]
    if demand.pins is not None:
        return _decided(host, demand.pins)
    if not demand.dedicated:
        sets = [
            pinning.pool(supply.nodes[cell.node_id].groups)
            for cell in placed.fit.cells
            for _ in range(cell.vcpus)
        ]
        return _Lie(vcpus=tuple(sets))
    pcpus: list[int] = []
    paths: list[Path] = []
    own = CpuSet()
    for cell in placed.fit.cells:
        found = list(_threads(supply, index, cell, pinning))
        pcpus += [pcpu for pcpu, _ in found[: cell.vcpus]]
        paths += [path for _, path in found[: cell.vcpus]]
        if demand.own_emulator and not own:
            used = {path for _, path in found[: cell.vcpus]}
            own = CpuSet(pcpu for pcpu, path in found if path not in used)
    sets = [CpuSet((pcpu,)) for pcpu in pcpus]
    if demand.kind == "container":
        sets = [CpuSet(pcpus)] * len(sets)
    return _Lie(vcpus=tuple(sets), topology=told_topology(paths, host.arch), own=own)


def _threads(
    supply: Supply, index: int, cell: CellFit, pinning: Pinning
) -> Iterator[tuple[int, Path]]:
    """Yield the pCPUs of a cell, die by die, cluster by cluster, core by core."""
    for group in supply.nodes[cell.node_id].groups:
        for core in pinning.cores.get((index, group.index), ()):
            for pcpu in core:
                yield pcpu, path_of(group, core)


def _decided(host: Host, pins: dict[int, int]) -> _Lie:
    topology = host.topology
    paths: list[Path] = []
    for vcpu in sorted(pins):
        cpu = CpuSet((pins[vcpu],))
        paths.append(
            (
                next((socket.id for socket in topology.sockets_of(cpu)), -1),
                next((die.id for die in topology.dies_of(cpu)), -1),
                next((cluster.cpus.first for cluster in topology.clusters_of(cpu)), -1),
                next((core.cpus.first for core in topology.cores_of(cpu)), cpu.first),
            )
        )
    return _Lie(
        vcpus=tuple(CpuSet((pins[vcpu],)) for vcpu in sorted(pins)),
        topology=told_topology(paths, host.arch),
    )


def _cells(
    host: Host, supply: Supply, demand: Demand, placed: Placed, vcpus: Sequence[CpuSet]
) -> Iterator[CellPlacement]:
    """Yield the cells; a vCPU with a pin of its own is in the cell of its pCPU's node."""
    first = 0
    for number, cell in enumerate(placed.fit.cells):
        mine = range(first, first + cell.vcpus)
        first += cell.vcpus
        if demand.pins is not None:
            node = host.topology.node(cell.node_id)
            here = CpuSet() if node is None else node.cpus
            mine_set = CpuSet(n for n, cpus in enumerate(vcpus) if cpus <= here)
        else:
            mine_set = CpuSet(mine)
        yield CellPlacement(
            cell=number,
            node_id=cell.node_id,
            vcpus=mine_set,
            memory_bytes=cell.memory_bytes,
            page_size_bytes=demand.page_bytes,
            distances={
                other: supply.distance(cell.node_id, its.node_id)
                for other, its in enumerate(placed.fit.cells)
            },
        )
