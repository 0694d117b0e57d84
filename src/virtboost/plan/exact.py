"""The best placement, proved, or how far from it: the model of ``score.py`` for CP-SAT.

Source: OR-Tools CP-SAT, https://developers.google.com/optimization/cp.  One worker, a fixed seed
and a limit in deterministic time make the same input give the same output.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct, structs
from ortools.sat.python import cp_model

from virtboost.plan.assignment import Assignment, Placed, compatible
from virtboost.plan.demand import MILLI, Demand
from virtboost.plan.fit import Fit
from virtboost.plan.score import (
    CLUSTER,
    DIE,
    LARGEST,
    MOVE_VCPU,
    PAIR,
    UNPLACED,
    WHOLE,
    left,
    memory_moves,
    objective,
    slot_of,
    spread,
    total,
)
from virtboost.plan.supply import NodeSupply, Supply

LARGEST_MODEL = 60_000
"""Ways to lie and pairs of guest and group that are still worth a try; more is left to the
heuristic."""


class Solved(Struct, frozen=True, kw_only=True):
    """A placement and what is proved of it."""

    assignment: Assignment
    optimal: bool
    gap: float | None
    """Of the cost of what is placed, 0 to 1; None where it is optimal or nothing is proved."""


def improve(supply: Supply, demands: Sequence[Demand], start: Assignment, limit_s: float) -> Solved:
    """Return a placement that is at least as good as ``start``.

    Args:
        supply: The host.
        demands: What is wanted.
        start: The heuristic's placement.
        limit_s: Deterministic seconds: about as many of the clock on one core.
    """
    ways = sum(len(demand.fits) for demand in demands if not demand.refusal)
    if limit_s <= 0 or ways + len(demands) * len(supply.groups) > LARGEST_MODEL:
        return Solved(assignment=start, optimal=False, gap=None)
    start = in_order(demands, start)
    model = _Model(supply, demands)
    model.hint(start)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = limit_s
    status = solver.solve(model.cp)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Solved(assignment=start, optimal=False, gap=None)
    found = model.read(solver)
    best = min((found, start), key=lambda one: total(objective(supply, demands, one)))
    cost = total(objective(supply, demands, best))
    refused = sum(bool(demand.refusal) for demand in demands) * UNPLACED
    bound = math.ceil(solver.best_objective_bound - 1e-6) + refused
    if bound >= cost:
        return Solved(assignment=best, optimal=True, gap=None)
    return Solved(assignment=best, optimal=False, gap=_gap(cost, bound))


def alike(demands: Sequence[Demand]) -> list[list[int]]:
    """Return the indices of demands that differ by nothing but their name, two at least."""
    found: dict[Demand, list[int]] = {}
    for index, demand in enumerate(demands):
        if not (demand.refusal or demand.near or demand.apart or demand.now):
            found.setdefault(structs.replace(demand, name="", pins=None), []).append(index)
    return [indices for indices in found.values() if len(indices) > 1]


def in_order(demands: Sequence[Demand], assignment: Assignment) -> Assignment:
    """Return the same placement, with demands that are alike in the order of their ways to lie."""
    placed = dict(assignment.placed)
    for indices in alike(demands):
        ways = {fit: number for number, fit in enumerate(demands[indices[0]].fits)}
        theirs = [placed.pop(index) for index in indices if index in placed]
        theirs.sort(key=lambda one: ways[one.fit])
        placed.update(zip(indices, theirs, strict=False))
    return Assignment(placed=placed, pool=assignment.pool)


def _gap(cost: int, bound: int) -> float:
    """Return the relative gap: of guests without a place if that is open, else of the rest."""
    unplaced, least = cost // UNPLACED, max(bound, 0) // UNPLACED
    if unplaced > least:
        return (unplaced - least) / unplaced
    rest = cost - unplaced * UNPLACED
    return min((cost - bound) / max(rest, 1), 1.0)


class _Model:
    """The variables and rules of one host and its demands."""

    def __init__(self, supply: Supply, demands: Sequence[Demand]) -> None:
        self.supply = supply
        self.demands = demands
        self.cp = cp_model.CpModel()
        self.terms: list[Any] = []
        self.ways: dict[int, list[Any]] = {}
        self.cores: dict[tuple[int, int], Any] = {}
        self.used: dict[tuple[int, int], Any] = {}
        self.pool: dict[int, Any] = {}
        for index, demand in enumerate(demands):
            if not demand.refusal:
                self._add(index, demand)
        self._order()
        self._relations()
        self._pools()
        self._capacity()
        self._future()
        self.cp.minimize(sum(self.terms))

    def _add(self, index: int, demand: Demand) -> None:
        """Add one demand: its ways to lie, its cores, and what they cost."""
        ways = [self.cp.new_bool_var(f"way{index}.{n}") for n in range(len(demand.fits))]
        self.ways[index] = ways
        self.cp.add_at_most_one(ways)
        self.terms.append(UNPLACED * (1 - sum(ways)))
        for way, fit in zip(ways, demand.fits, strict=True):
            cost = fit.distance_cost + fit.device_cost
            if demand.pins is None:
                cost += memory_moves(self.supply, demand, fit)
            self.terms.append(cost * way)
        if demand.dedicated and demand.pins is None:
            for node in self.supply.nodes.values():
                if any(node.id in fit.node_ids for fit in demand.fits):
                    self._add_cell(index, demand, node)

    def _add_cell(self, index: int, demand: Demand, node: NodeSupply) -> None:
        """Add the cores of a demand on one node."""
        threads = self.supply.threads
        here = dict(demand.now_by_group)
        need, on_node, costs = [], [], []
        for way, fit in self._on(index, node.id):
            cell = next(cell for cell in fit.cells if cell.node_id == node.id)
            need.append(demand.pcpus(cell, fit, threads) * way)
            on_node.append(way)
            costs.append((way, fit, cell))
        groups = [group for group in node.groups if group.cores]
        for group in groups:
            most = len(group.cores)
            count = self.cp.new_int_var(0, most, f"cores{index}.{group.index}")
            used = self.cp.new_bool_var(f"used{index}.{group.index}")
            self.cp.add(count <= most * used)
            self.cp.add(count >= used)
            self.cores[index, group.index], self.used[index, group.index] = count, used
            if demand.now:
                moved = self.cp.new_int_var(0, most * group.threads, "")
                self.cp.add(moved >= group.threads * count - here.get(group.index, 0))
                self.terms.append(MOVE_VCPU * moved)
        got = sum(group.threads * self.cores[index, group.index] for group in groups)
        self.cp.add(got >= sum(need))
        # No core more than is needed, nor one on a node where the guest is not.
        widest = max((group.threads for group in groups), default=1)
        self.cp.add(got <= sum(need) + (widest - 1) * sum(on_node))
        self._shape(index, demand, node, costs)

    def _shape(self, index: int, demand: Demand, node: NodeSupply, ways: list[Any]) -> None:
        """Add what clusters and dies cost a demand on one node."""
        weight = CLUSTER[demand.locality]
        used = [self.used[index, g.index] for g in node.groups if g.cluster is not None]
        here = sum(way for way, _, _ in ways)
        if used:
            off = self.cp.new_int_var(0, len(used), "")
            if demand.locality == "bandwidth":
                could = sum(spread(self.supply, demand, fit, cell) * way for way, fit, cell in ways)
                self.cp.add(off >= could - sum(used))
            else:
                self.cp.add(off >= sum(used) - here)
            self.terms.append(weight * off)
        domains = sorted({group.domain for group in node.groups})
        if len(domains) < 2:
            return
        touched = []
        for domain in domains:
            die = self.cp.new_bool_var("")
            for group in node.groups:
                if group.domain == domain:
                    self.cp.add(self.used[index, group.index] <= die)
            touched.append(die)
        for way, _, cell in ways:
            more = self.cp.new_int_var(0, len(domains), "")
            self.cp.add(more >= sum(touched) - 1).only_enforce_if(way)
            self.terms.append(DIE * cell.vcpus * more)

    def _on(self, index: int, node_id: int) -> Iterable[tuple[Any, Fit]]:
        """Yield the ways of a demand that use a node."""
        for way, fit in zip(self.ways[index], self.demands[index].fits, strict=True):
            if node_id in fit.node_ids:
                yield way, fit

    def _order(self) -> None:
        """Let demands that are alike lie in the order of their ways: one of many equal plans."""
        for indices in alike(self.demands):
            ranks = []
            for index in indices:
                ways = self.ways[index]
                unplaced = len(ways) * (1 - sum(ways))
                ranks.append(sum(n * way for n, way in enumerate(ways)) + unplaced)
            for one, other in pairwise(ranks):
                self.cp.add(one <= other)

    def _relations(self) -> None:
        """Keep together and apart what must be; a way needs a compatible one of the other."""
        for index, ways in self.ways.items():
            demand = self.demands[index]
            for near, others in ((True, demand.near), (False, demand.apart)):
                for other in others:
                    if other in self.ways and other > index:
                        self._relate(index, ways, other, near=near)

    def _relate(self, index: int, ways: list[Any], other: int, *, near: bool) -> None:
        theirs = self.ways[other]
        for way, fit in zip(ways, self.demands[index].fits, strict=True):
            clashing = [
                there
                for there, its in zip(theirs, self.demands[other].fits, strict=True)
                if not compatible(fit, its, near=near)
            ]
            if clashing:
                self.cp.add(sum(clashing) <= 1 - way)

    def _pools(self) -> None:
        """Give each node a shared pool that is large enough for who shares it."""
        shared = [index for index in self.ways if not self.demands[index].dedicated]
        for node in self.supply.nodes.values() if shared else ():
            got: list[Any] = []
            for group in node.groups:
                count = self.cp.new_int_var(0, len(group.cores), f"pool{group.index}")
                self.pool[group.index] = count
                got.append(group.threads * count)
            load: list[Any] = []
            for index in shared:
                for way, fit in self._on(index, node.id):
                    cell = next(cell for cell in fit.cells if cell.node_id == node.id)
                    load.append(cell.vcpus * self.demands[index].load_milli * way)
                    self.cp.add(sum(got) >= cell.vcpus * way)
            self.cp.add(MILLI * sum(got) >= sum(load))
            self._pool_shape(node)

    def _pool_shape(self, node: NodeSupply) -> None:
        used = []
        for group in node.groups:
            touched = self.cp.new_bool_var("")
            self.cp.add(self.pool[group.index] <= len(group.cores) * touched)
            self.used[-1, group.index] = touched
            if group.cluster is not None:
                used.append(touched)
        more = self.cp.new_int_var(0, len(node.groups), "")
        self.cp.add(more >= sum(used) - 1)
        self.terms.append(CLUSTER["balanced"] * more)

    def _capacity(self) -> None:
        """Let nobody have what another has; an isolated guest has its clusters alone."""
        for node in self.supply.nodes.values():
            memory = [
                cell.memory_bytes * way
                for index in self.ways
                for way, fit in self._on(index, node.id)
                for cell in fit.cells
                if cell.node_id == node.id
            ]
            self.cp.add(sum(memory) <= node.memory_bytes)
            for group in node.groups:
                self.cp.add(self._taken(group.index) <= len(group.cores))
        for (index, group_index), used in self.used.items():
            if index >= 0 and self.demands[index].locality == "isolation":
                others = self._taken(group_index) - self.cores[index, group_index]
                size = len(self.supply.groups[group_index].cores)
                self.cp.add(others <= size * (1 - used))

    def _taken(self, group: int) -> Any:
        counts = [count for (_, index), count in self.cores.items() if index == group]
        return sum(counts) + self.pool.get(group, 0)

    def _future(self) -> None:
        """Add what the host can no longer take: the closed form as rules that are linear.

        A guest of two cells on any two nodes: T of them fit if each node gives at most T slots of
        those that it has, and all give 2 T (arXiv 2604.15033, the same as its minimum).
        """
        supply, slot = self.supply, slot_of(self.supply)
        cores = {group.index: len(group.cores) for group in supply.groups}
        memory = {node.id: node.memory_bytes for node in supply.nodes.values()}
        empty = left(supply, slot, cores, memory)
        slots = [self._slots(node, slot.cores, slot.memory_bytes) for node in supply.nodes.values()]
        pairs = self.cp.new_int_var(0, empty.pairs, "pairs")
        given = []
        for count in slots:
            part = self.cp.new_int_var(0, max(empty.largest, 0), "")
            self.cp.add(part <= count)
            self.cp.add(part <= pairs)
            given.append(part)
        self.cp.add(sum(given) >= 2 * pairs)
        largest = self.cp.new_int_var(0, empty.largest, "largest")
        if slots:
            self.cp.add_max_equality(largest, slots)
        self.terms += [PAIR * (empty.pairs - pairs), LARGEST * (empty.largest - largest)]
        for group in supply.groups:
            if group.whole and group.cluster is not None:
                lost = self.cp.new_bool_var("")
                self.cp.add(self._taken(group.index) <= len(group.cores) * lost)
                self.terms.append(WHOLE * lost)

    def _slots(self, node: NodeSupply, cores: int, memory_bytes: int) -> Any:
        most = min(node.cores // cores, node.memory_bytes // memory_bytes)
        count = self.cp.new_int_var(0, most, "")
        taken = sum(self._taken(group.index) for group in node.groups)
        self.cp.add(cores * count <= node.cores - taken)
        used = sum(
            cell.memory_bytes * way
            for index in self.ways
            for way, fit in self._on(index, node.id)
            for cell in fit.cells
            if cell.node_id == node.id
        )
        self.cp.add(memory_bytes * count <= node.memory_bytes - used)
        return count

    def hint(self, start: Assignment) -> None:
        """Begin the search with a placement."""
        for index, ways in self.ways.items():
            placed = start.placed.get(index)
            for way, fit in zip(ways, self.demands[index].fits, strict=True):
                self.cp.add_hint(way, placed is not None and placed.fit == fit)
        for (index, group), count in self.cores.items():
            placed = start.placed.get(index)
            self.cp.add_hint(count, 0 if placed is None else placed.cores.get(group, 0))
        for group, count in self.pool.items():
            self.cp.add_hint(count, start.pool.get(group, 0))

    def read(self, solver: cp_model.CpSolver) -> Assignment:
        """Return the placement that the solver found."""
        placed = {}
        for index, ways in self.ways.items():
            for way, fit in zip(ways, self.demands[index].fits, strict=True):
                if solver.boolean_value(way):
                    cores = {
                        group: solver.value(count)
                        for (owner, group), count in self.cores.items()
                        if owner == index and solver.value(count)
                    }
                    placed[index] = Placed(fit=fit, cores=cores)
        pool = {g: solver.value(count) for g, count in self.pool.items() if solver.value(count)}
        return Assignment(placed=placed, pool=pool)
