"""A whole batch of requests on a fleet, and what there is to say of the result."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from virtboost.model.fleet_plan import (
    FleetAssignment,
    FleetPlan,
    FleetRefusal,
    FleetRequest,
    FleetServer,
    FleetTotals,
    Name,
    Objective,
)
from virtboost.plan.fleet import OPENING_PCPUS, STRANDED, Fleet, flavor_of
from virtboost.plan.fleet_moves import UNUSABLE, MovableFleet
from virtboost.plan.fleet_score import Flags

Free = dict[Name, dict[int, list[int]]]
"""Server -> node -> pCPUs and bytes of memory that are free."""

Outcome = FleetAssignment | FleetRefusal


_UNUSABLE = {Objective.SERVERS: 0.0, Objective.STRANDED: UNUSABLE}
"""Slots that a pCPU costs on a node where nothing fits any more."""


def place_one_by_one(
    servers: Sequence[FleetServer],
    requests: Sequence[FleetRequest],
    *,
    headroom: float = 0.0,
    objective: Objective = Objective.SERVERS,
) -> FleetPlan:
    """Place requests as they come, without a look at the later ones; nobody moves.

    Raises:
        InputError: Two have one name, or a size is none.
    """
    fleet = Fleet(servers, headroom=headroom, unusable=_UNUSABLE[objective])
    return plan_of(fleet, requests, [fleet.place(request) for request in requests])


def place_batch(
    servers: Sequence[FleetServer],
    requests: Sequence[FleetRequest],
    *,
    headroom: float = 0.0,
    objective: Objective = Objective.SERVERS,
) -> FleetPlan:
    """Place requests that are all known: as many as may be, and then with little waste.

    Waste is servers, and what is stranded on them.  Where not all have a place, servers are
    emptied at any price: for those that were refused.  In the end guests move off nodes where
    nothing fits any more, on the servers that are used.

    Raises:
        InputError: Two have one name, or a size is none.
    """
    way = _Way(_as_asked, STRANDED, _UNUSABLE[objective])
    fleet, refused = first = _tried(servers, requests, headroom, way)
    if refused:
        more = (_tried(servers, requests, headroom, way) for way in _WHEN_SHORT)
        fleet, refused = min(
            (first, *more), key=lambda each: (len(each[1]), int(each[0].used.sum()))
        )
    most = math.inf if refused else OPENING_PCPUS
    _consolidate(fleet, most)
    while refused and _retried(fleet, requests, refused):
        _consolidate(fleet, most)
    fleet.unusable_price = UNUSABLE
    while fleet.relieve():
        _consolidate(fleet, most)
    placed = {each.request: each for each in fleet.assignments()}
    return plan_of(fleet, requests, [placed.get(r.name) or refused[r.name] for r in requests])


def _as_asked(_: FleetRequest) -> tuple[int, ...]:
    return ()


def _large_first(request: FleetRequest) -> tuple[int, ...]:
    return (-request.cells, -request.memory_bytes, -request.vcpus)


def _small_first(request: FleetRequest) -> tuple[int, ...]:
    return (request.cells, request.memory_bytes, request.vcpus)


STRANDED_WHEN_SHORT = 0.02
"""Slots that a stranded pCPU costs where small guests come first, for the most of them."""


class _Way(NamedTuple):
    """In which order guests are placed, and the prices of what is stranded and unusable then."""

    order: Callable[[FleetRequest], tuple[int, ...]]
    stranded: float = STRANDED
    unusable: float = 0.0


_WHEN_SHORT = (_Way(_large_first), _Way(_small_first, STRANDED_WHEN_SHORT))
"""Other ways for a fleet without room for all."""


def _tried(
    servers: Sequence[FleetServer],
    requests: Sequence[FleetRequest],
    headroom: float,
    way: _Way,
) -> tuple[MovableFleet, dict[Name, FleetRefusal]]:
    fleet = MovableFleet(servers, headroom=headroom, stranded=way.stranded, unusable=way.unusable)
    fleet.expect(Counter(map(flavor_of, requests)))
    made = [fleet.place(request) for request in sorted(requests, key=way.order)]
    return fleet, {each.request: each for each in made if isinstance(each, FleetRefusal)}


def _retried(
    fleet: Fleet, requests: Iterable[FleetRequest], refused: dict[Name, FleetRefusal]
) -> bool:
    """Place refused requests on what consolidation has freed; tell whether any found a place."""
    found = False
    for request in sorted((r for r in requests if r.name in refused), key=_small_first):
        if isinstance(fleet.place(request), FleetAssignment):
            del refused[request.name]
            found = True
    return found


def _consolidate(fleet: MovableFleet, most: float) -> None:
    """Empty servers, those with the fewest guests first, until none can be emptied.

    Each may strand so many pCPUs more on the others.
    """
    again = True
    while again:
        used = [int(server) for server in np.flatnonzero(fleet.used)]
        by_guests = sorted(used, key=lambda server: (len(fleet.guests(server)), -server))
        emptied = [fleet.empty(server, most) for server in by_guests]
        again = any(emptied) | fleet.gather()


def plan_of(fleet: Fleet, requests: Sequence[FleetRequest], made: Sequence[Outcome]) -> FleetPlan:
    """Return a fleet's plan.

    Args:
        fleet: With everything in its place.
        requests: What was asked for.
        made: What became of each.
    """
    assignments = tuple(each for each in made if isinstance(each, FleetAssignment))
    refused = tuple(each for each in made if isinstance(each, FleetRefusal))
    stranded = _stranded(fleet, requests)
    cpus, memory = fleet.free()
    totals = FleetTotals(
        requests=len(requests),
        placed=len(assignments),
        refused=len(refused),
        servers=len(fleet.servers),
        servers_used=int(fleet.used.sum()),
        violations=violations(fleet.servers, requests, assignments),
        stranded_cpus=int(cpus[stranded].sum()),
        stranded_memory_bytes=int(memory[stranded].sum()),
    )
    return FleetPlan(assignments=assignments, refused=refused, totals=totals)


def _stranded(fleet: Fleet, requests: Iterable[FleetRequest]) -> Flags:
    """Return the nodes of used servers where no request's size has room any more."""
    cpus, _ = fleet.free()
    useful = np.zeros(cpus.shape, bool)
    for flavor in set(map(flavor_of, requests)):
        useful |= fleet.room(flavor)
    return ~useful & fleet.used[:, None]


def violations(
    servers: Sequence[FleetServer],
    requests: Iterable[FleetRequest],
    assignments: Iterable[FleetAssignment],
) -> int:
    """Count what is against a strategy, from nothing but the result.

    A pair on one server that must be apart counts once.  So does a guest with affinity that is
    alone of its group on a server, while one where the group was before has room for it.
    """
    asked = {request.name: request for request in requests}
    free: Free = {
        server.name: {n.id: [n.cpus, n.memory_bytes] for n in server.nodes} for server in servers
    }
    groups: defaultdict[tuple[str, str], list[FleetAssignment]] = defaultdict(list)
    for each in assignments:
        for cell in each.cells:
            free[each.server][cell.node][0] -= cell.vcpus
            free[each.server][cell.node][1] -= cell.memory_bytes
        request = asked[each.request]
        if request.strategy:
            groups[request.strategy, request.group].append(each)
    return sum(
        _against(strategy, members, asked, free) for (strategy, _), members in groups.items()
    )


def _against(
    strategy: str,
    members: Sequence[FleetAssignment],
    asked: dict[Name, FleetRequest],
    free: Free,
) -> int:
    if strategy == "affinity":
        return _astray(members, free)
    on: defaultdict[Name, list[FleetAssignment]] = defaultdict(list)
    for each in members:
        on[each.server].append(each)
    apart = strategy == "anti-affinity"
    return sum(
        apart or asked[a.request].domain != asked[b.request].domain
        for together in on.values()
        for number, a in enumerate(together)
        for b in together[:number]
    )


def _astray(members: Sequence[FleetAssignment], free: Free) -> int:
    on = Counter(each.server for each in members)
    before: set[Name] = set()
    count = 0
    for each in members:
        if on[each.server] == 1:
            count += any(_has_room(free[server], each) for server in before)
        before.add(each.server)
    return count


def _has_room(nodes: dict[int, list[int]], guest: FleetAssignment) -> bool:
    cell = guest.cells[0]
    fits = [cpus >= cell.vcpus and memory >= cell.memory_bytes for cpus, memory in nodes.values()]
    return sum(fits) >= len(guest.cells)
