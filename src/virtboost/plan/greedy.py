"""A placement that always comes, and fast: one guest after the other, each where it costs least."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtboost.model.workload import Locality
from virtboost.plan.assignment import Assignment, Placed, Pool, compatible
from virtboost.plan.demand import Demand
from virtboost.plan.fit import Fit
from virtboost.plan.score import (
    Slot,
    future_cost,
    left,
    move_cost,
    objective,
    shape_costs,
    slot_of,
    total,
)
from virtboost.plan.supply import CoreGroup, Supply


class Board:
    """A host that fills: what is free, and where everything is."""

    def __init__(self, supply: Supply, demands: Sequence[Demand]) -> None:
        """Begin with the whole supply free."""
        self.supply = supply
        self.demands = demands
        self.cores = {group.index: len(group.cores) for group in supply.groups}
        self.memory = {node.id: node.memory_bytes for node in supply.nodes.values()}
        self.locked: set[int] = set()
        self.placed: dict[int, Placed] = {}
        self.pool: dict[int, int] = {}
        self.pools: dict[int, Pool] = {}
        self.slot: Slot = slot_of(supply)

    def assignment(self) -> Assignment:
        """Return where everything is."""
        return Assignment(placed=dict(self.placed), pool=dict(self.pool))

    def place(self, index: int) -> bool:
        """Place a demand where it costs least; tell whether there was a place."""
        found = list(self._options(index))
        if not found:
            return False
        _, _, placed, pool = min(found, key=lambda option: option[:2])
        self._commit(index, placed, pool)
        return True

    def keep(self, index: int, placed: Placed, pool: dict[int, int]) -> None:
        """Place a demand as it was; of the pool it takes what it needs, where the pool was."""
        demand = self.demands[index]
        found: tuple[Placed, dict[int, int]] = (placed, {})
        if not demand.dedicated:
            pooled = self._pooled(demand, placed.fit, pool)
            if pooled is None:
                return
            found = pooled
        self._commit(index, *found)

    def _options(self, index: int) -> Iterator[tuple[int, int, Placed, dict[int, int]]]:
        """Yield (cost, number, place, cores more for the pool) of each way that is possible."""
        demand = self.demands[index]
        best: int | None = None
        for number, fit in enumerate(demand.fits):
            static = fit.distance_cost + fit.device_cost
            if best is not None and static > best:
                return  # the ways come by rising static cost
            if not self._allowed(index, fit):
                continue
            found = self._cores(demand, fit)
            if found is not None:
                cost = static + self._cost(demand, *found)
                best = cost if best is None else min(best, cost)
                yield cost, number, *found

    def _allowed(self, index: int, fit: Fit) -> bool:
        if any(cell.memory_bytes > self.memory.get(cell.node_id, 0) for cell in fit.cells):
            return False
        demand = self.demands[index]
        return all(
            compatible(fit, self.placed[other].fit, near=near)
            for near, others in ((True, demand.near), (False, demand.apart))
            for other in others
            if other in self.placed
        )

    def _cores(self, demand: Demand, fit: Fit) -> tuple[Placed, dict[int, int]] | None:
        if demand.pins is not None:
            return Placed(fit=fit, cores={}), {}
        if not demand.dedicated:
            return self._pooled(demand, fit, self.pool)
        here = dict(demand.now_by_group)
        cores: dict[int, int] = {}
        for cell in fit.cells:
            need = demand.pcpus(cell, fit, self.supply.threads)
            taken = self.choose(cell.node_id, need, demand.locality, here)
            if taken is None:
                return None
            cores |= taken
        return Placed(fit=fit, cores=cores), {}

    def _pooled(
        self, demand: Demand, fit: Fit, preferred: dict[int, int]
    ) -> tuple[Placed, dict[int, int]] | None:
        placed = Placed(fit=fit, cores={})
        more: dict[int, int] = {}
        for cell in fit.cells:
            node = self.supply.nodes[cell.node_id]
            has = sum(self.pool.get(group.index, 0) * group.threads for group in node.groups)
            pool = self.pools.get(node.id, Pool()).with_cell(cell.vcpus, demand.load_milli)
            need = pool.pcpus - has
            taken = self.choose(node.id, need, "balanced", preferred) if need > 0 else {}
            if taken is None:
                return None
            more |= taken
        return placed, more

    def _cost(self, demand: Demand, placed: Placed, pool: dict[int, int]) -> int:
        cores = dict(self.cores)
        for index, count in (*placed.cores.items(), *pool.items()):
            cores[index] -= count
        memory = dict(self.memory)
        for cell in placed.fit.cells:
            memory[cell.node_id] = memory.get(cell.node_id, 0) - cell.memory_bytes
        cost = future_cost(self.supply, self.slot, left(self.supply, self.slot, cores, memory))
        if demand.dedicated and demand.pins is None:
            cost += sum(shape_costs(self.supply, demand, placed))
            cost += move_cost(self.supply, demand, placed)
        return cost

    def _commit(self, index: int, placed: Placed, pool: dict[int, int]) -> None:
        for group, count in (*placed.cores.items(), *pool.items()):
            self.cores[group] -= count
        for group, count in pool.items():
            self.pool[group] = self.pool.get(group, 0) + count
        for cell in placed.fit.cells:
            self.memory[cell.node_id] = self.memory.get(cell.node_id, 0) - cell.memory_bytes
            if not self.demands[index].dedicated:
                old = self.pools.get(cell.node_id, Pool())
                load = self.demands[index].load_milli
                self.pools[cell.node_id] = old.with_cell(cell.vcpus, load)
        if self.demands[index].locality == "isolation":
            self.locked |= set(placed.cores)
        self.placed[index] = placed

    def choose(
        self, node_id: int, pcpus: int, locality: Locality, preferred: dict[int, int]
    ) -> dict[int, int] | None:
        """Return cores of one node for a cell, by group; None where there are too few.

        Args:
            node_id: The node.
            pcpus: How many pCPUs their threads must be, at least.
            locality: How clusters are to be used.
            preferred: Groups that are better than others that are equal otherwise.
        """
        groups = [
            group
            for group in self.supply.nodes[node_id].groups
            if self.cores[group.index]
            and group.index not in self.locked
            and (locality != "isolation" or self.cores[group.index] == len(group.cores))
        ]
        if sum(self.cores[group.index] * group.threads for group in groups) < pcpus:
            return None
        taken: dict[int, int] = {}
        for domain in self._domains(groups, pcpus):
            pcpus -= (self._spread if locality == "bandwidth" else self._packed)(
                domain, pcpus, preferred, taken
            )
        return taken

    def _domains(self, groups: Sequence[CoreGroup], pcpus: int) -> Iterator[list[CoreGroup]]:
        """Yield the groups of each die: the one that fits best, else the one with most first."""
        domains: dict[tuple[int, int], list[CoreGroup]] = {}
        for group in groups:
            domains.setdefault(group.domain, []).append(group)

        def free(domain: list[CoreGroup]) -> int:
            return sum(self.cores[group.index] * group.threads for group in domain)

        remaining = list(domains.values())
        while remaining and pcpus > 0:
            enough = [domain for domain in remaining if free(domain) >= pcpus]
            chosen = min(enough, key=free) if enough else max(remaining, key=free)
            remaining.remove(chosen)
            pcpus -= free(chosen)
            yield chosen

    def _packed(
        self,
        groups: Sequence[CoreGroup],
        pcpus: int,
        preferred: dict[int, int],
        taken: dict[int, int],
    ) -> int:
        """Take cores of as few groups as possible, the tightest that is enough last."""
        got = 0
        remaining = list(groups)
        while remaining and got < pcpus:
            sizes = {g.index: self.cores[g.index] * g.threads for g in remaining}
            enough = [g for g in remaining if sizes[g.index] >= pcpus - got]
            if enough:
                best = min(
                    enough,
                    key=lambda g: (-min(preferred.get(g.index, 0), 1), sizes[g.index], g.index),
                )
            else:
                best = max(
                    remaining,
                    key=lambda g: (sizes[g.index], preferred.get(g.index, 0), -g.index),
                )
            remaining.remove(best)
            count = min(self.cores[best.index], -(-(pcpus - got) // best.threads))
            taken[best.index] = count
            got += count * best.threads
        return got

    def _spread(
        self,
        groups: Sequence[CoreGroup],
        pcpus: int,
        preferred: dict[int, int],
        taken: dict[int, int],
    ) -> int:
        """Take one core of each group after the other, those with most free cores first."""
        got = 0
        ordered = sorted(
            groups, key=lambda g: (-preferred.get(g.index, 0), -self.cores[g.index], g.index)
        )
        while got < pcpus and any(self.cores[g.index] > taken.get(g.index, 0) for g in ordered):
            for group in ordered:
                if got < pcpus and self.cores[group.index] > taken.get(group.index, 0):
                    taken[group.index] = taken.get(group.index, 0) + 1
                    got += group.threads
        return got


def greedy(supply: Supply, demands: Sequence[Demand]) -> Assignment:
    """Return a placement, the best of a few orders in which guests are placed."""
    return min(
        (_in_order(supply, demands, order) for order in _orders(demands)),
        key=lambda found: total(objective(supply, demands, found)),
    )


def _orders(demands: Sequence[Demand]) -> list[list[int]]:
    """Return orders: what has pins first, then the largest, the most constrained, the file's."""
    possible = [index for index, demand in enumerate(demands) if not demand.refusal]

    def size(index: int) -> tuple[int, int]:
        return -demands[index].vcpus, -demands[index].memory_bytes

    def related(index: int) -> int:
        return -len(demands[index].near) - len(demands[index].apart)

    orders = [
        sorted(possible, key=lambda n: (demands[n].pins is None, size(n))),
        sorted(
            possible,
            key=lambda n: (demands[n].pins is None, len(demands[n].fits), related(n), size(n)),
        ),
        sorted(possible, key=lambda n: demands[n].pins is None),
    ]
    return [order for n, order in enumerate(orders) if order not in orders[:n]]


def _in_order(supply: Supply, demands: Sequence[Demand], order: Sequence[int]) -> Assignment:
    board = Board(supply, demands)
    for index in order:
        board.place(index)
    return board.assignment()
