"""How full one host is, which guests straddle nodes, and the fewest moves that mend it.

A guest that straddles nodes for no reason must move, so their number is the least that a list of
moves can have.  They are planned anew while all others stay; where that does not mend them, or does
not make as much room as a plan of the whole host would, one more guest moves, then two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice

from msgspec import Struct
from msgspec.structs import replace

from virtboost.model.container import Container
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.density import HostDensity, Move, NodeDensity, Room, Straddler
from virtboost.model.fleet_plan import FleetServer, Name
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.placement import GuestPlacement
from virtboost.model.wording import listed, size
from virtboost.model.workload import ContainerRequest, GuestRequest, HostShare, Workload
from virtboost.plan.fleet import Fleet
from virtboost.plan.fleet_file import server_with
from virtboost.plan.fleet_score import Flavor
from virtboost.plan.plan import plan_host
from virtboost.plan.supply import Supply, guest_bytes, roams, supply_of

TRIED = 200
"""Most sets of guests to move that are planned for one host."""

MOST_MORE = 2
"""Guests that move only to make room."""


class Lying(Struct, frozen=True, kw_only=True):
    """What of a host a guest or container has."""

    pcpus: CpuSet
    """Its own; empty where it shares them."""
    memory_bytes: dict[int, int]
    """By node, as far as it is told."""
    node_ids: tuple[int, ...]
    """Nodes where its vCPUs may run, or its memory may be."""


class Occupied(Struct, frozen=True, kw_only=True):
    """A host, what runs there, and where."""

    name: Name
    host: Host
    lying: dict[str, Lying]

    @property
    def pcpus(self) -> CpuSet:
        """PCPUs of all that have their own."""
        return union(each.pcpus for each in self.lying.values())

    @property
    def memory_bytes(self) -> Counter[int]:
        """Memory of all, by node."""
        held: Counter[int] = Counter()
        for each in self.lying.values():
            held.update(each.memory_bytes)
        return held

    def supply(self) -> Supply:
        """Return what is left for more guests."""
        return supply_of(self.host, HostShare(), self.pcpus, self.memory_bytes)

    def left(self) -> FleetServer:
        """Return the same as a server of a fleet."""
        return server_with(self.name, self.host, self.supply())

    def rooms(self, flavors: Sequence[Flavor]) -> tuple[int, ...]:
        """Return how many more guests of each flavor fit."""
        fleet = Fleet([self.left()])
        return tuple(int(fleet.slots(flavor).sum()) for flavor in flavors)

    def with_placements(self, placements: Sequence[GuestPlacement]) -> Occupied:
        """Return the same host with some guests somewhere else."""
        moved = {placement.name: _planned(placement) for placement in placements}
        return replace(self, lying={**self.lying, **moved})


def occupied(name: Name, host: Host) -> Occupied:
    """Return where everything on a host is now."""
    guests = {guest.name: _guest(host, guest) for guest in host.running_guests}
    containers = {each.name: _container(host, each) for each in host.containers if each.cpuset}
    return Occupied(name=name, host=host, lying=containers | guests)


def flavor_now(request: GuestRequest) -> Flavor:
    """Return what a guest takes of each of its nodes; of a shared pool, its share of the pCPUs."""
    cells = request.cells if isinstance(request.cells, int) else 1
    pcpus = -(-(request.vcpus or 1) // int(request.overcommit_ratio or 1))
    return Flavor(max(-(-pcpus // cells), 1), max(-(-(request.memory or 0) // cells), 1), cells)


class Mender:
    """The search for a host's fewest moves."""

    mended: Occupied
    """The host after them."""

    def __init__(self, now: Occupied, wanted: Workload, flavors: Mapping[Flavor, int]) -> None:
        """Begin with a host.

        Args:
            now: The host.
            wanted: What runs there, as a workload.
            flavors: The sizes that more guests may have, and how many of each run.
        """
        self.mended = self._now = now
        self._running = dict(flavors)
        self._flavors = sorted(flavors, key=_large_first)
        self._wanted = wanted
        self._node_ids = tuple(now.supply().nodes)
        self._requests = {request.name: request for request in self._wanted.requests()}
        self._torn = {each.name: each for each in _straddlers(now, self._wanted)}

    def density(self) -> HostDensity:
        """Return how full the host is, and what to move on it."""
        replan = plan_host(self._now.host, self._wanted, limit_s=0, anew=True)
        replanned = self._now if replan.unplaced else self._now.with_placements(replan.guests)
        rooms = [each.rooms(self._flavors) for each in (self._now, replanned)]
        self.mended = self._best(rooms[0], max(rooms))
        rooms.insert(1, self.mended.rooms(self._flavors))
        return HostDensity(
            server=self._now.name,
            nodes=tuple(_nodes(self._now, self._flavors)),
            straddling=tuple(self._torn.values()),
            rooms=tuple(
                _room(flavor, self._running[flavor], *counts)
                for flavor, *counts in zip(self._flavors, *rooms, strict=True)
            ),
            moves=tuple(self._moves(self.mended, rooms)),
            replan_moves=len(_differing(self._now, replanned)),
            notes=replan.notes,
        )

    def _best(self, now: tuple[int, ...], goal: tuple[int, ...]) -> Occupied:
        """Return the host after the fewest moves that reach the goal, or come nearest to it."""
        found, reached = self._now, (-len(self._torn), now)
        for names in islice(self._chosen(), TRIED):
            after = self._planned(names)
            if after is None:
                continue
            torn = sum(self._is_torn(after, name) for name in self._torn)
            room = (-torn, after.rooms(self._flavors))
            if room > reached:
                found, reached = after, room
            if reached >= (0, goal):
                break
        return found

    def _chosen(self) -> Iterator[tuple[str, ...]]:
        """Yield sets of guests to move, the smallest first; then those that straddle, each alone.

        One that moves only to make room should be cheap to move.
        """
        torn = tuple(self._torn)
        others = sorted(self._requests.keys() - self._torn, key=self._price)
        for more in range(MOST_MORE + 1):
            for chosen in combinations(others, more):
                if torn or chosen:
                    yield (*torn, *chosen)
            if more == 0 and len(torn) > 1:
                yield from ((name,) for name in torn)

    def _price(self, name: str) -> tuple[bool, int, str]:
        """Return what makes a guest costly to move: a device, then its memory."""
        return bool(hindrance_of(self._now.host, name)), self._requests[name].memory or 0, name

    def _planned(self, names: Sequence[str]) -> Occupied | None:
        """Return the host after some are planned while all others stay.

        Those that do not straddle leave their nodes.  None: no room, or one more would straddle.
        """
        chosen = [self._leaving(self._requests[name]) for name in names]
        workload = Workload(
            guests=tuple(each for each in chosen if isinstance(each, GuestRequest)),
            containers=tuple(each for each in chosen if isinstance(each, ContainerRequest)),
        )
        plan = plan_host(self._now.host, workload, limit_s=0)
        after = self._now.with_placements(plan.guests)
        worse = (self._is_torn(after, name) for name in names if name not in self._torn)
        return None if plan.unplaced or any(worse) else after

    def _leaving(self, request: GuestRequest | ContainerRequest) -> GuestRequest | ContainerRequest:
        here = self._now.lying[request.name].node_ids
        others = tuple(node_id for node_id in self._node_ids if node_id not in here)
        return request if request.name in self._torn else replace(request, nodes=others or None)

    def _is_torn(self, after: Occupied, name: str) -> bool:
        return len(after.lying[name].node_ids) > _cells(self._requests[name])

    def _moves(self, after: Occupied, rooms: Sequence[Sequence[int]]) -> Iterator[Move]:
        """Yield the moves in an order in which each finds its place free, where there is one."""
        waiting = _differing(self._now, after)
        state = self._now
        while waiting:
            free = next((name for name in waiting if _is_free(state, after, name, waiting)), None)
            name = waiting[0] if free is None else free
            waiting.remove(name)
            others = [each for each in waiting if free is None and _meet(state, after, name, each)]
            yield self._move(after, name, rooms, others)
            state = replace(state, lying={**state.lying, name: after.lying[name]})

    def _move(
        self, after: Occupied, name: str, rooms: Sequence[Sequence[int]], others: list[str]
    ) -> Move:
        hindrance = hindrance_of(self._now.host, name)
        together = f"at one time with {listed(others)}, whose place it takes" if others else None
        torn = self._torn.get(name)
        return Move(
            name=name,
            kind="guest" if isinstance(self._requests[name], GuestRequest) else "container",
            server=self._now.name,
            to_server=self._now.name,
            node_ids=self._now.lying[name].node_ids,
            to_node_ids=after.lying[name].node_ids,
            to_pcpus=after.lying[name].pcpus or None,
            reason=torn.reason if torn else self._gain(rooms),
            live=hindrance is None,
            hindrance=hindrance or together,
        )

    def _gain(self, rooms: Sequence[Sequence[int]]) -> str:
        gains = [
            f"{after} and not {before} more {_told(flavor)}"
            for flavor, before, after in zip(self._flavors, rooms[0], rooms[1], strict=True)
            if after > before
        ]
        return f"room for {listed(gains, 2)}" if gains else "makes room for those that straddle"


def _large_first(flavor: Flavor) -> tuple[int, int, int]:
    return -flavor.memory_bytes * flavor.cells, -flavor.vcpus * flavor.cells, flavor.cells


def _told(flavor: Flavor) -> str:
    cells = f" on {flavor.cells} nodes" if flavor.cells > 1 else ""
    memory = size(flavor.memory_bytes * flavor.cells)
    return f"guests of {flavor.vcpus * flavor.cells} vCPUs and {memory}{cells}"


def _room(flavor: Flavor, running: int, now: int, moved: int, replanned: int) -> Room:
    return Room(
        vcpus=flavor.vcpus * flavor.cells,
        memory_bytes=flavor.memory_bytes * flavor.cells,
        cells=flavor.cells,
        running=running,
        now=now,
        moved=moved,
        replanned=replanned,
    )


def _guest(host: Host, guest: Guest) -> Lying:
    pins = _pins(host, guest)
    memory = {node_id for cell in guest.cells for node_id in cell.node_ids or ()}
    on = {node.id for node in host.topology.nodes_of(pins)}
    return Lying(
        pcpus=CpuSet() if roams(host.topology, pins) else pins,
        memory_bytes=guest_bytes(host, [guest]),
        node_ids=tuple(sorted(on | memory | set(guest.node_ids or ()))),
    )


def _pins(host: Host, guest: Guest) -> CpuSet:
    """Return the pCPUs that a guest's vCPUs may run on."""
    return union(guest.vcpu_pins.values()) if guest.pinned else host.topology.online


def _container(host: Host, container: Container) -> Lying:
    cpus = container.cpuset or CpuSet()
    on = {node.id for node in host.topology.nodes_of(cpus)}
    return Lying(
        pcpus=CpuSet() if roams(host.topology, cpus) else cpus,
        memory_bytes={},
        node_ids=tuple(sorted(on | set(container.node_ids or ()))),
    )


def _planned(placement: GuestPlacement) -> Lying:
    memory: Counter[int] = Counter()
    for cell in placement.cells:
        memory[cell.node_id] += cell.memory_bytes
    return Lying(
        pcpus=placement.pcpus if placement.dedicated else CpuSet(),
        memory_bytes={} if placement.kind == "container" else dict(memory),
        node_ids=placement.node_ids,
    )


def _cells(request: GuestRequest | ContainerRequest) -> int:
    cells = request.cells if isinstance(request, GuestRequest) else 1
    return cells if isinstance(cells, int) else 1


def _straddlers(now: Occupied, wanted: Workload) -> Iterator[Straddler]:
    whole = supply_of(now.host, HostShare(), CpuSet(), {}).nodes.values()
    for request in wanted.guests:
        lying = now.lying[request.name]
        flavor = flavor_now(request)
        holds = sum(
            node.pcpus >= flavor.vcpus and node.memory_bytes >= flavor.memory_bytes
            for node in whole
        )
        if len(lying.node_ids) > flavor.cells <= holds:
            yield Straddler(
                name=request.name, node_ids=lying.node_ids, reason=_why(now, request, flavor)
            )


def _why(now: Occupied, request: GuestRequest, flavor: Flavor) -> str:
    guest = next(each for each in now.host.running_guests if each.name == request.name)
    cpu_nodes = [str(node.id) for node in now.host.topology.nodes_of(_pins(now.host, guest))]
    memory_nodes = [str(each) for each in sorted(now.lying[request.name].memory_bytes)]
    parts = [f"vCPUs may run on nodes {listed(cpu_nodes)}"]
    if guest.node_ids or any(cell.node_ids for cell in guest.cells):
        parts.append(f"memory is on {listed(memory_nodes)}")
    room = "one node has" if flavor.cells == 1 else f"{flavor.cells} nodes have"
    return f"{', '.join(parts)}; {room} room for all of it"


def _nodes(now: Occupied, flavors: Sequence[Flavor]) -> Iterator[NodeDensity]:
    supply, used, held = now.supply(), now.pcpus, now.memory_bytes
    fleet = Fleet([server_with(now.name, now.host, supply)])
    cores = now.host.topology.cores_of(used)
    for number, node in enumerate(supply.nodes.values()):
        found = next((each for each in now.host.topology.numa_nodes if each.id == node.id), None)
        cpus = now.host.topology.online if found is None else found.cpus
        useful = any(fleet.room(flavor)[0, number] for flavor in flavors) or not flavors
        yield NodeDensity(
            id=node.id,
            cpus=len(cpus),
            used_cpus=len(used & cpus),
            free_cpus=node.pcpus,
            sibling_cpus=(union(core.cpus for core in cores) - used) & cpus,
            whole_clusters=sum(g.whole for g in node.groups if g.cluster is not None),
            memory_bytes=now.host.memory.total_bytes if found is None else found.memory_bytes,
            used_bytes=held[node.id],
            free_bytes=node.memory_bytes,
            stranded_cpus=0 if useful else node.pcpus,
            stranded_bytes=0 if useful else node.memory_bytes,
        )


def _differing(one: Occupied, other: Occupied) -> list[str]:
    return [
        name
        for name, lying in one.lying.items()
        if (lying.pcpus, lying.node_ids) != (other.lying[name].pcpus, other.lying[name].node_ids)
    ]


def _is_free(state: Occupied, after: Occupied, name: str, waiting: Sequence[str]) -> bool:
    """Tell whether the place that a guest goes to is free already, its memory too."""
    if any(_meet(state, after, name, each) for each in waiting if each != name):
        return False
    here, there = state.lying[name], after.lying[name]
    nodes = state.supply().nodes
    free = {node_id: node.memory_bytes for node_id, node in nodes.items()}
    return all(
        count - here.memory_bytes.get(node_id, 0) <= free.get(node_id, 0)
        for node_id, count in there.memory_bytes.items()
    )


def _meet(state: Occupied, after: Occupied, name: str, other: str) -> bool:
    return not after.lying[name].pcpus.isdisjoint(state.lying[other].pcpus)


def hindrance_of(host: Host, name: str) -> str | None:
    """Return why a guest cannot be moved while it runs; None: nothing hinders it."""
    guest = next((each for each in host.running_guests if each.name == name), None)
    if guest is None or not guest.pci_addresses:
        return None
    return f"{listed(guest.pci_addresses)} is passed through and reaches its memory: stop it first"
