"""What a placement costs: parts that are added up, each with its weight and the reason for it.

Distance is the unit: 100 is one vCPU whose memory is one SLIT unit further than local on average.
The figures on CPU clusters are of a Kunpeng 920 (openEuler wayca-scheduler, its
tools/kp920.2P.8CCL.type4): four STREAM triad threads reach 25.3 GB/s in one cluster and 31.7 over
four; a contended lock takes eight threads 11.6 s packed and 27.5 s spread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from virtboost.model.workload import Locality
from virtboost.plan.assignment import Assignment, Placed, free_bytes, free_cores
from virtboost.plan.demand import Demand
from virtboost.plan.fit import CENTI, CellFit, Fit
from virtboost.plan.future import capacity
from virtboost.plan.supply import Supply

UNPLACED = 10**9
"""A guest without a place: more than everything else together."""

DIE = 3 * CENTI
"""Another die or socket of the same node, for each vCPU of the cell.  SLIT is silent within a node;
between the dies of one Kunpeng 920 socket it says 16, and half of the pairs of vCPUs cross."""

CLUSTER: dict[Locality, int] = {"sharing": 40, "isolation": 40, "bandwidth": 40, "balanced": 10}
"""A cluster more than one, or for ``bandwidth`` one fewer than could be: less than any node."""

MOVE_VCPU = 2
"""Another pCPU for a vCPU that runs: its caches are cold for a moment."""

MOVE_GIB = 20
"""Memory that must go to another node, for each GiB."""

PAIR, LARGEST, WHOLE = 3, 1, 2
"""What is left for others, between placements that are equal otherwise: a guest of two cells, a
slot of the largest guest in one node, a whole cluster."""

WEIGHTS = {
    "unplaced": UNPLACED,
    "distance": 1,
    "devices": 1,
    "dies": 1,
    "clusters": 1,
    "moves": 1,
    "future": 1,
}
"""Parts of the objective; those but the first are in hundredths of vCPU times SLIT unit."""

GIB = 1 << 30


class Slot(Struct, frozen=True, kw_only=True):
    """What a future guest's cell is thought to be: a cluster of cores and its share of memory."""

    cores: int
    memory_bytes: int


def slot_of(supply: Supply) -> Slot:
    """Return the usual slot: the cores of the commonest group, and memory in proportion."""
    sizes = [len(group.cores) for group in supply.groups if group.cluster is not None]
    cores = max(set(sizes), key=lambda size: (sizes.count(size), size)) if sizes else 1
    total = sum(node.cores for node in supply.nodes.values())
    memory = sum(node.memory_bytes for node in supply.nodes.values())
    return Slot(cores=cores, memory_bytes=max(memory * cores // max(total, 1), 1))


class Left(Struct, frozen=True, kw_only=True):
    """What a host could still take."""

    pairs: int
    """Guests of two cells, one slot each, by the closed form."""
    largest: int
    """Slots of the largest guest in one node."""
    whole: int
    """Clusters of which every core is free."""


def left(supply: Supply, slot: Slot, cores: Mapping[int, int], memory: Mapping[int, int]) -> Left:
    """Return what a host could still take.

    Args:
        supply: The host.
        slot: What a cell of a future guest is.
        cores: Free cores by index of the group.
        memory: Free bytes by node.
    """
    slots = [
        min(
            sum(cores[group.index] for group in node.groups) // slot.cores,
            max(memory[node.id], 0) // slot.memory_bytes,
        )
        for node in supply.nodes.values()
    ]
    whole = sum(
        group.whole and group.cluster is not None and cores[group.index] == len(group.cores)
        for group in supply.groups
    )
    return Left(pairs=capacity(slots, 2), largest=max(slots, default=0), whole=whole)


def future_cost(supply: Supply, slot: Slot, now: Left) -> int:
    """Return what the host can no longer take, of what it could when empty, weighted."""
    cores = {group.index: len(group.cores) for group in supply.groups}
    memory = {node.id: node.memory_bytes for node in supply.nodes.values()}
    empty = left(supply, slot, cores, memory)
    return (
        PAIR * (empty.pairs - now.pairs)
        + LARGEST * (empty.largest - now.largest)
        + WHOLE * (empty.whole - now.whole)
    )


def memory_moves(supply: Supply, demand: Demand, fit: Fit) -> int:
    """Return the cost of memory that must go to another node, for a guest that runs."""
    if not demand.now:
        return 0
    here = {supply.groups[index].node_id for index, _ in demand.now_by_group}
    away = sum(cell.memory_bytes for cell in fit.cells if cell.node_id not in here)
    return MOVE_GIB * away // GIB


def spread(supply: Supply, demand: Demand, fit: Fit, cell: CellFit) -> int:
    """Return over how many clusters a cell that wants bandwidth could lie."""
    groups = [g for g in supply.nodes[cell.node_id].groups if g.cluster is not None]
    return min(-(-demand.pcpus(cell, fit, supply.threads) // supply.threads), len(groups))


def shape_costs(supply: Supply, demand: Demand, placed: Placed) -> tuple[int, int]:
    """Return the costs of dies and of clusters of a guest with cores of its own."""
    dies = clusters = 0
    for cell in placed.fit.cells:
        used = [g for g in supply.nodes[cell.node_id].groups if placed.cores.get(g.index)]
        domains = {group.domain for group in used}
        dies += DIE * cell.vcpus * max(len(domains) - 1, 0)
        count = sum(group.cluster is not None for group in used)
        weight = CLUSTER[demand.locality]
        if demand.locality == "bandwidth":
            clusters += weight * max(spread(supply, demand, placed.fit, cell) - count, 0)
        else:
            clusters += weight * max(count - 1, 0)
    return dies, clusters


def move_cost(supply: Supply, demand: Demand, placed: Placed) -> int:
    """Return the cost of moving a guest from where it is."""
    if not demand.now:
        return 0
    here = dict(demand.now_by_group)
    moved = sum(
        max(supply.groups[index].threads * count - here.get(index, 0), 0)
        for index, count in placed.cores.items()
    )
    return MOVE_VCPU * moved + memory_moves(supply, demand, placed.fit)


def objective(
    supply: Supply, demands: Sequence[Demand], assignment: Assignment
) -> dict[str, float]:
    """Return the parts of the objective; the smaller, the better."""
    parts = dict.fromkeys(WEIGHTS, 0)
    parts["unplaced"] = len(demands) - len(assignment.placed)
    for index, placed in assignment.placed.items():
        demand = demands[index]
        parts["distance"] += placed.fit.distance_cost
        parts["devices"] += placed.fit.device_cost
        if placed.cores:
            dies, clusters = shape_costs(supply, demand, placed)
            parts["dies"] += dies
            parts["clusters"] += clusters
        if demand.pins is None:
            parts["moves"] += move_cost(supply, demand, placed)
    parts["clusters"] += CLUSTER["balanced"] * sum(_pool_clusters(supply, assignment))
    slot = slot_of(supply)
    now = left(supply, slot, free_cores(supply, assignment), free_bytes(supply, assignment))
    parts["future"] = future_cost(supply, slot, now)
    return {name: float(count) for name, count in parts.items()}


def _pool_clusters(supply: Supply, assignment: Assignment) -> Iterator[int]:
    for node in supply.nodes.values():
        used = [g for g in node.groups if g.cluster is not None and assignment.pool.get(g.index)]
        yield max(len(used) - 1, 0)


def total(parts: Mapping[str, float]) -> int:
    """Return the objective as one number."""
    return sum(round(WEIGHTS[name] * count) for name, count in parts.items())
