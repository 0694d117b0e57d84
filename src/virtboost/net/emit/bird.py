"""BIRD's configuration for route reflectors outside of Calico, and for their clients.

Source: BIRD 2.0 user's guide; timers as the plan chose them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import Literal

from virtboost.net.emit.layout import SCAN_S, Family, Layout, Reflector, families


def reflector(layout: Layout, own: Reflector) -> str:
    """Return the configuration of one reflector; clients come from anywhere in the nodes' CIDR."""
    lines = [
        f"router id {own.address};",
        "",
        *_scans(layout),
        *_pods(layout),
    ]
    own_as, cluster = layout.network.as_number, f"  rr cluster id {own.cluster_id};"
    for number, (family, speaker) in enumerate(zip(families(layout), own.speakers(), strict=True)):
        local = f"{speaker.address} as {own_as}"
        lines += [""] * number
        lines += [*_template(layout, family, local, f"pods{family.suffix}"), ""]
        lines += _clients(layout, family, cluster)
        for place, address in enumerate(speaker.peers, 1):
            lines += _session(family, f"reflector{place}", address, own_as, [cluster])
        for place, address in enumerate(speaker.clients, 1):
            lines += _session(family, f"group{place}", address, own_as, ["  rr client;", cluster])
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

    A node's own addresses and blocks are in a file beside it, ``own_file``.  It announces the
    routes in the kernel that are within the pools, but for single pods of its blocks.
    """
    lines = list(_node(layout))
    for number, family in enumerate(families(layout)):
        lines += [""] * number
        lines += _node_template(layout, family)
        for place, each in enumerate(own, 1):
            address = each.speakers()[number].address
            lines += _session(family, f"reflector{place}", address, layout.network.as_number)
    return "\n".join(lines) + "\n"


def client(layout: Layout, switches: Sequence[tuple[str, ...]]) -> str:
    """Return the configuration of nodes without Calico that peer with their rack's switches.

    Args:
        layout: With switches.
        switches: Addresses of the rack's switches, for each family.
    """
    lines, number = list(_node(layout)), layout.network.fabric_as_number
    for family, addresses in zip(families(layout), switches, strict=True):
        lines += [*[""] * bool(family.suffix), *_node_template(layout, family)]
        for place, address in enumerate(addresses, 1):
            lines += _session(family, f"switch{place}", address, number)
    return "\n".join(lines) + "\n"


def switch(layout: Layout, address: str) -> str:
    """Return the configuration of a rack's switch towards its nodes, without the fabric's own.

    All nodes have one AS, and would refuse each other's routes: it is left out of their paths.  It
    helps nodes that restart gracefully and does not do so itself: nodes have another switch, and
    BIRD would wait for a session that stands for all of them, which never comes up, for 240 s.
    """
    nodes, local = layout.network.as_number, f"as {layout.network.fabric_as_number}"
    lines = [*router(layout, address)]
    for family in families(layout):
        told, six = f"below{family.suffix}", family.suffix and "_v6_"
        lines += [
            f"filter {told} {{",
            f"  bgp_path.delete({nodes});",
            f"  if net ~ [ {_pools(family)} ] then accept;",
            "  reject;",
            "}",
            "",
            *_template(layout, family, local, told, " next hop self;", restarts="aware"),
            "",
            f"protocol bgp nodes{family.suffix} from speaker{family.suffix} {{",
            f"  neighbor range {family.nodes} as {nodes};",
            f'  dynamic name "node{six}";',
            "}",
            "",
        ]
    return "\n".join(lines)


def router(layout: Layout, address: str) -> Iterator[str]:
    """Yield what a switch or a router of the fabric has before its sessions."""
    yield f"router id {address};"
    yield ""
    yield from _scans(layout)
    yield from _pods(layout)
    for family in families(layout):
        yield from _kernel(family, restarts=False)


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
            lines += _session(family, f"node{place}", address, layout.network.as_number, passive)
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
    yield from _scans(layout)
    yield from _pods(layout)
    for family in families(layout):
        yield from _announced(family)
        yield from _kernel(family, restarts=_graceful(layout))


def _graceful(layout: Layout) -> bool:
    return layout.detection is not None and layout.detection.graceful_restart


def _kernel(family: Family, *, restarts: bool) -> Iterator[str]:
    yield f"protocol kernel {family.suffix and 'kernel_v6 '}{{"
    yield "  learn;"
    yield "  persist;"
    yield f"  scan time {SCAN_S};"
    yield "  merge paths on;"
    if restarts:
        yield "  graceful restart;  # start bird with -R"
    yield f"  {family.channel} {{"
    yield "    preference 200;  # what is here, before what comes back from elsewhere"
    yield "    import all;  # how to reach next hops, too"
    yield f"    export filter pods{family.suffix};"
    yield "  };"
    yield "}"
    yield ""


def _announced(family: Family) -> Iterator[str]:
    """Yield the filter of what a node tells: its blocks, nothing beneath them, and what it borrows.

    Source: so does Calico (``calico_aggr``, ``bird_aggr.cfg.template``).
    """
    yield f"filter announced{family.suffix} {{"
    yield "  if source = RTS_BGP then reject;  # a node carries nothing from switch to switch"
    yield f"  if net ~ BLOCKS{family.suffix.upper()} && net.len > {family.block} then reject;"
    yield f"  if net ~ [ {_pools(family)} ] then accept;"
    yield "  reject;"
    yield "}"
    yield ""


def _node_template(layout: Layout, family: Family) -> Iterator[str]:
    """Yield the template of a node's sessions."""
    local = f"OWN{family.suffix.upper()} as {layout.network.as_number}"
    yield from _template(layout, family, local, f"announced{family.suffix}", " next hop self;")


def _template(
    layout: Layout,
    family: Family,
    local: str,
    told: str,
    more: str = "",
    *,
    restarts: Literal["on", "aware"] = "on",
) -> Iterator[str]:
    """Yield the template of a family's sessions."""
    pods = f"pods{family.suffix}"
    yield f"template bgp speaker{family.suffix} {{"
    yield f"  local {local};"
    yield from timers(layout, restarts)
    yield f"  {family.channel} {{ import filter {pods}; export filter {told};{more} }};"
    yield "}"


def _session(
    family: Family, name: str, address: str, number: int, more: Sequence[str] = ()
) -> Iterator[str]:
    """Yield a session, to an address in an AS."""
    yield ""
    yield f"protocol bgp {name}{family.suffix} from speaker{family.suffix} {{"
    yield f"  neighbor {address} as {number};"
    yield from more
    yield "}"


def _scans(layout: Layout) -> Iterator[str]:
    channels = " ".join(f"{family.channel};" for family in families(layout))
    yield f"protocol device {{ scan time {SCAN_S}; }}"
    yield f"protocol direct {{ {channels} }}"
    yield from _bfd(layout)


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
        kind, where = "multihop", "multihop"
        if layout.design.routing == "tor":
            kind, where = "direct", 'interface "*"'
        yield f"protocol bfd {{ accept {family}{kind}; {where} {{ {times} }}; }}"


def timers(layout: Layout, restarts: Literal["on", "aware"] = "on") -> Iterator[str]:
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
    yield f"  graceful restart {restarts if chosen.graceful_restart else 'off'};"
