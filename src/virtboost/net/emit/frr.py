"""FRR's configuration for route reflectors outside of Calico, and for a rack's switch.

Source: FRR 8.4 user's guide, BGP; without ``bgp listen limit`` it takes 100 dynamic neighbours
(FRRouting/frr issue 14421).
"""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.net.emit.layout import Family, Layout, Reflector, families

MOST_LISTENING = 65_535
"""Largest value of ``bgp listen limit``."""


def reflector(layout: Layout, own: Reflector) -> str:
    """Return the configuration of one reflector; clients come from anywhere in the nodes' CIDR."""
    number = layout.network.as_number
    named = [address for each in own.speakers() for address in (*each.peers, *each.clients)]
    lines = [
        *_head(number, own.address),
        f" bgp cluster-id {own.cluster_id}",
        *_timers(layout),
        *_listening(layout, remote=number),
        *(f" neighbor {address} remote-as {number}" for address in named),
        *_detection(layout, (*_groups(layout), *named)),
    ]
    for family, speaker in zip(families(layout), own.speakers(), strict=True):
        lines += [
            f" address-family {family.channel} unicast",
            *_policy(family, f"nodes{family.suffix}", client=True),
            *(line for each in speaker.peers for line in _policy(family, each, client=False)),
            *(line for each in speaker.clients for line in _policy(family, each, client=True)),
            " exit-address-family",
        ]
    return "\n".join([*lines, "exit", *_pods(layout)]) + "\n"


def switch(layout: Layout, address: str) -> str:
    """Return the configuration of a rack's switch towards its nodes, without the fabric's own."""
    lines = [
        *_head(layout.network.fabric_as_number, address),
        *_timers(layout),
        *_listening(layout, remote=layout.network.as_number),
        *_detection(layout, _groups(layout)),
    ]
    for family in families(layout):
        group = f"nodes{family.suffix}"
        lines += [
            f" address-family {family.channel} unicast",
            *_policy(family, group, client=False),
            f"  neighbor {group} as-override",
            " exit-address-family",
        ]
    return "\n".join([*lines, "exit", *_pods(layout)]) + "\n"


def _groups(layout: Layout) -> tuple[str, ...]:
    return tuple(f"nodes{family.suffix}" for family in families(layout))


def _head(number: int, address: str) -> Iterator[str]:
    yield "frr defaults datacenter"
    yield f"router bgp {number}"
    yield f" bgp router-id {address}"
    yield " no bgp default ipv4-unicast"
    yield " no bgp ebgp-requires-policy"


def _listening(layout: Layout, *, remote: int) -> Iterator[str]:
    for group in _groups(layout):
        yield f" neighbor {group} peer-group"
        yield f" neighbor {group} remote-as {remote}"
    yield f" bgp listen limit {min(MOST_LISTENING, len(families(layout)) * layout.scale.nodes)}"
    for family in families(layout):
        yield f" bgp listen range {family.nodes} peer-group nodes{family.suffix}"


def _policy(family: Family, neighbour: str, *, client: bool) -> Iterator[str]:
    """Yield what a neighbour gets in a family of addresses."""
    yield f"  neighbor {neighbour} activate"
    if client:
        yield f"  neighbor {neighbour} route-reflector-client"
    for way in ("in", "out"):
        yield f"  neighbor {neighbour} prefix-list pods{family.suffix} {way}"


def _timers(layout: Layout) -> Iterator[str]:
    chosen = layout.detection
    if chosen is None:
        return
    if chosen.by == "hold":
        hold = chosen.interval_ms // 1000
        yield f" timers bgp {hold // 3} {hold}"
    yield f" bgp graceful-restart{'' if chosen.graceful_restart else '-disable'}"


def _detection(layout: Layout, neighbours: tuple[str, ...]) -> Iterator[str]:
    chosen = layout.detection
    if chosen is None or chosen.by != "bfd":
        return
    times = f"{chosen.multiplier} {chosen.interval_ms} {chosen.interval_ms}"
    yield from (f" neighbor {neighbour} bfd {times}" for neighbour in neighbours)


def _pods(layout: Layout) -> Iterator[str]:
    for family in families(layout):
        version = "ipv6" if family.suffix else "ip"
        for place, cidr in enumerate(family.pods, 1):
            length = f" le {family.bits}"
            if not cidr.endswith(f"/{family.block}"):
                length = f" ge {family.block}{length}"
            name = f"pods{family.suffix}"
            yield f"{version} prefix-list {name} seq {5 * place} permit {cidr}{length}"
