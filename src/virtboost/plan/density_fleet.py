"""How full a fleet is, and which hosts can be emptied with the fewest migrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from virtboost.model.density import Density, Move
from virtboost.model.fleet_plan import FleetAssignment, FleetRequest, Name
from virtboost.model.host import Host
from virtboost.model.workload import GuestRequest
from virtboost.plan.density import Mender, Occupied, flavor_now, hindrance_of, occupied
from virtboost.plan.fleet import Fleet
from virtboost.plan.fleet_moves import MovableFleet
from virtboost.plan.fleet_score import Flavor
from virtboost.plan.running import running_workload


def density(hosts: Sequence[tuple[str, Host]]) -> Density:
    """Return how full hosts are, what is stranded, and the moves that would free it.

    Args:
        hosts: What was scanned, each with the name that it was read by.

    Raises:
        InputError: Two hosts have one name.
    """
    now = [occupied(host.hostname or name, host) for name, host in hosts]
    wanted = [running_workload(host) for _, host in hosts]
    flavors = Counter(flavor_now(guest) for each in wanted for guest in each.guests)
    menders = [Mender(*each, flavors) for each in zip(now, wanted, strict=True)]
    found = [mender.density() for mender in menders]
    guests = [each.guests for each in wanted]
    moves, emptied = _emptied([mender.mended for mender in menders], guests, flavors)
    return Density(
        hosts=tuple(replace(h, moves=()) if h.server in emptied else h for h in found),
        moves=moves,
        emptied=emptied,
    )


def _emptied(
    hosts: Sequence[Occupied], guests: Sequence[Sequence[GuestRequest]], flavors: Counter[Flavor]
) -> tuple[tuple[Move, ...], tuple[Name, ...]]:
    """Return the moves that empty hosts, those with the fewest guests first.

    Nobody moves twice: a host that takes guests is not emptied.
    """
    if len(hosts) < 2:
        return (), ()
    fleet = MovableFleet([host.left() for host in hosts])
    fleet.expect(flavors)
    movable = []
    for number, (host, requests) in enumerate(zip(hosts, guests, strict=True)):
        held = list(_held(host, requests))
        for request, nodes in held:
            fleet.hold(_on(fleet, number, request), number, nodes)
        if held and len(held) == len(host.lying):
            movable.append((len(held), -number))
    moves: list[Move] = []
    emptied: list[Name] = []
    taking: set[Name] = set()
    for _, negative in sorted(movable):
        server = fleet.servers[-negative]
        before = {each.request: each for each in fleet.assignments() if each.server == server.name}
        if server.name in taking or not fleet.empty(-negative):
            continue
        after = [each for each in fleet.assignments() if each.request in before]
        moves += [_move(before[each.request], each) for each in after]
        taking |= {each.server for each in after}
        emptied.append(server.name)
    return tuple(moves), tuple(emptied)


def _held(
    host: Occupied, requests: Sequence[GuestRequest]
) -> Iterator[tuple[GuestRequest, tuple[int, ...]]]:
    """Yield the guests that may leave a host, with the number of the node of each cell."""
    numbers = {node_id: number for number, node_id in enumerate(host.supply().nodes)}
    for request in requests:
        nodes = tuple(numbers[i] for i in host.lying[request.name].node_ids if i in numbers)
        if len(nodes) == flavor_now(request).cells and not hindrance_of(host.host, request.name):
            yield request, nodes


def _on(fleet: Fleet, number: int, request: GuestRequest) -> FleetRequest:
    """Return a guest as it would be asked for: live migration stays within a generation."""
    server, flavor = fleet.servers[number], flavor_now(request)
    return FleetRequest(
        name=f"{server.name}/{request.name}",
        vcpus=flavor.vcpus * flavor.cells,
        memory_bytes=flavor.memory_bytes * flavor.cells,
        cells=flavor.cells,
        arch=server.arch,
        generation=server.generation,
    )


def _move(before: FleetAssignment, after: FleetAssignment) -> Move:
    return Move(
        name=str(before.request).removeprefix(f"{before.server}/"),
        server=before.server,
        to_server=after.server,
        node_ids=tuple(cell.node for cell in before.cells),
        to_node_ids=tuple(cell.node for cell in after.cells),
        reason=f"empties {before.server}",
        live=True,
    )
