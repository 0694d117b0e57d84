"""What a transposition does to the bytes of a frame: the software model of every fast path."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from virtboost.flow.checksum import IN_IP_HEADER, IN_TRANSPORT, folded
from virtboost.flow.entry import Rewrite, Transposition
from virtboost.flow.protocol import IPV4, IPV6, QINQ, TCP, UDP, VLAN
from virtboost.flow.tunnel import HEADER, UDP_HEADER


class Layout(NamedTuple):
    """Where the headers of a frame begin."""

    network: int
    transport: int
    kind: int
    """EtherType behind a tag."""
    protocol: int
    """0: neither IPv4 nor IPv6."""


class Spot(NamedTuple):
    """Where a field is."""

    header: int
    """0 Ethernet, 1 network, 2 transport."""
    offset: int
    size: int
    """Bytes."""
    shift: int = 0
    """Bits below it in these bytes."""
    bits: int = 0
    """0: all of them."""


SPOTS = {
    "eth.dst": Spot(0, 0, 6),
    "eth.src": Spot(0, 6, 6),
    "ipv4.tos": Spot(1, 1, 1),
    "ipv4.ttl": Spot(1, 8, 1),
    "ipv4.src": Spot(1, 12, 4),
    "ipv4.dst": Spot(1, 16, 4),
    "ipv6.tclass": Spot(1, 0, 4, 20, 8),
    "ipv6.label": Spot(1, 0, 4, 0, 20),
    "ipv6.hlimit": Spot(1, 7, 1),
    "ipv6.src": Spot(1, 8, 16),
    "ipv6.dst": Spot(1, 24, 16),
    "arp.op": Spot(1, 6, 2),
    "arp.sha": Spot(1, 8, 6),
    "arp.sip": Spot(1, 14, 4),
    "arp.tha": Spot(1, 18, 6),
    "arp.tip": Spot(1, 24, 4),
    **{f"{name}.src": Spot(2, 0, 2) for name in ("tcp", "udp")},
    **{f"{name}.dst": Spot(2, 2, 2) for name in ("tcp", "udp")},
}
"""Fields that can be rewritten."""

CHECKSUM = {TCP: 16, UDP: 6}
"""Offset of the checksum in the transport header."""


def layout(frame: bytes | bytearray) -> Layout:
    """Return where the headers of a frame begin.

    Raises:
        struct.error: It is too short.
    """
    at = 12
    (kind,) = struct.unpack_from("!H", frame, at)
    if kind in (VLAN, QINQ):
        at += 4
        (kind,) = struct.unpack_from("!H", frame, at)
    network = at + 2
    if kind == IPV4:
        return Layout(network, network + 4 * (frame[network] & 0xF), kind, frame[network + 9])
    if kind == IPV6:
        return Layout(network, network + 40, kind, frame[network + 6])
    return Layout(network, network, kind, 0)


def transposed(moved: Transposition, frame: bytes, *, source_port: int = 0) -> bytes:
    """Return the frame that leaves.

    Args:
        moved: What is done.
        frame: A frame that the entry accepts.
        source_port: Of the outer UDP header, which every datapath makes by a hash of its own.

    Raises:
        struct.error: The frame is too short.
    """
    data = bytearray(frame)
    for _ in range(moved.pop):
        del data[: layout(data).transport + UDP_HEADER + HEADER]
    if moved.pop_vlan:
        del data[12:16]
    _rewrite(data, moved)
    if moved.push_vlan is not None:
        tag = moved.push_vlan
        tci = tag["vlan.pcp"] << 13 | tag["vlan.vid"]
        data[12:12] = struct.pack("!HH", tag["vlan.tpid"], tci)
    if moved.push is None or moved.push.template is None:
        return bytes(data)
    return _encapsulated(moved.push.template, bytes(data), source_port)


def _rewrite(data: bytearray, moved: Transposition) -> None:
    if not moved.rewrites:
        return
    here = layout(data)
    sums = [0, 0]
    for each in moved.rewrites:
        for covered, old, new in _write(data, here, each):
            for number in covered:
                sums[number] += (~old & 0xFFFF) + new
    deltas = (moved.ip_checksum_delta, moved.l4_checksum_delta)
    chosen = [folded(s) if delta is None else delta for s, delta in zip(sums, deltas, strict=True)]
    if here.kind == IPV4 and chosen[0]:
        _adjust(data, here.network + 10, chosen[0])
    offset = CHECKSUM.get(here.protocol)
    if offset is not None and chosen[1]:
        at = here.transport + offset
        if here.protocol == UDP and data[at : at + 2] == b"\0\0":
            return
        _adjust(data, at, chosen[1])
        if here.protocol == UDP and data[at : at + 2] == b"\0\0":
            data[at : at + 2] = b"\xff\xff"


def _write(data: bytearray, here: Layout, each: Rewrite) -> Iterator[tuple[list[int], int, int]]:
    """Write a field; yield the words that it changes, with the checksums that cover them: 0, 1."""
    spot = SPOTS[each.name]
    at = (0, here.network, here.transport)[spot.header] + spot.offset
    start = at - (spot.size == 1 and (at - here.network) % 2)
    end = start + max(spot.size, 2)
    before = bytes(data[start:end])
    number = int.from_bytes(data[at : at + spot.size], "big")
    mask = each.mask << spot.shift
    number = number & ~mask | each.value << spot.shift & mask
    data[at : at + spot.size] = number.to_bytes(spot.size, "big")
    covered = [n for n, names in enumerate((IN_IP_HEADER, IN_TRANSPORT)) if each.name in names]
    for offset in range(0, len(before) - 1, 2):
        old = int.from_bytes(before[offset : offset + 2], "big")
        new = int.from_bytes(data[start + offset : start + offset + 2], "big")
        yield covered, old, new


def _adjust(data: bytearray, at: int, delta: int) -> None:
    """Update a checksum by RFC 1624, equation 3."""
    (old,) = struct.unpack_from("!H", data, at)
    struct.pack_into("!H", data, at, ~folded((~old & 0xFFFF) + delta) & 0xFFFF)


def _encapsulated(template: bytes, inner: bytes, source_port: int) -> bytes:
    data = bytearray(template + inner)
    here = layout(data)
    length = len(data) - here.transport
    struct.pack_into("!H", data, here.transport, source_port)
    struct.pack_into("!H", data, here.transport + 4, length)
    if here.kind == IPV4:
        struct.pack_into("!H", data, here.network + 2, len(data) - here.network)
        header = bytes(data[here.network : here.transport])
        struct.pack_into("!H", data, here.network + 10, internet_checksum(header))
    else:
        struct.pack_into("!H", data, here.network + 4, length)
    at = here.transport + CHECKSUM[UDP]
    if data[at : at + 2] != b"\0\0":
        struct.pack_into("!H", data, at, 0)
        addresses = data[here.network + (12 if here.kind == IPV4 else 8) : here.transport]
        pseudo = bytes(addresses) + struct.pack("!IHH", length, 0, UDP)
        checksum = internet_checksum(pseudo + bytes(data[here.transport :]))
        struct.pack_into("!H", data, at, checksum or 0xFFFF)
    return bytes(data)


def internet_checksum(data: bytes) -> int:
    """Return the checksum of RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    words = struct.unpack(f"!{len(padded) // 2}H", padded)
    return ~folded(sum(words)) & 0xFFFF
