"""A fleet's state as arrays, and the decision where one more guest goes.

A guest goes where it takes the least from what the fleet could still run, and strands the least.
For each flavor that was asked for, a server has so many slots (for a guest of two cells on two
nodes, the closed form of arXiv 2604.15033); a placement costs the slots that it takes, weighed by
how often that flavor is asked for and how few slots of it are left (a fragmentation gradient, as in
FGD, USENIX ATC 2023), and what it strands: pCPUs that no memory is left for, memory that no pCPUs
are left for.  So guests rich in memory meet servers rich in memory.  If asked to, it also costs
what it leaves on a node where nothing fits any more.
To open a server that runs nothing costs a little, and all that is stranded on it from the first:
it is better than a bad place on an open one, and no better than a good one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtboost.errors import InputError
from virtboost.model.fleet_plan import (
    CellPlace,
    Filtered,
    FleetAssignment,
    FleetRefusal,
    FleetRequest,
    FleetServer,
    Name,
)
from virtboost.plan import fleet_score
from virtboost.plan.fleet_score import Counts, Flags, Flavor, Rows

OPEN_LARGE = 0.025
"""Slots that a server is worth, where one is opened, for each time that it is worth the average."""

STRANDED = 0.3
"""Slots that a stranded pCPU costs."""

OPENING_PCPUS = 2.0
"""What opening a server costs, beside what is stranded on it, in stranded pCPUs."""

REWEIGH = 50
"""Decisions between two countings of the slots of all servers."""


class Held(NamedTuple):
    """A guest, and where it is."""

    request: FleetRequest
    server: int
    nodes: tuple[int, ...]


class Fleet:
    """Servers, and the guests that were placed on them."""

    def __init__(
        self,
        servers: Sequence[FleetServer],
        *,
        headroom: float = 0.0,
        stranded: float = STRANDED,
        unusable: float = 0.0,
    ) -> None:
        """Begin with servers and what they have left.

        Args:
            servers: They may differ in nodes and sizes.
            headroom: Share of each node's pCPUs and memory that stays free, 0 to 1.
            stranded: Slots that a stranded pCPU costs: more strands less, less is more requests
                that fit where the fleet is short.
            unusable: Slots that a pCPU costs on a node where nothing fits any more, beside what
                is stranded there: what is left is good for something, on a few more servers.

        Raises:
            InputError: There is none, or two have one name.
        """
        names = Counter(server.name for server in servers)
        double = [name for name, count in names.items() if count > 1]
        if double or not servers:
            raise InputError(f"fleet: {f'two servers {double[0]}' if double else 'no server'}")
        self.servers = tuple(servers)
        width = max(len(server.nodes) for server in servers)
        self._cpus = np.zeros((len(servers), width))
        self._memory = np.zeros((len(servers), width))
        for row, server in enumerate(servers):
            for node, each in enumerate(server.nodes):
                self._cpus[row, node] = int(each.cpus * (1 - headroom))
                self._memory[row, node] = int(each.memory_bytes * (1 - headroom))
        self._whole = (self._cpus.copy(), self._memory.copy())
        self._worth = np.zeros(len(servers))
        self._arch = np.array([server.arch or "" for server in servers])
        self._generation = np.array([server.generation or "" for server in servers])
        self._price = stranded
        self.unusable_price = unusable
        """Slots that a pCPU costs where nothing fits any more; what is placed next heeds it."""
        self._held: dict[Name, Held] = {}
        self._groups: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self._guests = np.zeros(len(servers), np.intp)
        self._asked: Counter[Flavor] = Counter()
        self._weights: dict[Flavor, float] = {}
        self._decisions = 0
        self._sets = _NodeSets(servers, width)
        self._shapes = self._sets.shapes(*self._whole)

    @property
    def used(self) -> Flags:
        """Which servers hold a guest that was placed."""
        return self._guests > 0

    def place(self, request: FleetRequest) -> FleetAssignment | FleetRefusal:
        """Place one more guest; what is there already stays where it is.

        Raises:
            InputError: The name is taken, or the size is none.
        """
        _require(request, self._held)
        flavor = flavor_of(request)
        self._asked[flavor] += 1
        feasible = self._rooms(flavor) & self._allowed(request)[:, None]
        if not feasible.any():
            return self._refusal(request)
        server, nodes = self._best(flavor, self._near(request, feasible))
        return self._put(request, flavor, server, nodes)

    def hold(self, request: FleetRequest, server: int, nodes: tuple[int, ...]) -> None:
        """Know of a guest that runs already, whose room the servers count as taken.

        Args:
            request: The guest.
            server: Number of the server that it runs on.
            nodes: Number of the node of each of its cells.

        Raises:
            InputError: The name is taken, or the size is none.
        """
        _require(request, self._held)
        self._asked.setdefault(flavor_of(request), 1)
        self._shapes[server] = len(self.servers) + server
        self._add(flavor_of(request), Held(request, server, nodes), 1)
        self._put(request, flavor_of(request), server, nodes)
        self._guests[server] += 1

    def expect(self, flavors: Counter[Flavor]) -> None:
        """Know beforehand what will be asked for, as a batch does."""
        self._asked.update(flavors)

    def release(self, name: Name) -> None:
        """Take a guest away.

        Raises:
            InputError: There is none of that name.
        """
        if name not in self._held:
            raise InputError(f"fleet: no guest {name}")
        held = self._held.pop(name)
        self._add(flavor_of(held.request), held, 1)
        if held.request.strategy:
            self._groups[group_of(held.request)].remove((held.server, held.request.domain))

    def guests(self, server: int) -> tuple[FleetRequest, ...]:
        """Return the guests that were placed on a server."""
        return tuple(held.request for held in self._held.values() if held.server == server)

    def free(self) -> tuple[Counts, Counts]:
        """Return free pCPUs and bytes of memory by server and node; headroom is not free."""
        return self._cpus.copy(), self._memory.copy()

    def assignments(self) -> tuple[FleetAssignment, ...]:
        """Return where every guest is that was placed."""
        return tuple(self._assignment(held) for held in self._held.values())

    def room(self, flavor: Flavor) -> Flags:
        """Return (server, node) -> whether a cell of one more guest of a flavor has room there."""
        fits: Flags = (self._cpus >= flavor.vcpus) & (self._memory >= flavor.memory_bytes)
        room: Flags = fits & (fits.sum(1) >= flavor.cells)[:, None]
        return room

    def slots(self, flavor: Flavor) -> Counts:
        """Return how many more guests of a flavor each server could take, were it for them alone.

        Of more than one cell: on nodes that may all go together.
        """
        return fleet_score.slots(
            fleet_score.per_node(self._cpus, self._memory, flavor), flavor.cells
        )

    def filters(self, request: FleetRequest) -> Iterator[tuple[str, Flags]]:
        """Yield the conditions on a server by name, and which servers meet each."""
        flavor = flavor_of(request)
        yield "architecture", _same(self._arch, request.arch)
        yield "generation", _same(self._generation, request.generation)
        yield "cpus", _enough(self._cpus >= flavor.vcpus, flavor.cells)
        yield "memory", _enough(self._memory >= flavor.memory_bytes, flavor.cells)
        yield "numa", np.asarray(self._rooms(flavor).any(1))
        yield request.strategy or "strategy", self._rule(request)

    def _allowed(self, request: FleetRequest) -> Flags:
        same = _same(self._arch, request.arch) & _same(self._generation, request.generation)
        return self._rule(request) & same

    def _rule(self, request: FleetRequest) -> Flags:
        met = np.ones(len(self.servers), bool)
        if request.strategy in ("anti-affinity", "fault_domain"):
            apart = request.strategy == "anti-affinity"
            members = self._groups.get(group_of(request), [])
            met[[row for row, domain in members if apart or domain != request.domain]] = False
        return met

    def _near(self, request: FleetRequest, feasible: Flags) -> Flags:
        """Return where the group is already, where that has room; else all that has."""
        if request.strategy != "affinity":
            return feasible
        near = feasible & self._with_group(request)[:, None]
        return near if near.any() else feasible

    def _with_group(self, request: FleetRequest) -> Flags:
        here = np.zeros(len(self.servers), bool)
        here[[row for row, _ in self._groups.get(group_of(request), [])]] = True
        return here

    def _rooms(self, flavor: Flavor) -> Flags:
        """Return (server, set of nodes) -> whether a guest has room there."""
        fits = (self._cpus >= flavor.vcpus) & (self._memory >= flavor.memory_bytes)
        return self._sets.all(fits, flavor.cells)

    def _best(self, flavor: Flavor, feasible: Flags) -> tuple[int, tuple[int, ...]]:
        """Return the server and nodes that cost least; the first of equals."""
        rows = self._distinct(feasible)
        cost = self._loss(flavor, rows) + self._sets.detour(rows, flavor.cells)
        cost += self._waste(flavor, rows)
        cost -= OPEN_LARGE * np.where(self.used[rows], 0, self._worth[rows])[:, None]
        cost[~feasible[rows]] = np.inf
        row, number = divmod(int(np.argmin(cost)), cost.shape[1])
        return int(rows[row]), self._sets.of(flavor.cells)[number]

    def _distinct(self, feasible: Flags) -> Rows:
        """Return the servers to choose from: of those that run nothing, the first of a shape."""
        some = feasible.any(1)
        closed = np.flatnonzero(some & ~self.used)
        _, first = np.unique(self._shapes[closed], return_index=True)
        return np.sort(np.concatenate((np.flatnonzero(some & self.used), closed[first])))

    def _loss(self, flavor: Flavor, rows: Rows) -> Counts:
        """Return (row, set of nodes) -> slots that a guest takes from the flavors, weighed."""
        sets = self._sets.of(flavor.cells)
        cpus, memory = self._cpus[rows], self._memory[rows]
        lost = np.zeros((len(rows), len(sets)))
        for other, weight in self._weighed():
            before = fleet_score.per_node(cpus, memory, other)
            after = fleet_score.per_node(cpus - flavor.vcpus, memory - flavor.memory_bytes, other)
            if other.cells == 1:
                lost += weight * self._sets.sum(before - after, flavor.cells)
                continue
            slots = fleet_score.slots(before, other.cells)
            for number, nodes in enumerate(sets):
                left = before.copy()
                left[:, nodes] = after[:, nodes]
                lost[:, number] += weight * (slots - fleet_score.slots(left, other.cells))
        return lost

    def _waste(self, flavor: Flavor, rows: Rows) -> Counts:
        """Return (row, set of nodes) -> slots that what a guest leaves to no use costs.

        And what opening a server costs, with what is stranded on it from the first.
        """
        cpus, memory = self._cpus[rows], self._memory[rows]
        left = (cpus - flavor.vcpus, memory - flavor.memory_bytes)
        before = fleet_score.stranded(cpus, memory, self._asked)
        more = self._price * (fleet_score.stranded(*left, self._asked) - before)
        if self.unusable_price:
            now = fleet_score.unusable(cpus, memory, self._asked)
            then = fleet_score.unusable(*left, self._asked)
            more += self.unusable_price * (then - now)
        opening = np.where(self.used[rows], 0, before.sum(1) + OPENING_PCPUS)
        waste: Counts = self._sets.sum(more, flavor.cells) + self._price * opening[:, None]
        return waste

    def _weighed(self) -> list[tuple[Flavor, float]]:
        """Return the flavors with their weights, counted anew now and then."""
        if self._decisions % REWEIGH == 0 or len(self._weights) != len(self._asked):
            slots = {flavor: max(int(self.slots(flavor).sum()), 1) for flavor in self._asked}
            self._weights = {flavor: n / slots[flavor] for flavor, n in self._asked.items()}
            self._worth = fleet_score.worth(*self._whole, self._asked)
        self._decisions += 1
        return list(self._weights.items())

    def _put(
        self, request: FleetRequest, flavor: Flavor, server: int, nodes: tuple[int, ...]
    ) -> FleetAssignment:
        held = Held(request, server, nodes)
        self._held[request.name] = held
        self._add(flavor, held, -1)
        if request.strategy:
            self._groups[group_of(request)].append((server, request.domain))
        return self._assignment(held)

    def _assignment(self, held: Held) -> FleetAssignment:
        server = self.servers[held.server]
        vcpus, memory_bytes, _ = flavor_of(held.request)
        cells = tuple(
            CellPlace(node=server.nodes[node].id, vcpus=vcpus, memory_bytes=memory_bytes)
            for node in held.nodes
        )
        return FleetAssignment(request=held.request.name, server=server.name, cells=cells)

    def _add(self, flavor: Flavor, held: Held, sign: int) -> None:
        for node in held.nodes:
            self._cpus[held.server, node] += sign * flavor.vcpus
            self._memory[held.server, node] += sign * flavor.memory_bytes
        self._guests[held.server] -= sign

    def _refusal(self, request: FleetRequest) -> FleetRefusal:
        left = np.ones(len(self.servers), bool)
        asked = []
        for name, met in self.filters(request):
            kept = left & met
            asked.append(
                Filtered(filter=name, removed=int((left & ~met).sum()), left=int(kept.sum()))
            )
            left = kept
        last = next(each for each in asked if each.left == 0)
        reason = f"{last.filter}: none of the {last.removed} servers that were left"
        return FleetRefusal(request=request.name, reason=reason, filters=tuple(asked))


class _NodeSets:
    """The sets of nodes that the cells of a guest may lie on, nearest first."""

    def __init__(self, servers: Sequence[FleetServer], width: int) -> None:
        self._width = width
        self._sets: dict[int, list[tuple[int, ...]]] = {}
        self._detours: dict[int, Counts] = {}
        self._distances = np.full((len(servers), width, width), 10.0)
        for row, server in enumerate(servers):
            for node, distances in enumerate(server.distances):
                self._distances[row, node, : len(distances)] = distances

    def of(self, cells: int) -> list[tuple[int, ...]]:
        if cells not in self._sets:
            self._sets[cells] = list(combinations(range(self._width), cells))
        return self._sets[cells]

    def all(self, fits: Flags, cells: int) -> Flags:
        sets = self.of(cells)
        if cells == 1:
            return fits
        if not sets:
            return np.zeros((len(fits), 1), bool)
        return np.stack([fits[:, nodes].all(1) for nodes in sets], 1)

    def sum(self, values: Counts, cells: int) -> Counts:
        if cells == 1:
            return values
        return np.stack([values[:, nodes].sum(1) for nodes in self.of(cells)], 1)

    def shapes(self, cpus: Counts, memory: Counts) -> Rows:
        """Return a number for each server: those alike in nodes and distances have the same."""
        apart = self._distances.reshape(len(cpus), -1)
        alike = np.unique(np.hstack((cpus, memory, apart)), axis=0, return_inverse=True)[1]
        return np.asarray(alike).reshape(-1)

    def detour(self, rows: Rows, cells: int) -> Counts:
        """Return how much farther apart a set of nodes is than the nearest, in slots.

        One unit of SLIT distance more costs as much as all slots of a server do.
        """
        if cells not in self._detours:
            apart = [
                self._distances[:, nodes][:, :, nodes].mean((1, 2)) for nodes in self.of(cells)
            ]
            self._detours[cells] = np.stack(apart, 1) * _FAR
        found: Counts = self._detours[cells][rows]
        return found


_FAR = 1e3


def flavor_of(request: FleetRequest) -> Flavor:
    """Return what a guest takes of each of its nodes, rounded up."""
    cells = request.cells
    return Flavor(-(-request.vcpus // cells), -(-request.memory_bytes // cells), cells)


def _require(request: FleetRequest, held: dict[Name, Held]) -> None:
    if request.name in held:
        raise InputError(f"fleet: guest {request.name} is there already")
    if min(request.vcpus, request.memory_bytes, request.cells) < 1:
        raise InputError(f"fleet: guest {request.name}: vcpus, memory and cells are 1 or more")


def _enough(nodes: Flags, cells: int) -> Flags:
    return np.asarray(nodes.sum(1) >= cells)


def _same(values: NDArray[np.str_], wanted: str | None) -> Flags:
    return np.ones(len(values), bool) if wanted is None else np.asarray(values == wanted)


def group_of(request: FleetRequest) -> tuple[str, str]:
    """Return what tells one group from another: names are of one strategy."""
    return (request.strategy or "", request.group)
