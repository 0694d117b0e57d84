"""Racks with two switches each, and the fabric between them: addresses and configuration.

Nodes of a rack are in one subnet with their switches.  The fabric is two spines, in the switches'
AS: they reflect what each switch tells, with themselves as the next hop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from itertools import islice

from msgspec import Struct, structs

from virtboost.errors import InputError
from virtboost.net.calico import PAIR
from virtboost.net.description import Network, NodeGroup
from virtboost.net.emit import bird
from virtboost.net.emit.layout import Layout
from virtboost.net.emulate.speaker import Speaker, routed_end
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


def speakers(layout: Layout, blocks: Iterator[str]) -> Iterator[Speaker]:
    """Yield spines, switches and nodes.

    Raises:
        InputError: The nodes' network has no room for the subnets.
    """
    fabric, *subnets = _subnets(layout)
    racks = [*_racks(layout, fabric, subnets)]
    spines = [str(fabric[1 + place]) for place in range(SPINES)]
    for address in spines:
        yield _router(address, _spine(layout, fabric, address))
    for rack in racks:
        for address, uplink in zip(rack.switches, rack.uplinks, strict=True):
            config = bird.switch(layout, address) + _upward(layout, uplink, spines)
            yield structs.replace(_router(address, config), segment=rack.number, uplink=uplink)
    for rack in racks:
        config = bird.client(layout, (rack.switches,))
        for address in rack.nodes:
            claimed = tuple(islice(blocks, layout.scale.blocks_per_node))
            yield Speaker(
                address=address,
                reflector=False,
                segment=rack.number,
                blocks=claimed,
                ends=tuple(routed_end(block, 0) for block in claimed),
                config=config.replace('include "own.conf";', bird.own_file(address, claimed)),
            )


def expected(layout: Layout) -> dict[str, Figure]:
    """Return what is counted beside what nodes of any design have."""
    scale = layout.scale
    return {
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


def _router(address: str, config: str) -> Speaker:
    return Speaker(address=address, reflector=False, blocks=(), config=config)


def _spine(layout: Layout, fabric: IPv4Network, address: str) -> str:
    number = layout.network.fabric_as_number
    lines = (
        *bird.router(layout, address),
        "protocol bgp switches {",
        f"  neighbor range {fabric} as {number};",
        '  dynamic name "switch";',
        "  rr client;",
        *_session(layout, address),
    )
    return "\n".join(lines) + "\n"


def _upward(layout: Layout, uplink: str, spines: Sequence[str]) -> str:
    """Return the sessions of a switch with the spines."""
    lines: list[str] = []
    for place, spine in enumerate(spines, 1):
        lines += (
            f"protocol bgp spine{place} {{",
            f"  neighbor {spine} as {layout.network.fabric_as_number};",
            *_session(layout, uplink),
        )
    return "\n".join(lines) + "\n"


def _session(layout: Layout, address: str) -> Iterator[str]:
    yield f"  local {address} as {layout.network.fabric_as_number};"
    yield "  direct;"
    yield from bird.timers(layout, "aware")
    yield "  ipv4 { import filter pods; export filter pods; next hop self; };"
    yield "}"
