"""BIRD's configuration for route reflectors outside of Calico, and for their clients.

Source: BIRD 2.0 user's guide; timers as the plan chose them.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from virtboost.net.emit.layout import SCAN_S, Layout, Reflector


def reflector(layout: Layout, own: Reflector) -> str:
    """Return the configuration of one reflector; clients come from anywhere in the nodes' CIDR."""
    number = layout.network.as_number
    lines = [
        f"router id {own.address};",
        "",
        f"protocol device {{ scan time {SCAN_S}; }}",
        "protocol direct { ipv4; }",
        *_bfd(layout),
        *_pods(layout),
        "template bgp speaker {",
        f"  local {own.address} as {number};",
        *_timers(layout),
        "  ipv4 { import filter pods; export filter pods; };",
        "}",
        "",
        "protocol bgp clients from speaker {",
        f"  neighbor range {layout.network.addresses.nodes} as {number};",
        '  dynamic name "client";',
        "  rr client;",
        f"  rr cluster id {own.cluster_id};",
        "}",
    ]
    for place, address in enumerate(own.peers, 1):
        cluster = [f"  rr cluster id {own.cluster_id};"]
        lines += _session(f"reflector{place}", address, number, cluster)
    for place, address in enumerate(own.clients, 1):
        cluster = ["  rr client;", f"  rr cluster id {own.cluster_id};"]
        lines += _session(f"group{place}", address, number, cluster)
    return "\n".join(lines) + "\n"


def node(layout: Layout, own: tuple[Reflector, ...]) -> str:
    """Return the configuration of nodes without Calico, clients of some reflectors.

    A node's own address is in a file beside it.  Its pods' routes are those in the kernel that are
    within the pools.
    """
    lines = [*_node(layout), "}"]
    for place, each in enumerate(own, 1):
        lines += _session(f"reflector{place}", each.address, layout.network.as_number, [])
    return "\n".join(lines) + "\n"


def mesh(layout: Layout, own: str, addresses: tuple[str, ...]) -> str:
    """Return the configuration of one node of a mesh; of two, the higher address connects.

    Source: so does Calico (``bird.cfg.template``).
    """
    lines = [*_node(layout), "}"]
    for place, address in enumerate(addresses):
        if address != own:
            passive = ["  passive on;"] if IPv4Address(address) > IPv4Address(own) else []
            lines += _session(f"node{place}", address, layout.network.as_number, passive)
    return "\n".join(lines) + "\n"


def _node(layout: Layout) -> Iterator[str]:
    """Yield what nodes have in common, up to the end of their template, which is open."""
    yield "# own.conf has a line: define OWN = the address of this node;"
    yield 'include "own.conf";'
    yield "router id OWN;"
    yield ""
    yield f"protocol device {{ scan time {SCAN_S}; }}"
    yield "protocol direct { ipv4; }"
    yield from _bfd(layout)
    yield from _pods(layout)
    yield "protocol kernel {"
    yield "  learn;"
    yield "  persist;"
    yield f"  scan time {SCAN_S};"
    yield "  merge paths on;"
    if layout.detection is not None and layout.detection.graceful_restart:
        yield "  graceful restart;  # start bird with -R"
    yield "  ipv4 { import all; export filter pods; };  # all: how to reach next hops"
    yield "}"
    yield ""
    yield "template bgp speaker {"
    yield f"  local OWN as {layout.network.as_number};"
    yield from _timers(layout)
    yield "  ipv4 { import filter pods; export filter pods; next hop self; };"


def _session(name: str, address: str, number: int, more: list[str]) -> Iterator[str]:
    yield ""
    yield f"protocol bgp {name} from speaker {{"
    yield f"  neighbor {address} as {number};"
    yield from more
    yield "}"


def _pods(layout: Layout) -> Iterator[str]:
    """Yield a filter for blocks, and for single addresses that nodes borrow."""
    block = layout.network.addresses.block
    pools = ", ".join(f"{cidr}{{{block},32}}" for cidr in layout.network.addresses.pods)
    yield ""
    yield "filter pods {"
    yield f"  if net ~ [ {pools} ] then accept;"
    yield "  reject;"
    yield "}"
    yield ""


def _bfd(layout: Layout) -> Iterator[str]:
    chosen = layout.detection
    if chosen is not None and chosen.by == "bfd":
        times = f"interval {chosen.interval_ms} ms; multiplier {chosen.multiplier};"
        yield f"protocol bfd {{ accept ipv4 multihop; multihop {{ {times} }}; }}"


def _timers(layout: Layout) -> Iterator[str]:
    """Yield how failures are noticed, and Calico's waits (``bird.cfg.template``).

    With BIRD's own, a node whose link was cut came back after a minute.
    """
    yield "  connect delay time 1;"
    yield "  connect retry time 3;"
    yield "  error wait time 5, 60;"
    chosen = layout.detection
    if chosen is None:
        return
    if chosen.by == "bfd":
        yield "  bfd on;"
    else:
        yield f"  hold time {chosen.interval_ms // 1000};"
    yield f"  graceful restart {'on' if chosen.graceful_restart else 'off'};"
