"""BIRD's configuration for route reflectors outside of Calico, and for their clients.

Source: BIRD 2.0 user's guide; timers as the plan chose them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from virtboost.net.emit.layout import SCAN_S, Family, Layout, Reflector, families


def reflector(layout: Layout, own: Reflector) -> str:
    """Return the configuration of one reflector; clients come from anywhere in the nodes' CIDR."""
    lines = [
        f"router id {own.address};",
        "",
        f"protocol device {{ scan time {SCAN_S}; }}",
        _direct(layout),
        *_bfd(layout),
        *_pods(layout),
    ]
    cluster = f"  rr cluster id {own.cluster_id};"
    for number, (family, speaker) in enumerate(zip(families(layout), own.speakers(), strict=True)):
        lines += [""] * number
        lines += [*_template(layout, family, speaker.address, f"pods{family.suffix}"), ""]
        lines += _clients(layout, family, cluster)
        for place, address in enumerate(speaker.peers, 1):
            lines += _session(layout, family, f"reflector{place}", address, [cluster])
        for place, address in enumerate(speaker.clients, 1):
            lines += _session(layout, family, f"group{place}", address, ["  rr client;", cluster])
    return "\n".join(lines) + "\n"


def _clients(layout: Layout, family: Family, cluster: str) -> Iterator[str]:
    yield f"protocol bgp clients{family.suffix} from speaker{family.suffix} {{"
    yield f"  neighbor range {family.nodes} as {layout.network.as_number};"
    yield f'  dynamic name "client{family.suffix and "_v6_"}";'
    yield "  rr client;"
    yield cluster
    yield "}"


def node(layout: Layout, own: tuple[Reflector, ...]) -> str:
    """Return the configuration of nodes without Calico, clients of some reflectors.

    A node's own addresses and blocks are in a file beside it, ``own_file``.  It announces the routes in
    the kernel that are within the pools, but for single pods of its blocks.
    """
    lines = list(_node(layout))
    for number, family in enumerate(families(layout)):
        lines += [""] * number
        lines += _node_template(layout, family)
        for place, each in enumerate(own, 1):
            address = each.speakers()[number].address
            lines += _session(layout, family, f"reflector{place}", address, [])
    return "\n".join(lines) + "\n"


def own_file(address: str, blocks: Sequence[str]) -> str:
    """Return what the file beside a node's configuration has, for IPv4."""
    within = ", ".join(f"{block}+" for block in blocks)
    return f"define OWN = {address};\ndefine BLOCKS = [ {within} ];\n"


def mesh(layout: Layout, own: str, addresses: tuple[str, ...]) -> str:
    """Return the configuration of one node of a mesh in IPv4; of two, the higher address connects.

    Source: so does Calico (``bird.cfg.template``).
    """
    family = families(layout)[0]
    lines = [*_node(layout), *_node_template(layout, family)]
    for place, address in enumerate(addresses):
        if address != own:
            passive = ["  passive on;"] if IPv4Address(address) > IPv4Address(own) else []
            lines += _session(layout, family, f"node{place}", address, passive)
    return "\n".join(lines) + "\n"


def _node(layout: Layout) -> Iterator[str]:
    """Yield what nodes have in common, up to their templates."""
    for family in families(layout):
        name = family.suffix.upper()
        kind = "IPv6 address" if family.suffix else "address"
        yield f"# own.conf has a line: define OWN{name} = the {kind} of this node;"
        yield f"# another: define BLOCKS{name} = [ each block of its pods, with + behind it ];"
    yield 'include "own.conf";'
    yield "router id OWN;"
    yield ""
    yield f"protocol device {{ scan time {SCAN_S}; }}"
    yield _direct(layout)
    yield from _bfd(layout)
    yield from _pods(layout)
    for family in families(layout):
        yield from _announced(family)
        yield from _kernel(layout, family)


def _kernel(layout: Layout, family: Family) -> Iterator[str]:
    yield f"protocol kernel {family.suffix and 'kernel_v6 '}{{"
    yield "  learn;"
    yield "  persist;"
    yield f"  scan time {SCAN_S};"
    yield "  merge paths on;"
    if layout.detection is not None and layout.detection.graceful_restart:
        yield "  graceful restart;  # start bird with -R"
    filters = f"import all; export filter pods{family.suffix};"
    yield f"  {family.channel} {{ {filters} }};  # all: how to reach next hops"
    yield "}"
    yield ""


def _announced(family: Family) -> Iterator[str]:
    """Yield the filter of what a node tells: its blocks, nothing beneath them, and what it borrows.

    Source: so does Calico (``calico_aggr``, ``bird_aggr.cfg.template``).
    """
    yield f"filter announced{family.suffix} {{"
    yield f"  if net ~ BLOCKS{family.suffix.upper()} && net.len > {family.block} then reject;"
    yield f"  if net ~ [ {_pools(family)} ] then accept;"
    yield "  reject;"
    yield "}"
    yield ""


def _node_template(layout: Layout, family: Family) -> Iterator[str]:
    """Yield the template of a node's sessions."""
    address, told = f"OWN{family.suffix.upper()}", f"announced{family.suffix}"
    yield from _template(layout, family, address, told, " next hop self;")


def _template(
    layout: Layout, family: Family, address: str, told: str, more: str = ""
) -> Iterator[str]:
    """Yield the template of a family's sessions."""
    pods = f"pods{family.suffix}"
    yield f"template bgp speaker{family.suffix} {{"
    yield f"  local {address} as {layout.network.as_number};"
    yield from _timers(layout)
    yield f"  {family.channel} {{ import filter {pods}; export filter {told};{more} }};"
    yield "}"


def _session(
    layout: Layout, family: Family, name: str, address: str, more: list[str]
) -> Iterator[str]:
    yield ""
    yield f"protocol bgp {name}{family.suffix} from speaker{family.suffix} {{"
    yield f"  neighbor {address} as {layout.network.as_number};"
    yield from more
    yield "}"


def _direct(layout: Layout) -> str:
    channels = " ".join(f"{family.channel};" for family in families(layout))
    return f"protocol direct {{ {channels} }}"


def _pods(layout: Layout) -> Iterator[str]:
    """Yield filters for blocks, and for single addresses that nodes borrow."""
    yield ""
    for family in families(layout):
        yield f"filter pods{family.suffix} {{"
        yield f"  if net ~ [ {_pools(family)} ] then accept;"
        yield "  reject;"
        yield "}"
        yield ""


def _pools(family: Family) -> str:
    return ", ".join(f"{cidr}{{{family.block},{family.bits}}}" for cidr in family.pods)


def _bfd(layout: Layout) -> Iterator[str]:
    chosen = layout.detection
    if chosen is not None and chosen.by == "bfd":
        times = f"interval {chosen.interval_ms} ms; multiplier {chosen.multiplier};"
        family = "" if len(families(layout)) > 1 else "ipv4 "
        yield f"protocol bfd {{ accept {family}multihop; multihop {{ {times} }}; }}"


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
