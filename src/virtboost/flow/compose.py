"""A traversal of megaflows and connections -> one integrated entry, or a numbered refusal.

A packet is followed through the datapath as it was dumped.  Every field is the original's or a
constant, bit by bit.  What a megaflow matches on becomes a guard on the original where the bits are
the original's, and nothing where they are constants of an earlier action; so masks are united and
rewritten fields substituted.  An entry is exact: a packet that its match accepts leaves as the
datapath would send it, as long as the megaflows and connections are as they were.

Source: the composition of VFP (NSDI 2017, section 6) and of ``nfp_flower`` in Linux
(drivers/net/ethernet/netronome/nfp/flower/conntrack.c).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from virtboost.flow.connection import Tuple
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import IntegratedEntry, Transposition
from virtboost.flow.field import TCP_FLAGS, Part
from virtboost.flow.packet import Packet
from virtboost.flow.protocol import IP_NAMES, IPV4, IPV6
from virtboost.flow.refusal import Refusal, Refused
from virtboost.flow.traversal import Traversal


def compose(packet: Packet, datapath: Datapath) -> IntegratedEntry | Refusal:
    """Return the entry of a packet's traversal, for its direction alone.

    Args:
        packet: A packet as it comes; fields that are not given are taken from the first packet of
            the megaflows that match.
        datapath: A dump.
    """
    try:
        return Traversal(packet, datapath).entry()
    except Refused as refused:
        return refused.refusal


class Both(NamedTuple):
    """The entries of both directions, or why there is none."""

    forward: IntegratedEntry | Refusal
    reverse: IntegratedEntry | Refusal | None
    """None where the forward direction was refused, or has no connection."""

    @property
    def installable(self) -> bool:
        """Whether both directions are entries, or one is and has no connection to wait for."""
        if not isinstance(self.forward, IntegratedEntry):
            return False
        return isinstance(self.reverse, IntegratedEntry) or not self.forward.connections


def compose_both(packet: Packet, datapath: Datapath) -> Both:
    """Return the entries of a packet's direction and of its answer's: both, or none is of use.

    Half a connection past the datapath would break its conntrack.
    """
    forward = compose(packet, datapath)
    if isinstance(forward, Refusal) or not forward.connections:
        return Both(forward, None)
    back = answer(forward, packet)
    return Both(forward, None if back is None else compose(back, datapath))


def answer(entry: IntegratedEntry, packet: Packet) -> Packet | None:
    """Return a packet that answers one of an entry's, at the port where this leaves.

    It has the tag that this leaves with.  None: this is dropped.
    """
    moved, last = entry.transposition, entry.connections[-1]
    connection = last.connection
    inner = tuple_fields(connection.original if last.reply else connection.reply)
    inner |= _tag(moved, packet.headers[-1])
    if moved.output is None:
        return None
    if moved.push is None:
        return Packet(in_port=moved.output, headers=(inner,))
    turned = _turned(moved.push.fields)
    if moved.push.template is not None:
        return Packet(in_port=moved.output, headers=(turned, inner))
    tunnel = {name: value for name, value in turned.items() if name.startswith("tunnel.")}
    return Packet(in_port=moved.output, headers=(inner,), tunnel=tunnel)


def _tag(moved: Transposition, header: Mapping[str, int]) -> dict[str, int]:
    """Return the VLAN tag that a packet leaves with, as far as it is known."""
    if moved.push_vlan is not None:
        return {**moved.push_vlan, "vlan.cfi": 1}
    if moved.pop_vlan:
        return {"vlan.tpid": 0}
    return {name: value for name, value in header.items() if name.startswith("vlan.")}


def tuple_fields(packet: Tuple) -> dict[str, int]:
    """Return the fields of a packet of one direction of a connection."""
    version = f"ipv{packet.version}"
    found = {
        "eth_type": IPV4 if packet.version == 4 else IPV6,
        f"{version}.src": packet.source,
        f"{version}.dst": packet.destination,
        f"{version}.proto": packet.protocol,
        f"{version}.frag": 0,
    }
    name = IP_NAMES.get(packet.protocol)
    if name in ("tcp", "udp"):
        found |= {f"{name}.src": packet.source_port, f"{name}.dst": packet.destination_port}
    if name == "tcp":
        found["tcp_flags"] = TCP_FLAGS["ack"]
    return found


_TURNED = {
    "ipv4.src": "ipv4.dst", "ipv4.dst": "ipv4.src", "ipv6.src": "ipv6.dst",
    "ipv6.dst": "ipv6.src", "eth.src": "eth.dst", "eth.dst": "eth.src",
    "tunnel.src": "tunnel.dst", "tunnel.dst": "tunnel.src",
}  # fmt: skip

_ALIKE = ("eth_type", "ipv4.proto", "ipv6.proto", "ipv4.frag", "udp.dst", "tunnel.tun_id")


def _turned(outer: Mapping[str, int]) -> dict[str, int]:
    """Return the outer header that the other end of a tunnel sends."""
    turned = {_TURNED[name]: value for name, value in outer.items() if name in _TURNED}
    return turned | {name: outer[name] for name in _ALIKE if name in outer} | {"vlan.tpid": 0}


def accepts(entry: IntegratedEntry, packet: Packet) -> bool:
    """Tell whether a packet, all of whose fields are known, is one of an entry's."""
    popped = entry.transposition.pop
    return packet.in_port == entry.in_port and all(
        _accepts(part, packet, popped) for part in entry.match
    )


def _accepts(part: Part, packet: Packet, popped: int) -> bool:
    name = part.name.removeprefix("outer.")
    level = 0 if name != part.name else popped
    if level >= len(packet.headers):
        return False
    metadata = name.startswith("tunnel.") and not popped
    stack = (packet.tunnel or {}) if metadata else packet.headers[level]
    value = stack.get(name, 0)
    return isinstance(part.value, int) and (value ^ part.value) & part.mask == 0
