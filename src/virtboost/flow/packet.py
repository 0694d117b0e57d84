"""A packet as fields: given by hand in Open vSwitch's own syntax, or read from its bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from msgspec import Struct

from virtboost.errors import InputError
from virtboost.flow.field import FIELDS, TUNNEL_FLAGS, Kind, Value
from virtboost.flow.megaflow import fields_by_name, read_fields
from virtboost.flow.openflow import is_openflow, parts_of
from virtboost.flow.protocol import (
    ARP,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    QINQ,
    SCTP,
    TCP,
    UDP,
    VLAN,
)
from virtboost.flow.text import Malformed
from virtboost.flow.tunnel import VNI_IS_VALID

VXLAN_PORT = 4789
"""IANA's."""


class Packet(Struct, frozen=True, kw_only=True):
    """A packet at a port, outermost header first."""

    in_port: str
    headers: tuple[Mapping[str, int], ...]
    """Values by the name of their part, for each header stack; what is not there is not known.

    An outer stack that is VXLAN has ``tunnel.tun_id`` and ``tunnel.flags`` too; the datapath of
    OVS 3.1 does not set ``df`` in these, whatever the outer header has.
    """
    tunnel: Mapping[str, int] | None = None
    """Metadata of a packet that came out of a tunnel already, at a tunnel's port, as far as it is
    known; None: it came out of none."""


def packet_of(text: str) -> Packet:
    """Read a packet that a person wrote, in either syntax of Open vSwitch.

    As a datapath writes it, ``in_port(p0),eth_type(0x0800),ipv4(src=10.0.0.1,...)``, or as OpenFlow
    does, ``in_port=p0,tcp,nw_src=10.0.0.1``.  Fields that are left out may have any value.  ``+ ``
    is before the inner stack of a VXLAN packet.

    Raises:
        InputError: It is of neither form.
    """
    stacks: list[dict[str, Value]] = []
    for stack in text.split("+ "):
        try:
            stacks.append(_written(stack.strip().rstrip(",")))
        except Malformed as error:
            raise InputError(f"packet: column {error.offset + 1}: {error.problem}") from None
    in_port = stacks[0].pop("in_port", None)
    if not isinstance(in_port, str):
        raise InputError("packet: it needs an in_port")
    tunnel = {k: v for k, v in _numbers(stacks[0]) if k.startswith("tunnel.")}
    bare = len(stacks) == 1
    headers = [
        {k: v for k, v in _numbers(stack) if not (bare and k.startswith("tunnel."))}
        for stack in stacks
    ]
    return Packet(
        in_port=in_port, headers=tuple(headers), tunnel=tunnel if bare and tunnel else None
    )


def _written(text: str) -> dict[str, Value]:
    if is_openflow(text):
        return parts_of(text)
    parts = fields_by_name(read_fields(_spelled(text))).values()
    return {part.name: part.value for part in parts if part.mask}


def _numbers(stack: Mapping[str, Value]) -> Iterator[tuple[str, int]]:
    for name, value in stack.items():
        if isinstance(value, int):
            yield name, value


def _spelled(text: str) -> str:
    """Return ``in_port=p0`` as ``in_port(p0)``; other fields of one value likewise."""
    words = []
    for word in text.split(","):
        name, equals, value = word.strip().partition("=")
        plain = equals and isinstance(FIELDS.get(name), Kind)
        words.append(f"{name}({value})" if plain else word.strip())
    return ",".join(words)


class _Bytes:
    """A reader of headers."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def number(self, size: int) -> int:
        if self.at + size > len(self.data):
            raise struct.error
        value = int.from_bytes(self.data[self.at : self.at + size], "big")
        self.at += size
        return value


def packet_from_bytes(data: bytes, in_port: str) -> Packet:
    """Read a packet from an Ethernet frame; VXLAN has its inner frame as a second stack.

    Raises:
        InputError: It is too short for its headers.
    """
    reader, stacks = _Bytes(data), []
    try:
        while True:
            stacks.append(_stack(reader))
            if stacks[-1].get("udp.dst") != VXLAN_PORT or len(stacks) > 1:
                break
            flags, vni = reader.take("!II")
            if flags != VNI_IS_VALID or vni & 0xFF:
                break
            stacks[-1]["tunnel.tun_id"] = vni >> 8
    except struct.error:
        raise InputError(f"packet of {len(data)} bytes: too short for its headers") from None
    return Packet(in_port=in_port, headers=tuple(stacks))


def _stack(reader: _Bytes) -> dict[str, int]:
    found = {"eth.dst": reader.number(6), "eth.src": reader.number(6)}
    (kind,) = reader.take("!H")
    found["vlan.tpid"] = 0
    if kind in (VLAN, QINQ):
        tci, inner = reader.take("!HH")
        found |= {"vlan.tpid": kind, "vlan.vid": tci & 0xFFF, "vlan.pcp": tci >> 13}
        found["vlan.cfi"] = 1
        kind = inner
    found["eth_type"] = kind
    if kind == IPV4:
        _ipv4(reader, found)
    elif kind == IPV6:
        _ipv6(reader, found)
    elif kind == ARP:
        _, _, op = reader.take("!IHH")
        found["arp.op"] = op & 0xFF
        found |= {"arp.sha": reader.number(6), "arp.sip": reader.number(4)}
        found |= {"arp.tha": reader.number(6), "arp.tip": reader.number(4)}
    return found


def _ipv4(reader: _Bytes, found: dict[str, int]) -> None:
    start = reader.at
    length, tos, _, _, fragment, ttl, protocol, _, source, destination = reader.take("!BBHHHBBHII")
    found |= {"ipv4.src": source, "ipv4.dst": destination, "ipv4.proto": protocol}
    found |= {"ipv4.tos": tos, "ipv4.ttl": ttl, "ipv4.frag": _fragment(fragment)}
    reader.at = start + 4 * (length & 0xF)
    if found["ipv4.frag"] != 2:
        _transport(reader, protocol, found)


def _fragment(field: int) -> int:
    if field & 0x1FFF:
        return 2
    return int(bool(field & 0x2000))


def _ipv6(reader: _Bytes, found: dict[str, int]) -> None:
    first, _, protocol, limit = reader.take("!IHBB")
    found |= {"ipv6.src": reader.number(16), "ipv6.dst": reader.number(16)}
    found |= {"ipv6.label": first & 0xFFFFF, "ipv6.tclass": first >> 20 & 0xFF}
    found |= {"ipv6.proto": protocol, "ipv6.hlimit": limit, "ipv6.frag": 0}
    _transport(reader, protocol, found)


def _transport(reader: _Bytes, protocol: int, found: dict[str, int]) -> None:
    if protocol == TCP:
        source, destination, _, _, flags = reader.take("!HHIIH")
        found |= {"tcp.src": source, "tcp.dst": destination, "tcp_flags": flags & 0xFFF}
    elif protocol == UDP:
        source, destination, _, checksum = reader.take("!HHHH")
        found |= {"udp.src": source, "udp.dst": destination}
        found["tunnel.flags"] = TUNNEL_FLAGS["key"] | bool(checksum) * TUNNEL_FLAGS["csum"]
    elif protocol == SCTP:
        source, destination = reader.take("!HH")
        found |= {"sctp.src": source, "sctp.dst": destination}
    elif protocol in (ICMP, ICMPV6):
        kind, code = reader.take("!BB")
        name = "icmp" if protocol == ICMP else "icmpv6"
        found |= {f"{name}.type": kind, f"{name}.code": code}
