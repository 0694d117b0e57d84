"""BGP as a synthetic peer speaks it: just enough for one session of iBGP with IPv4 routes.

Source: RFC 4271, sections 4.1 to 4.4; RFC 5492 (capabilities), RFC 4760 (address families),
RFC 6793 (AS numbers of four octets).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

OPEN, UPDATE, KEEPALIVE = 1, 2, 4

MARKER = b"\xff" * 16

HEADER = struct.Struct("!16sHB")

MOST_BYTES = 4096
"""Of a message."""

AS_TRANS = 23456
"""In the place of an AS number that has four octets."""

ORIGIN_IGP = bytes((0x40, 1, 1, 0))

AS_PATH_EMPTY = bytes((0x40, 2, 0))

NEXT_HOP = bytes((0x40, 3, 4))

LOCAL_PREF_100 = bytes((0x40, 5, 4, 0, 0, 0, 100))


def message(kind: int, body: bytes = b"") -> bytes:
    """Return a message."""
    return HEADER.pack(MARKER, HEADER.size + len(body), kind) + body


def opening(own: IPv4Address, as_number: int, hold_s: int) -> bytes:
    """Return the OPEN of a speaker of IPv4 routes and four-octet AS numbers."""
    capabilities = bytes((1, 4, 0, 1, 0, 1)) + bytes((65, 4)) + struct.pack("!I", as_number)
    parameter = bytes((2, len(capabilities))) + capabilities
    shown = as_number if as_number < 1 << 16 else AS_TRANS
    head = struct.pack("!BHH4sB", 4, shown, hold_s, own.packed, len(parameter))
    return message(OPEN, head + parameter)


def announcement(own: IPv4Address, blocks: Iterable[IPv4Network]) -> bytes:
    """Return one UPDATE with routes to blocks behind a speaker, who is their next hop."""
    attributes = ORIGIN_IGP + AS_PATH_EMPTY + NEXT_HOP + own.packed + LOCAL_PREF_100
    routes = b"".join(
        bytes((block.prefixlen,)) + block.network_address.packed[: (block.prefixlen + 7) // 8]
        for block in blocks
    )
    head = struct.pack("!HH", 0, len(attributes))
    return message(UPDATE, head + attributes + routes)


def messages(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the whole messages from the front of a buffer, and yield kind and body of each.

    Raises:
        ValueError: What is there is not BGP.
    """
    while len(buffer) >= HEADER.size:
        marker, length, kind = HEADER.unpack_from(buffer)
        if marker != MARKER or not HEADER.size <= length <= MOST_BYTES:
            raise ValueError("not a message of BGP")
        if len(buffer) < length:
            return
        body = bytes(buffer[HEADER.size : length])
        del buffer[:length]
        yield kind, body


def announced(update: bytes) -> int:
    """Return how many routes the body of an UPDATE announces."""
    withdrawn = int.from_bytes(update[:2])
    attributes = int.from_bytes(update[2 + withdrawn : 4 + withdrawn])
    place, count = 4 + withdrawn + attributes, 0
    while place < len(update):
        place += 1 + (update[place] + 7) // 8
        count += 1
    return count
