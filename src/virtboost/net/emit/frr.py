"""FRR's configuration for route reflectors outside of Calico, and for a rack's switch.

Source: FRR 8.4 user's guide, BGP; without ``bgp listen limit`` it takes 100 dynamic neighbours
(FRRouting/frr issue 14421).
"""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.net.emit.layout import Layout, Reflector

MOST_LISTENING = 65_535
"""Largest value of ``bgp listen limit``."""


def reflector(layout: Layout, own: Reflector) -> str:
    """Return the configuration of one reflector; clients come from anywhere in the nodes' CIDR."""
    number = layout.network.as_number
    lines = [
        *_head(number, own.address),
        f" bgp cluster-id {own.cluster_id}",
        *_timers(layout),
        *_listening(layout, remote=number),
        *(f" neighbor {address} remote-as {number}" for address in (*own.peers, *own.clients)),
        *_detection(layout, ("nodes", *own.peers, *own.clients)),
        " address-family ipv4 unicast",
        *_family("nodes", client=True),
        *(line for address in own.peers for line in _family(address, client=False)),
        *(line for address in own.clients for line in _family(address, client=True)),
        " exit-address-family",
        "exit",
        *_pods(layout),
    ]
    return "\n".join(lines) + "\n"


def switch(layout: Layout, address: str) -> str:
    """Return the configuration of a rack's switch towards its nodes, without the fabric's own."""
    lines = [
        *_head(layout.network.fabric_as_number, address),
        *_timers(layout),
        *_listening(layout, remote=layout.network.as_number),
        *_detection(layout, ("nodes",)),
        " address-family ipv4 unicast",
        *_family("nodes", client=False),
        "  neighbor nodes as-override",
        " exit-address-family",
        "exit",
        *_pods(layout),
    ]
    return "\n".join(lines) + "\n"


def _head(number: int, address: str) -> Iterator[str]:
    yield "frr defaults datacenter"
    yield f"router bgp {number}"
    yield f" bgp router-id {address}"
    yield " no bgp default ipv4-unicast"
    yield " no bgp ebgp-requires-policy"


def _listening(layout: Layout, *, remote: int) -> Iterator[str]:
    yield " neighbor nodes peer-group"
    yield f" neighbor nodes remote-as {remote}"
    yield f" bgp listen limit {min(MOST_LISTENING, layout.scale.nodes)}"
    yield f" bgp listen range {layout.network.addresses.nodes} peer-group nodes"


def _family(neighbour: str, *, client: bool) -> Iterator[str]:
    yield f"  neighbor {neighbour} activate"
    if client:
        yield f"  neighbor {neighbour} route-reflector-client"
    for way in ("in", "out"):
        yield f"  neighbor {neighbour} prefix-list pods {way}"


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
    block = layout.network.addresses.block
    for place, cidr in enumerate(layout.network.addresses.pods, 1):
        length = " le 32" if cidr.endswith(f"/{block}") else f" ge {block} le 32"
        yield f"ip prefix-list pods seq {5 * place} permit {cidr}{length}"
