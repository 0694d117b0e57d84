"""Racks with two switches each, and the fabric between them: who is where.

Nodes of a rack are in one subnet with their switches.  The fabric is two spines, in the switches'
AS: they reflect what each switch tells, with themselves as the next hop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from itertools import islice

from msgspec import Struct, structs

from virtboost.errors import InputError
from virtboost.net.calico import PAIR
from virtboost.net.description import Network, NodeGroup
from virtboost.net.emit import bird, frr
from virtboost.net.emit.layout import Layout
from virtboost.net.emulate.site import site
from virtboost.net.emulate.speaker import Role, Software, Speaker
from virtboost.net.emulate.spine import spine, upward
from virtboost.net.figure import Figure, exact

SPINES = 2

LEAST_RACKS = 4
"""That are run if there are so many: in proportion, twenty nodes would be in one rack."""

RESERVED = 2
"""Of a subnet: its own address, and that of all in it."""


class Rack(Struct, frozen=True, kw_only=True):
    """A rack's addresses."""

    number: int
    """From 1; the bridge of its nodes and switches, too."""
    switches: tuple[str, ...]
    uplinks: tuple[str, ...]
    """Of its switches, on the fabric's bridge."""
    nodes: tuple[str, ...]


def racked(small: Network, whole: Network) -> Network:
    """Return a network with more racks, if the whole has them."""
    count = small.node_count
    racks = min(count, max(small.rack_count, min(whole.rack_count, LEAST_RACKS)))
    return structs.replace(small, nodes=(NodeGroup(count=count, racks=racks, mtu=small.mtu),))


def prefix(layout: Layout) -> int:
    """Return the length of the subnets, all as large as the largest needs."""
    scale = layout.scale
    largest = max(PAIR + math.ceil(scale.nodes / scale.racks), SPINES + PAIR * scale.racks)
    return 32 - math.ceil(math.log2(largest + RESERVED))


def speakers(
    layout: Layout, blocks: Iterator[str], software: Mapping[Role, Software]
) -> Iterator[Speaker]:
    """Yield spines, switches and nodes.

    Raises:
        InputError: The nodes' network has no room for the subnets.
    """
    fabric, *subnets = _subnets(layout)
    racks = [*_racks(layout, fabric, subnets)]
    spines = [str(fabric[1 + place]) for place in range(SPINES)]
    by, of_nodes = software["switches"], software["nodes"]
    for address in spines:
        yield _router(by, address, spine(by, layout, fabric, address))
    for rack in racks:
        for address, uplink in zip(rack.switches, rack.uplinks, strict=True):
            config = (frr if by == "frr" else bird).switch(layout, address)
            own = _router(by, address, config + upward(by, layout, uplink, spines))
            yield structs.replace(own, segment=rack.number, uplink=uplink)
    for rack in racks:
        config = (frr if of_nodes == "frr" else bird).client(layout, (rack.switches,))
        for address in rack.nodes:
            own = site(of_nodes, layout, address, blocks, config)
            yield structs.replace(own, segment=rack.number)


def expected(layout: Layout, switches: Software) -> dict[str, Figure]:
    """Return what is counted beside what nodes of any design have, or not as these have it."""
    scale = layout.scale
    paths = layout.design.forms["rib_paths"](scale).value
    if switches == "frr":
        paths += PAIR * scale.blocks_per_node
    return {
        "rib_paths": exact(paths),
        "fabric_sessions": exact(SPINES * PAIR * scale.racks),
        "next_hops": layout.design.forms["next_hops"](scale),
        "switch_routes": exact(scale.routes),
        "switch_next_hops": exact(PAIR),
    }


def _subnets(layout: Layout) -> list[IPv4Network]:
    network, length = layout.network.addresses.node_network(), prefix(layout)
    wanted = layout.scale.racks + 1
    if network.prefixlen > length or 1 << (length - network.prefixlen) < wanted:
        raise InputError(
            f"addresses.nodes: {network} has no room for {wanted} subnets of /{length}, the "
            "fabric's and one for each rack"
        )
    return [*islice(network.subnets(new_prefix=length), wanted)]


def _racks(layout: Layout, fabric: IPv4Network, subnets: Sequence[IPv4Network]) -> Iterator[Rack]:
    """Yield racks that differ by one node at most."""
    each, more = divmod(layout.scale.nodes, layout.scale.racks)
    for place, subnet in enumerate(subnets):
        first = 1 + SPINES + PAIR * place
        hosts = map(str, subnet.hosts())
        yield Rack(
            number=place + 1,
            switches=tuple(islice(hosts, PAIR)),
            uplinks=tuple(str(fabric[first + number]) for number in range(PAIR)),
            nodes=tuple(islice(hosts, each + (place < more))),
        )


def _router(software: Software, address: str, config: str) -> Speaker:
    return Speaker(address=address, reflector=False, blocks=(), daemon=software, config=config)
