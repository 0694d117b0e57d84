"""A pass through the connection tracker, as far as it is the same for every packet of a direction.

Source: ``process_one`` of lib/conntrack.c; which connections may be taken past it: Linux,
net/sched/act_ct.c, ``tcf_ct_flow_table_process_conn``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from virtboost.flow.connection import Connection, Tuple
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import Tracked
from virtboost.flow.field import CT_STATE, TCP_FLAGS, Part
from virtboost.flow.protocol import ICMP, ICMPV6, IPV4, IPV6, TCP, UDP
from virtboost.flow.record import Record
from virtboost.flow.refusal import Refused, number
from virtboost.flow.text import Place, pairs

CLOSING = TCP_FLAGS["fin"] | TCP_FLAGS["syn"] | TCP_FLAGS["rst"]

LASTING = Part("tcp_flags", TCP_FLAGS["ack"], TCP_FLAGS["ack"] | CLOSING)
"""Segments that leave a connection open.  Those without ACK are invalid to each tracker:
``tcp_invalid_flags`` of lib/conntrack-tcp.c, ``tcp_valid_flags`` of Linux,
net/netfilter/nf_conntrack_proto_tcp.c."""


class Passed(NamedTuple):
    """A packet after the tracker."""

    tracked: Tracked
    zone: int
    packet: Tuple
    """As it came to the tracker."""
    translated: Tuple | None
    """As it left, where NAT changed it."""


def through(record: Record, datapath: Datapath, argument: str, place: Place) -> Passed:
    """Take a packet through ``ct(argument)``, which changes the record.

    Raises:
        Refused: What the tracker does depends on more than the connection.
    """
    asked = {key: value for key, value, _ in pairs(argument)}
    zone = number(asked.get("zone", "0"), place)
    packet = _tuple(record, place)
    tracked = datapath.tracked(zone, packet)
    if tracked is None:
        raise Refused(11, place, f"zone {zone}: {packet}")
    connection = tracked.connection
    _require_established(connection, place)
    _require_unchanged(connection, asked, place)
    there = (connection.original if tracked.reply else connection.reply).turned
    translated = there if "nat" in asked and there != packet else None
    state = CT_STATE["trk"] | CT_STATE["est"] | tracked.reply * CT_STATE["rpl"]
    if translated is not None:
        state |= _translate(record, packet, translated)
    record.metadata |= {
        "ct_state": state,
        "ct_zone": zone,
        "ct_mark": connection.mark,
        "ct_label": connection.label,
        **_original(connection.original),
    }
    return Passed(tracked, zone, packet, translated)


def _tuple(record: Record, place: Place) -> Tuple:
    """Return the packet's addresses and ports, and guard them: a connection is one tuple."""
    kind = _exactly(record, "eth_type", place)
    if kind not in (IPV4, IPV6):
        raise Refused(13, place, f"eth_type {kind:#06x}")
    version = "ipv4" if kind == IPV4 else "ipv6"
    protocol = _exactly(record, f"{version}.proto", place)
    if protocol not in (TCP, UDP):
        names = {ICMP: "ICMP", ICMPV6: "ICMPv6"}
        raise Refused(13, place, names.get(protocol, f"protocol {protocol}"))
    if _exactly(record, f"{version}.frag", place):
        raise Refused(17, place)
    transport = "tcp" if protocol == TCP else "udp"
    if protocol == TCP:
        _require_lasting(record, place)
    return Tuple(
        _exactly(record, f"{version}.src", place),
        _exactly(record, f"{version}.dst", place),
        4 if kind == IPV4 else 6,
        protocol,
        _exactly(record, f"{transport}.src", place),
        _exactly(record, f"{transport}.dst", place),
    )


def _exactly(record: Record, name: str, place: Place) -> int:
    if not record.require_known(name):
        raise Refused(23, place, name)
    return record.known(name).value


def _require_lasting(record: Record, place: Place) -> None:
    """Guard that the packet neither opens nor closes its connection, and is valid."""
    if not record.accepts(LASTING):
        raise Refused(24, place)
    record.require(LASTING)


def _require_established(connection: Connection, place: Place) -> None:
    if connection.helper is not None or connection.parent:
        raise Refused(14, place, connection.helper or "an expected connection")
    if connection.original.protocol == TCP:
        if set(connection.tcp_states) != {"ESTABLISHED"}:
            raise Refused(12, place, ", ".join(connection.tcp_states) or "no state in the dump")
    elif connection.status.isdisjoint(("SEEN_REPLY", "ASSURED")):
        raise Refused(18, place, str(connection.original))


def _require_unchanged(connection: Connection, asked: Mapping[str, str], place: Place) -> None:
    if "force_commit" in asked:
        raise Refused(16, place, "force_commit")
    if "helper" in asked:
        raise Refused(14, place, asked["helper"])
    for key, now in (("mark", connection.mark), ("label", connection.label)):
        if key in asked:
            value, slash, mask = asked[key].partition("/")
            bits = number(mask, place) if slash else -1
            if (now ^ number(value, place)) & bits:
                raise Refused(15, place, f"{key} {now:#x} becomes {asked[key]}")


def _translate(record: Record, here: Tuple, there: Tuple) -> int:
    """Rewrite what NAT rewrites; return the bits of ``ct_state`` that say so."""
    version = f"ipv{here.version}"
    transport = "tcp" if here.protocol == TCP else "udp"
    bits = 0
    for name, before, after, bit in (
        (f"{version}.src", here.source, there.source, CT_STATE["snat"]),
        (f"{version}.dst", here.destination, there.destination, CT_STATE["dnat"]),
        (f"{transport}.src", here.source_port, there.source_port, CT_STATE["snat"]),
        (f"{transport}.dst", here.destination_port, there.destination_port, CT_STATE["dnat"]),
    ):
        if before != after:
            record.set(name, after)
            bits |= bit
    return bits


def _original(packet: Tuple) -> dict[str, int]:
    """Return ``ct_tuple4`` or ``ct_tuple6``, whose ports have other names."""
    name = f"ct_tuple{packet.version}"
    source, destination = ("src_port", "dst_port") if packet.version == 6 else ("tp_src", "tp_dst")
    return {
        f"{name}.src": packet.source,
        f"{name}.dst": packet.destination,
        f"{name}.proto": packet.protocol,
        f"{name}.{source}": packet.source_port,
        f"{name}.{destination}": packet.destination_port,
    }
