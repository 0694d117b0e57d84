"""Which way each guest lies and how many cores of each group it takes: what a planner decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from virtboost.plan.demand import MILLI, Demand
from virtboost.plan.fit import Fit
from virtboost.plan.supply import Supply


class Placed(Struct, frozen=True, kw_only=True):
    """Where one demand is."""

    fit: Fit
    cores: dict[int, int]
    """Whole cores by index of the group; empty for one in the shared pool, or with pins."""


class Assignment(Struct, frozen=True, kw_only=True):
    """Where everything is; a demand that is not here has no place."""

    placed: dict[int, Placed]
    """By index of the demand."""
    pool: dict[int, int]
    """Whole cores of the shared pool, by index of the group."""


def free_cores(supply: Supply, assignment: Assignment) -> dict[int, int]:
    """Return the cores that are left, by index of the group."""
    taken: Counter[int] = Counter(assignment.pool)
    for placed in assignment.placed.values():
        taken.update(placed.cores)
    return {group.index: len(group.cores) - taken[group.index] for group in supply.groups}


def free_bytes(supply: Supply, assignment: Assignment) -> dict[int, int]:
    """Return the memory that is left, by node."""
    left = {node.id: node.memory_bytes for node in supply.nodes.values()}
    for placed in assignment.placed.values():
        for cell in placed.fit.cells:
            left[cell.node_id] = left.get(cell.node_id, 0) - cell.memory_bytes
    return left


class Pool(Struct, frozen=True, kw_only=True):
    """What the guests of the shared pool of one node ask for."""

    load_milli: int = 0
    """pCPUs, in thousandths: each vCPU counts by its guest's overcommit ratio."""
    widest: int = 0
    """Most vCPUs of one cell."""

    def with_cell(self, vcpus: int, load_milli: int) -> Pool:
        """Return the pool with another cell, each of whose vCPUs takes ``load_milli``."""
        load = self.load_milli + vcpus * load_milli
        return Pool(load_milli=load, widest=max(self.widest, vcpus))

    @property
    def pcpus(self) -> int:
        """The pCPUs that it needs: a cell with more vCPUs than those only waits for itself."""
        return max(-(-self.load_milli // MILLI), self.widest)


def pools(demands: Sequence[Demand], placed: Mapping[int, Placed]) -> dict[int, Pool]:
    """Return the shared pool of each node that has one."""
    found: dict[int, Pool] = {}
    for index, one in placed.items():
        demand = demands[index]
        for cell in () if demand.dedicated else one.fit.cells:
            pool = found.get(cell.node_id, Pool())
            found[cell.node_id] = pool.with_cell(cell.vcpus, demand.load_milli)
    return found


def compatible(one: Fit, other: Fit, *, near: bool) -> bool:
    """Tell whether two guests that must be near, or apart, may lie so.

    Near: the nodes of the one with fewer are among those of the other.  Apart: none in common.
    """
    if near:
        return one.node_ids <= other.node_ids or other.node_ids <= one.node_ids
    return one.node_ids.isdisjoint(other.node_ids)
