"""Frames of a pcap file."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from virtboost.errors import InputError

MAGIC = {
    b"\xa1\xb2\xc3\xd4": ">", b"\xd4\xc3\xb2\xa1": "<",
    b"\xa1\xb2\x3c\x4d": ">", b"\x4d\x3c\xb2\xa1": "<",
}  # fmt: skip
"""Of microseconds and nanoseconds, in both orders of bytes (draft-ietf-opsawg-pcap)."""

ETHERNET = 1


def frames(data: bytes, source: str) -> Iterator[bytes]:
    """Yield the Ethernet frames of a pcap file.

    Raises:
        InputError: It is none, or ends in the middle of a frame.
    """
    order = MAGIC.get(data[:4])
    if order is None or len(data) < 24:
        raise InputError(f"{source}: not a pcap file (a pcapng becomes one: editcap -F pcap)")
    (kind,) = struct.unpack_from(f"{order}I", data, 20)
    if kind & 0xFFFF != ETHERNET:
        raise InputError(f"{source}: its frames are not Ethernet (link type {kind & 0xFFFF})")
    at = 24
    while at < len(data):
        if at + 16 > len(data):
            raise InputError(f"{source}: byte {at}: half a header of a frame")
        (length,) = struct.unpack_from(f"{order}I", data, at + 8)
        at += 16
        if at + length > len(data):
            raise InputError(f"{source}: byte {at}: half a frame")
        yield data[at : at + length]
        at += length
