"""Frames that came in and went out of Open vSwitch, held against what an entry would have done."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Literal, NamedTuple

from virtboost.errors import InputError
from virtboost.flow.agent.table import Side
from virtboost.flow.compose import accepts
from virtboost.flow.packet import VXLAN_PORT, packet_from_bytes
from virtboost.flow.protocol import IPV4, TCP, UDP
from virtboost.flow.transpose import CHECKSUM, layout, transposed

Result = Literal["same", "absent", "different"]


class Frame(NamedTuple):
    """One that was seen."""

    port: str
    data: bytes


def is_comparable(side: Side) -> bool:
    """Tell whether something leaves of a side's frames."""
    return side.entry.transposition.output is not None


def compare(side: Side, came: Iterable[Frame], left: Iterable[Frame]) -> Result | None:
    """Return how what left is beside the prediction; None: no frame of the entry came.

    Frames that are told apart by nothing that a switch leaves alone are not compared.
    """
    moved = side.entry.transposition
    mine, others = _sorted(side, came)
    predicted = {
        marked: _plain(transposed(moved, frame))
        for marked, frame in mine.items()
        if marked not in others
    }
    if not predicted:
        return None
    seen = [(frame.port, _plain(frame.data), marks(frame.data)) for frame in left]
    if any(port == moved.output and data in predicted.values() for port, data, _ in seen):
        return "same"
    if any(marked in predicted for _, _, marked in seen):
        return "different"
    return "absent"


def _sorted(side: Side, came: Iterable[Frame]) -> tuple[dict[bytes, bytes], set[bytes]]:
    """Return the frames of an entry by their marks, and the marks of other frames."""
    mine: dict[bytes, bytes] = {}
    others = set()
    for frame in came:
        marked = marks(frame.data)
        if frame.port == side.entry.in_port and _is_of(side, frame):
            if mine.setdefault(marked, frame.data) != frame.data:
                others.add(marked)
        else:
            others.add(marked)
    return mine, others


def _is_of(side: Side, frame: Frame) -> bool:
    try:
        packet = packet_from_bytes(frame.data, frame.port)
    except InputError:
        return False
    grown = len(frame.data) - 14 + side.encoded.entry.push_size
    return accepts(side.entry, packet) and grown <= side.encoded.entry.mtu


def _plain(frame: bytes) -> bytes:
    """Return a frame without the outer source port, which is a hash of each datapath's own."""
    at = _tunnel(frame)
    return frame if not at else frame[: at - 16] + b"\0\0" + frame[at - 14 :]


def _tunnel(frame: bytes) -> int:
    """Return the length of an outer VXLAN header; 0: there is none."""
    try:
        here = layout(frame)
        if (
            here.protocol == UDP
            and struct.unpack_from("!H", frame, here.transport + 2)[0] == VXLAN_PORT
        ):
            return here.transport + 16
    except (struct.error, IndexError):
        pass
    return 0


def marks(frame: bytes) -> bytes:
    """Return what a switch leaves alone: IPv4's id, the transport without ports and checksum."""
    data = frame[_tunnel(frame) :]
    try:
        here = layout(data)
    except (struct.error, IndexError):
        return data
    end = len(data)
    number = b""
    if here.kind == IPV4:
        number = data[here.network + 4 : here.network + 6]
        end = here.network + int.from_bytes(data[here.network + 2 : here.network + 4], "big")
    rest = bytearray(data[here.transport + 4 : end])
    if here.protocol in (TCP, UDP):
        at = CHECKSUM[here.protocol] - 4
        rest[at : at + 2] = b"\0\0"
    return number + bytes(rest)
