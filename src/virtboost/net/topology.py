"""A design as it is built: what speaks with what, by racks and groups of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

from msgspec import Struct

from virtboost.net.calico import PAIR, flat_reflectors, reflection, typhas
from virtboost.net.description import Network
from virtboost.net.design import Design
from virtboost.net.mtu import Mtu, mtu
from virtboost.net.scale import scale_of

Role = Literal["reflector", "switch", "service"]
"""A route reflector, a top-of-rack switch, or something that is no BGP speaker."""

FABRICS = {
    "l2": "one subnet",
    "l3": "routers that know no pods",
    "bgp": "the fabric's routers, which know the pods' routes",
    "cloud": "a cloud's network, which drops addresses of pods",
}


class Racks(Struct, frozen=True, kw_only=True):
    """Racks that are alike."""

    count: int
    nodes: int
    """Of each."""
    architecture: str


class Cell(Struct, frozen=True, kw_only=True):
    """What stands together: a rack, or the racks of a group."""

    name: str
    """``rack 3``, ``group 1``."""
    racks: tuple[Racks, ...]
    speakers: int
    """Reflectors or switches of its own, which its nodes peer with."""

    @property
    def rack_count(self) -> int:
        """Racks, or parts of one, in it."""
        return sum(each.count for each in self.racks)

    @property
    def nodes(self) -> int:
        """Nodes in it."""
        return sum(each.count * each.nodes for each in self.racks)


class Above(Struct, frozen=True, kw_only=True):
    """What all cells connect to."""

    title: str
    role: Role
    count: int


class Topology(Struct, frozen=True, kw_only=True):
    """A design for a network, as a person would draw it."""

    cells: tuple[Cell, ...]
    role: Role
    """Of the cells' own speakers."""
    above: Above | None
    joined: str
    """How cells learn of each other."""
    inside: str
    """How nodes peer within their cell; empty: they do not."""
    fabric: str
    packets: str
    """How packets go from node to node."""
    beside: str
    """What runs too, and is not drawn; empty: nothing."""


def topology(design: Design, network: Network) -> Topology:
    """Return how a design is built for a network."""
    found = _BUILT[design.routing](design, network)
    cells = _grouped(network) if design.routing == "groups" else _racked(design, network)
    drawn = design.routing == "datastore"
    beside = f"{typhas(scale_of(network)):,} Typhas between the nodes and the datastore"
    return Topology(
        cells=cells,
        role="switch" if design.routing == "tor" else "reflector",
        above=found.above,
        joined=found.joined,
        inside=found.inside,
        fabric=FABRICS[network.fabric.kind],
        packets=_packets(design, mtu(design, network), network.node_count),
        beside=beside if design.plane == "calico" and not drawn else "",
    )


class _Built(Struct, frozen=True, kw_only=True):
    above: Above | None = None
    joined: str
    inside: str = ""


def _sessions(design: Design, network: Network) -> int:
    return round(design.forms["sessions"](scale_of(network)).value)


def _mesh(design: Design, network: Network) -> _Built:
    return _Built(
        joined=f"every node peers with every other: {_sessions(design, network):,} sessions"
    )


def _reflectors(design: Design, network: Network) -> _Built:
    count = flat_reflectors(scale_of(network))
    return _Built(
        above=Above(
            title="route reflectors, in racks that fail apart", role="reflector", count=count
        ),
        joined=f"every node peers with all {count}: {_sessions(design, network):,} sessions",
    )


def _groups(_: Design, network: Network) -> _Built:
    found = reflection(scale_of(network))
    clients = (network.node_count - found.reflectors - found.top) * PAIR
    inside = f"every node peers with the two reflectors of its group: {clients:,} sessions"
    if not found.top:
        count = math.comb(found.reflectors, 2)
        joined = f"all {found.reflectors} reflectors peer with each other: {count:,} sessions"
        return _Built(joined=joined, inside=inside)
    count = found.reflectors * found.top
    return _Built(
        above=Above(
            title="route reflectors above, which peer with each other",
            role="reflector",
            count=found.top,
        ),
        joined=f"each group's two peer with all {found.top}: {count:,} sessions",
        inside=inside,
    )


def _tor(design: Design, network: Network) -> _Built:
    count = _sessions(design, network)
    return _Built(
        joined="the fabric's own routing, not planned here",
        inside=f"every node peers with the two switches of its rack: {count:,} sessions",
    )


def _datastore(_: Design, network: Network) -> _Built:
    count = typhas(scale_of(network))
    return _Built(
        above=Above(title="Typhas, which read the datastore for all", role="service", count=count),
        joined="each node's Felix learns the others from a Typha; no BGP",
    )


def _controller(_: Design, __: Network) -> _Built:
    return _Built(
        above=Above(title="the cluster's API", role="service", count=1),
        joined="a controller on each node reads from it and programs the node's flows",
    )


def _ovn(design: Design, network: Network) -> _Built:
    if design.name == "ovn-central":
        return _Built(
            above=Above(title="OVN's databases and northd", role="service", count=1),
            joined="each node's ovn-controller reads the southbound database",
        )
    return _Built(
        above=Above(title="ovn-ic and the transit switch", role="service", count=1),
        joined=f"each of the {network.node_count:,} nodes is a zone with databases of its own",
    )


_BUILT = {
    "mesh": _mesh,
    "reflectors": _reflectors,
    "groups": _groups,
    "tor": _tor,
    "datastore": _datastore,
    "controller": _controller,
    "ovn": _ovn,
}


def _packets(design: Design, sizes: Mtu, nodes: int) -> str:
    wrapped, end = design.encapsulation, f"; MTU of pods {sizes.pod_bytes}"
    if wrapped.name == "none":
        return f"packets go as they are{end}"
    name = {"ipip": "IPIP", "vxlan": "VXLAN", "geneve": "Geneve"}[wrapped.name]
    where = "" if wrapped.always else " between racks"
    return f"packets go in {name}{where}, each node to {nodes - 1:,} others{end}"


def _all_racks(network: Network) -> Iterator[Racks]:
    """Yield each rack; the nodes of a group are spread over its racks as evenly as they go."""
    for group in network.groups():
        nodes, more = divmod(group.count, group.racks)
        for place in range(group.racks):
            count = nodes + (place < more)
            yield Racks(count=1, nodes=count, architecture=group.architecture)


def _racked(design: Design, network: Network) -> tuple[Cell, ...]:
    speakers = PAIR if design.routing == "tor" else 0
    return tuple(
        Cell(name=f"rack {number}", racks=(rack,), speakers=speakers)
        for number, rack in enumerate(_all_racks(network), 1)
    )


def _grouped(network: Network) -> tuple[Cell, ...]:
    """Return the groups of reflectors: whole racks, or parts of one."""
    scale = scale_of(network)
    count = reflection(scale).groups
    racks = list(_all_racks(network))
    parts = _parts(racks, count) if count > len(racks) else _chunks(racks, count)
    return tuple(
        Cell(name=f"group {number}", racks=_alike(part), speakers=PAIR)
        for number, part in enumerate(parts, 1)
    )


def _chunks(racks: Sequence[Racks], count: int) -> Iterator[Sequence[Racks]]:
    """Yield racks in so many runs, which differ by one rack at most."""
    for place in range(count):
        yield racks[place * len(racks) // count : (place + 1) * len(racks) // count]


def _parts(racks: Sequence[Racks], count: int) -> Iterator[Sequence[Racks]]:
    """Yield so many parts of racks, which hold more than a group; of the fullest the most."""
    parts = [1] * len(racks)
    for _ in range(count - len(racks)):
        fullest = max(range(len(racks)), key=lambda place: racks[place].nodes / parts[place])
        parts[fullest] += 1
    for rack, own in zip(racks, parts, strict=True):
        for part in range(own):
            nodes = (part + 1) * rack.nodes // own - part * rack.nodes // own
            yield [Racks(count=1, nodes=nodes, architecture=rack.architecture)]


def _alike(racks: Sequence[Racks]) -> tuple[Racks, ...]:
    return tuple(
        Racks(count=len(list(alike)), nodes=first.nodes, architecture=first.architecture)
        for first, alike in groupby(racks)
    )
