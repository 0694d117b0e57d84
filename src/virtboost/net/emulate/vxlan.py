"""Nodes of Calico's VXLAN: what each tells the datastore of itself, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network

import msgspec
from msgspec import Struct

from virtboost.net import law
from virtboost.net.emit.layout import Layout
from virtboost.net.emulate.speaker import DATASTORE, Speaker, routed_end
from virtboost.net.figure import Figure, exact

ENDS = 2
"""Pods of a node that have a namespace and a link."""

EVENTS = 200
"""Of pods that are no node's own here, while the datastore is measured."""

NETWORK_ID = 4096
"""``vxlanVNI`` of FelixConfiguration, its default; its port is 4789."""


class Tunnel(Struct, frozen=True, kw_only=True):
    """A node as the datastore has it: where its tunnel ends, and which pods are behind."""

    address: str
    tunnel: str
    """Address of its VXLAN device, the first of its blocks."""
    mac: str
    blocks: tuple[str, ...]


class Felix(Struct, frozen=True, kw_only=True):
    """What a node's Felix is told."""

    own: Tunnel
    mtu: int
    """Of pods, and of the VXLAN device."""
    network_id: int = NETWORK_ID
    datastore: str = DATASTORE


def speakers(layout: Layout, addresses: Sequence[str], blocks: Iterable[str]) -> Iterator[Speaker]:
    """Yield the nodes, each with as many of the blocks as it needs."""
    left = iter(blocks)
    for place, address in enumerate(addresses):
        own = tuple(next(left) for _ in range(layout.scale.blocks_per_node))
        tunnel = Tunnel(
            address=address,
            tunnel=str(IPv4Network(own[0])[0]),
            mac=f"66:00:00:00:{place >> 8:02x}:{place & 255:02x}",
            blocks=own,
        )
        felix = Felix(own=tunnel, mtu=layout.mtu.pod_bytes)
        yield Speaker(
            address=address,
            reflector=False,
            blocks=own,
            daemon="felix",
            config=msgspec.json.encode(felix).decode(),
            ends=tuple(routed_end(own[0], number) for number in range(_ends(layout))),
        )


def expected(layout: Layout) -> dict[str, Figure]:
    """Return the closed forms at this size.

    Every node's Felix watches: where the datastore is etcd, Typha's README advises none.  Of the
    pods, those with namespaces are neighbours.
    """
    forms, scale = layout.design.forms, layout.scale
    return {
        "tunnels_per_node": forms["tunnels_per_node"](scale),
        "fdb_entries": forms["fdb_entries"](scale),
        "neighbours": exact(forms["neighbours"](scale).value - scale.pods_per_node + _ends(layout)),
        "fib_routes": forms["fib_routes"](scale),
        "watchers": exact(scale.nodes),
        "watch_events": exact(EVENTS * scale.nodes),
        "watch_cpu": law.WATCH_CPU,
    }


def _ends(layout: Layout) -> int:
    return min(ENDS, layout.scale.pods_per_node)
