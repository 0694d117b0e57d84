"""FRR's configuration for route reflectors outside of Calico, their clients, and racks' switches.

Source: FRR 8.4 user's guide, BGP; without ``bgp listen limit`` it takes 100 dynamic neighbours
(FRRouting/frr issue 14421).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address
from typing import Literal

from virtboost.net.emit.layout import Family, Layout, Reflector, families

MOST_LISTENING = 65_535
"""Largest value of ``bgp listen limit``."""

CONNECT_S = 3
"""Between attempts to connect, as Calico's BIRD has it."""

OWN_LINES = 1_000
"""Sequence number from which on a prefix list is the same on all nodes; before, the node's own."""


def reflector(layout: Layout, own: Reflector) -> str:
    """Return the configuration of one reflector; clients come from anywhere in the nodes' CIDR."""
    number = layout.network.as_number
    named = [address for each in own.speakers() for address in (*each.peers, *each.clients)]
    lines = [
        *head(number, own.address),
        f" bgp cluster-id {own.cluster_id}",
        *timers(layout),
        *_listening(layout, remote=number),
        *(line for address in named for line in session(address, number)),
        *detection(layout, (*_groups(layout), *named)),
    ]
    for family, speaker in zip(families(layout), own.speakers(), strict=True):
        lines += [
            f" address-family {family.channel} unicast",
            *policy(family, f"nodes{family.suffix}", client=True),
            *(line for each in speaker.peers for line in policy(family, each)),
            *(line for each in speaker.clients for line in policy(family, each, client=True)),
            " exit-address-family",
        ]
    return "\n".join([*lines, "exit", *pods(layout)]) + "\n"


def node(layout: Layout, own: Sequence[Reflector]) -> str:
    """Return the configuration of nodes without Calico, clients of some reflectors.

    A node's own address and blocks are in a file that is read after it, ``own_file``.  It
    announces the routes in the kernel that are within the pools, but for single pods of its blocks.
    """
    addresses = [
        [each.speakers()[number].address for each in own]
        for number, _ in enumerate(families(layout))
    ]
    return _node(layout, "reflectors", addresses, layout.network.as_number)


def client(layout: Layout, switches: Sequence[Sequence[str]]) -> str:
    """Return the configuration of nodes without Calico that peer with their rack's switches.

    Args:
        layout: With switches.
        switches: Addresses of the rack's switches, for each family.
    """
    return _node(layout, "switches", switches, layout.network.fabric_as_number)


def mesh(layout: Layout, own: str, addresses: Sequence[str]) -> str:
    """Return the configuration of one node of a mesh in IPv4; of two, the higher address connects.

    Source: so does Calico (``bird.cfg.template``).
    """
    others = [each for each in addresses if each != own]
    waits = [each for each in others if IPv4Address(each) > IPv4Address(own)]
    return _node(layout, "nodes", [others], layout.network.as_number, waits)


def own_file(layout: Layout, address: str, blocks: Iterable[str]) -> str:
    """Return what the file after a node's configuration has, for IPv4."""
    four = families(layout)[0]
    lines = [f"router bgp {layout.network.as_number}", f" bgp router-id {address}", "exit"]
    lines += (
        f"ip prefix-list announced seq {place} deny {block} ge {four.block + 1}"
        for place, block in enumerate(blocks, 1)
    )
    return "\n".join(lines) + "\n"


def switch(layout: Layout, address: str) -> str:
    """Return the configuration of a rack's switch towards its nodes, without the fabric's own.

    It helps nodes that restart gracefully, as FRR does if nothing is said, and does not do so
    itself.  FRR sends a route back to the node that it came from, too, which does not refuse it, as
    its AS is replaced, and has its own one before it.
    """
    lines = [
        *head(layout.network.fabric_as_number, address),
        *timers(layout, "aware"),
        *_listening(layout, remote=layout.network.as_number),
        *detection(layout, _groups(layout)),
    ]
    for family in families(layout):
        group = f"nodes{family.suffix}"
        lines += [
            f" address-family {family.channel} unicast",
            *policy(family, group),
            f"  neighbor {group} as-override",
            f"  neighbor {group} next-hop-self",
            " exit-address-family",
        ]
    return "\n".join([*lines, "exit", *pods(layout)]) + "\n"


def _node(
    layout: Layout,
    group: str,
    addresses: Sequence[Sequence[str]],
    remote: int,
    waits: Sequence[str] = (),
) -> str:
    """Return the configuration of nodes.

    Args:
        layout: With what nodes have in common.
        group: Name of those that they have sessions with.
        addresses: Of those, for each family.
        remote: Their AS.
        waits: Those that open the session.
    """
    known = list(zip(families(layout), addresses, strict=True))
    groups = [f"{group}{family.suffix}" for family, _ in known]
    lines = ["! own.conf, read after this, has the node's address and blocks"]
    lines += [*_process(layout.network.as_number), *timers(layout)]
    for name, (_, each) in zip(groups, known, strict=True):
        lines += [f" neighbor {name} peer-group", *session(name, remote)]
        lines += (f" neighbor {address} peer-group {name}" for address in each)
    lines += (f" neighbor {address} passive" for address in waits)
    lines += detection(layout, groups)
    for name, (family, _) in zip(groups, known, strict=True):
        lines += [
            f" address-family {family.channel} unicast",
            "  redistribute kernel",
            *policy(family, name, told="announced"),
            f"  neighbor {name} filter-list own out",
            " exit-address-family",
        ]
    lines += ["exit", "bgp as-path access-list own permit ^$"]
    return "\n".join([*lines, *pods(layout), *pods(layout, "announced", OWN_LINES)]) + "\n"


def _groups(layout: Layout) -> tuple[str, ...]:
    return tuple(f"nodes{family.suffix}" for family in families(layout))


def head(number: int, address: str) -> Iterator[str]:
    """Yield the first lines of a speaker, in an AS."""
    yield from _process(number)
    yield f" bgp router-id {address}"


def _process(number: int) -> Iterator[str]:
    yield "frr defaults datacenter"
    yield f"router bgp {number}"
    yield " no bgp default ipv4-unicast"
    yield " no bgp ebgp-requires-policy"


def _listening(layout: Layout, *, remote: int) -> Iterator[str]:
    for group in _groups(layout):
        yield f" neighbor {group} peer-group"
        yield f" neighbor {group} remote-as {remote}"
    yield f" bgp listen limit {min(MOST_LISTENING, len(families(layout)) * layout.scale.nodes)}"
    for family in families(layout):
        yield f" bgp listen range {family.nodes} peer-group nodes{family.suffix}"


def session(neighbour: str, number: int) -> Iterator[str]:
    """Yield a session that is opened, to an address or a group in an AS."""
    yield f" neighbor {neighbour} remote-as {number}"
    yield f" neighbor {neighbour} timers connect {CONNECT_S}"


def policy(
    family: Family, neighbour: str, *, client: bool = False, told: str = "pods"
) -> Iterator[str]:
    """Yield what a neighbour gets in a family of addresses, by the prefix list ``told``."""
    yield f"  neighbor {neighbour} activate"
    if client:
        yield f"  neighbor {neighbour} route-reflector-client"
    yield f"  neighbor {neighbour} prefix-list pods{family.suffix} in"
    yield f"  neighbor {neighbour} prefix-list {told}{family.suffix} out"


def timers(layout: Layout, restarts: Literal["on", "aware"] = "on") -> Iterator[str]:
    """Yield the hold time, and whether routes stay while this end or the other restarts.

    zebra keeps them in the kernel meanwhile, and says so (``preserve-fw-state``).  Those of a peer
    that is silent for the hold time do not stay (RFC 8538 would have it so): it is dead.
    """
    chosen = layout.detection
    if chosen is None:
        return
    if chosen.by == "hold":
        hold = chosen.interval_ms // 1000
        yield f" timers bgp {hold // 3} {hold}"
    if not chosen.graceful_restart:
        yield " bgp graceful-restart-disable"
        return
    yield " no bgp graceful-restart notification"
    if restarts == "on":
        yield " bgp graceful-restart"
        yield " bgp graceful-restart preserve-fw-state"


def detection(layout: Layout, neighbours: Iterable[str]) -> Iterator[str]:
    """Yield BFD, where it is planned; bfdd runs then."""
    chosen = layout.detection
    if chosen is None or chosen.by != "bfd":
        return
    times = f"{chosen.multiplier} {chosen.interval_ms} {chosen.interval_ms}"
    yield from (f" neighbor {neighbour} bfd {times}" for neighbour in neighbours)


def pods(layout: Layout, title: str = "pods", first: int = 0) -> Iterator[str]:
    """Yield prefix lists of blocks, and of single addresses that nodes borrow."""
    for family in families(layout):
        version = "ipv6" if family.suffix else "ip"
        for place, cidr in enumerate(family.pods, 1):
            length = f" le {family.bits}"
            if not cidr.endswith(f"/{family.block}"):
                length = f" ge {family.block}{length}"
            name = f"{title}{family.suffix}"
            yield f"{version} prefix-list {name} seq {first + 5 * place} permit {cidr}{length}"
