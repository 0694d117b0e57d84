"""Why a guest is where it is, what it gave up, and the smallest change that would help it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, structs

from virtboost.model.placement import GuestPlacement
from virtboost.model.wording import listed, size
from virtboost.plan.assignment import (
    Assignment,
    Placed,
    Pool,
    compatible,
    free_bytes,
    free_cores,
    pools,
)
from virtboost.plan.demand import Demand, fits_alone
from virtboost.plan.fit import CENTI, CellFit, Fit
from virtboost.plan.problem import Problem
from virtboost.plan.score import spread
from virtboost.plan.supply import CoreGroup, Supply

FIGURES = {
    "sharing": "packed, for threads that share data (a contended lock: 11.6 s packed, 27.5 s spread"
    " on a Kunpeng 920)",
    "bandwidth": "spread, for memory bandwidth (4 STREAM threads: 31.7 GB/s over 4 clusters, 25.3"
    " in one on a Kunpeng 920)",
    "isolation": "that nobody else has",
    "balanced": "filled, so that others stay whole",
}
"""Why clusters are used as they are, by locality class."""


class Lack(Struct, frozen=True, kw_only=True):
    """What one node would have to have more."""

    node_id: int
    pcpus: int
    memory_bytes: int


class Rest(Struct, frozen=True, kw_only=True):
    """What is left of the host for one guest: what is free, and what it has itself."""

    problem: Problem
    assignment: Assignment
    cores: dict[int, int]
    memory: dict[int, int]
    pools: dict[int, Pool]

    def lacks(self, demand: Demand, fit: Fit) -> tuple[Lack, ...]:
        """Return what is missing for a guest to lie so; empty: nothing."""
        found = (self._lack(demand, fit, cell) for cell in fit.cells)
        return tuple(lack for lack in found if lack.pcpus or lack.memory_bytes)

    def _lack(self, demand: Demand, fit: Fit, cell: CellFit) -> Lack:
        supply = self.problem.supply
        node = supply.nodes[cell.node_id]
        usable = [group for group in node.groups if self.usable(group, demand)]
        free = sum(self.cores[group.index] * group.threads for group in usable)
        if demand.dedicated:
            need = demand.pcpus(cell, fit, supply.threads)
        else:
            pool = self.pools.get(node.id, Pool()).with_cell(cell.vcpus, demand.load_milli)
            has = sum(self.assignment.pool.get(g.index, 0) * g.threads for g in node.groups)
            need = pool.pcpus - has
        return Lack(
            node_id=node.id,
            pcpus=max(need - free, 0),
            memory_bytes=max(cell.memory_bytes - self.memory[node.id], 0),
        )

    def usable(self, group: CoreGroup, demand: Demand) -> bool:
        """Tell whether a guest may have cores of a group: not of one that is somebody's alone."""
        if demand.locality == "isolation":
            return self.cores[group.index] == len(group.cores)
        return not any(
            group.index in placed.cores and self.problem.demands[index].locality == "isolation"
            for index, placed in self.assignment.placed.items()
        )

    def allowed(self, demand: Demand, fit: Fit) -> bool:
        """Tell whether a guest that lies so is near and apart from others as it must be."""
        placed = self.assignment.placed
        return all(
            compatible(fit, placed[other].fit, near=near)
            for near, others in ((True, demand.near), (False, demand.apart))
            for other in others
            if other in placed
        )


def rest_for(problem: Problem, assignment: Assignment, index: int) -> Rest:
    """Return what is left for a demand if it had to be placed anew."""
    others = Assignment(
        placed={n: placed for n, placed in assignment.placed.items() if n != index},
        pool=assignment.pool,
    )
    return Rest(
        problem=problem,
        assignment=others,
        cores=free_cores(problem.supply, others),
        memory=free_bytes(problem.supply, others),
        pools=pools(problem.demands, others.placed),
    )


def explained(
    problem: Problem, assignment: Assignment, index: int, placement: GuestPlacement
) -> GuestPlacement:
    """Return a placement that says why it is so."""
    demand, placed = problem.demands[index], assignment.placed[index]
    return structs.replace(
        placement,
        why=tuple(_why(problem, demand, placed)),
        given_up=tuple(_given_up(problem, demand, placed, placement)),
        better=tuple(_better(problem, assignment, index)),
    )


def _why(problem: Problem, demand: Demand, placed: Placed) -> Iterator[str]:
    supply, cells = problem.supply, placed.fit.cells
    if demand.pins is not None:
        yield "its pins were decided before"
        return
    if len(cells) == 1:
        yield f"fits node {cells[0].node_id}: its memory is local to every vCPU"
    else:
        nodes = listed((str(cell.node_id) for cell in cells), 16)
        mean = placed.fit.distance_cost / CENTI / demand.vcpus + 10
        nearest = (
            "asked for" if demand.cells else "as few as hold it, and the nearest that are free"
        )
        yield f"{len(cells)} cells on nodes {nodes}, mean distance {mean:.3g}: {nearest}"
    if not demand.dedicated:
        yield "shares the pool of its node, and no more vCPUs than the pool has pCPUs"
        return
    clusters = [g for g in map(supply.groups.__getitem__, placed.cores) if g.cluster is not None]
    if clusters:
        many = "s" if len(clusters) > 1 else ""
        yield f"on {len(clusters)} cluster{many}, {FIGURES[demand.locality]}"
    here = {name for name, node in demand.devices if node in placed.fit.node_ids}
    if here:
        yield f"{listed(sorted(here))} {'is' if len(here) == 1 else 'are'} on its node"


def _given_up(
    problem: Problem, demand: Demand, placed: Placed, placement: GuestPlacement
) -> Iterator[str]:
    supply, fit = problem.supply, placed.fit
    if fit.distance_cost and not demand.cells and _fits_one_node(problem, demand):
        yield "local memory: no node has room for all of it now"
    for name, node in demand.devices:
        if node is None:
            yield f"{name}: its NUMA node is not told, so it counts for nothing"
        elif node not in fit.node_ids:
            far = min(supply.distance(cell.node_id, node) for cell in fit.cells)
            yield f"{name} is on node {node}, at distance {far}"
    if demand.dedicated and demand.pins is None:
        yield from _shape_given_up(supply, demand, placed)
    told = placement.topology
    if told is not None and demand.pins is None and told.threads < supply.threads:
        yield (
            f"{demand.vcpus} vCPUs do not fill cores of {supply.threads} threads: "
            "it is not told of SMT"
        )
    if placement.kind == "guest" and not placement.host_pcpus:
        yield "emulator threads on its own vCPUs: no pCPU is kept for the host"


def _shape_given_up(supply: Supply, demand: Demand, placed: Placed) -> Iterator[str]:
    for cell in placed.fit.cells:
        node = supply.nodes[cell.node_id]
        used = [group for group in node.groups if placed.cores.get(group.index)]
        clusters = [group for group in used if group.cluster is not None]
        sizes = sorted((len(g.cores) for g in node.groups if g.cluster is not None), reverse=True)
        cores = sum(placed.cores[group.index] for group in used)
        least = next((n for n in range(1, len(sizes) + 1) if sum(sizes[:n]) >= cores), 0)
        if demand.locality == "bandwidth":
            could = spread(supply, demand, placed.fit, cell)
            if len(clusters) < could:
                yield f"node {node.id}: only {len(clusters)} clusters have room, {could} could be"
        elif len(clusters) > least:
            yield f"node {node.id}: on {len(clusters)} clusters where {least} would hold it"
        if len({group.domain for group in used}) > 1:
            yield f"node {node.id}: crosses dies or sockets, which SLIT does not tell"


def _fits_one_node(problem: Problem, demand: Demand) -> bool:
    return any(
        len(fit.cells) == 1 and fits_alone(problem.supply, demand, fit) for fit in demand.fits
    )


def _better(problem: Problem, assignment: Assignment, index: int) -> Iterator[str]:
    """Yield the least that the best way to lie lacks, where a worse one was taken."""
    demand, fit = problem.demands[index], assignment.placed[index].fit
    cost = fit.distance_cost + fit.device_cost
    rest = rest_for(problem, assignment, index)
    cheaper = [
        other
        for other in demand.fits
        if other.distance_cost + other.device_cost < cost
        and fits_alone(problem.supply, demand, other)
        and rest.allowed(demand, other)
    ]
    least = min(
        ((_amount(rest.lacks(demand, other)), other.cells, other) for other in cheaper),
        key=lambda found: found[0],
        default=None,
    )
    if least is not None and rest.lacks(demand, least[2]):
        saved = (cost - least[2].distance_cost - least[2].device_cost) / CENTI
        lack = _said(demand, rest.lacks(demand, least[2]))
        yield f"needs {lack}: {saved:.3g} vCPU x distance less"


def refusal(problem: Problem, assignment: Assignment, index: int) -> str:
    """Return why a demand has no place, and the smallest change that would give it one."""
    demand = problem.demands[index]
    if demand.refusal:
        return demand.refusal
    rest = rest_for(problem, assignment, index)
    allowed = [fit for fit in demand.fits if rest.allowed(demand, fit)]
    if not allowed:
        others = [problem.demands[n].name for n in (*demand.near, *demand.apart)]
        return f"no node is near and apart from {listed(others)} as it asks: take one wish away"
    best = min(allowed, key=lambda fit: (_amount(rest.lacks(demand, fit)), len(fit.cells)))
    said = _said(demand, rest.lacks(demand, best))
    if not fits_alone(problem.supply, demand, best):
        said += ", which the host has not got even when empty"
    smaller = _largest(rest, demand)
    return f"needs {said or 'another order of placement'}" + (
        f"; or ask for {smaller}" if smaller else ""
    )


def _amount(lacks: tuple[Lack, ...]) -> float:
    """Return how much is missing: a pCPU counts as 2 GiB, the usual flavor's proportion."""
    return sum(lack.pcpus + lack.memory_bytes / (2 << 30) for lack in lacks)


def _said(demand: Demand, lacks: tuple[Lack, ...]) -> str:
    words = []
    for lack in lacks:
        parts = []
        if lack.pcpus:
            whole = " in whole free clusters" if demand.locality == "isolation" else ""
            parts.append(f"{lack.pcpus} more pCPU{'s' if lack.pcpus > 1 else ''}{whole}")
        if lack.memory_bytes:
            pages = -(-lack.memory_bytes // demand.page_bytes)
            many = "s" if pages > 1 else ""
            parts.append(
                f"{size(lack.memory_bytes)} more memory ({pages} page{many} of "
                f"{size(demand.page_bytes)})"
            )
        words.append(f"{' and '.join(parts)} on node {lack.node_id}")
    return ", ".join(words)


def _largest(rest: Rest, demand: Demand) -> str:
    """Return the most vCPUs of one cell that would fit with the same memory."""
    if demand.pins is not None or not demand.dedicated or demand.own_emulator:
        return ""
    supply = rest.problem.supply
    most = max(
        (
            sum(
                rest.cores[group.index] * group.threads
                for group in supply.nodes[node_id].groups
                if rest.usable(group, demand)
            )
            for node_id in demand.node_ids
            if rest.memory[node_id] >= demand.memory_bytes
            and demand.cells in (None, 1)
            and not (demand.near or demand.apart)
        ),
        default=0,
    )
    return f"{most} vCPUs" if 0 < most < demand.vcpus else ""
