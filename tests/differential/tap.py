"""Raw sockets at every end of a world, and the wire between its hosts, which this process is."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple

from support.namespace import inside

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
"""``asm-generic/socket.h``."""

SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23
TP_STATUS_VLAN_VALID = 0x10
"""``linux/if_packet.h``."""

ICMP = 1

MARK = 0x88B5
"""Type of frames that only say that those before them have passed: IEEE 802's for experiments."""

WIRE = {"aw": "bw", "bw": "aw"}
"""Ends of the hosts' uplinks; what comes out of one goes into the other."""


class Frame(NamedTuple):
    """A frame that came out."""

    point: str
    data: bytes
    time_ns: int
    """CLOCK_MONOTONIC when this process took it."""


class Tap:
    """Sends frames and keeps all that come out; a context manager."""

    def __init__(self, pid: int, ends: Sequence[str]) -> None:
        """Open the sockets in the namespace of a process."""
        self._frames: list[Frame] = []
        self._marks: set[tuple[str, bytes]] = set()
        self._changed = threading.Condition()
        self._held: list[tuple[str, bytes]] | None = None
        self._closing = ExitStack()
        self._sockets: dict[str, socket.socket] = {}
        with inside(pid):
            for end in (*ends, *WIRE):
                self._sockets[end] = self._closing.enter_context(_opened(end))
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._take, daemon=True)

    def __enter__(self) -> Tap:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.close()
        self._thread.join()
        self._stopped.close()
        self._closing.close()

    def send(self, end: str, frame: bytes) -> None:
        self._sockets[end].send(frame)

    def mark(self, end: str, number: int) -> bytes:
        """Send a frame that follows those before it; return what ``passed`` asks for."""
        content = struct.pack("!Q", number).ljust(46, b"\0")
        self.send(end, b"\x02\0\0\0\xff\xff\x02\0\0\0\xff\xfe" + MARK.to_bytes(2, "big") + content)
        return content

    def passed(self, point: str, mark: bytes, limit_s: float) -> bool:
        """Wait until a mark came out at an end or at the wire; tell whether it did."""
        with self._changed:
            return self._changed.wait_for(lambda: (point, mark) in self._marks, limit_s)

    def taken(self) -> list[Frame]:
        """Return what came out since this was asked last."""
        with self._changed:
            found, self._frames = self._frames, []
            self._marks.clear()
            return found

    def hold(self) -> None:
        """Keep what comes to the wire."""
        with self._changed:
            self._held = []

    def release(self) -> None:
        """Let pass what was kept, in the order in which it came."""
        with self._changed:
            held, self._held = self._held or [], None
        for end, frame in held:
            self.send(WIRE[end], frame)

    def _take(self) -> None:
        names = {each.fileno(): name for name, each in self._sockets.items()}
        poll = select.poll()
        for descriptor in (*names, self._stopped.fileno()):
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor not in names:
                    return
                self._take_all(names[descriptor])

    def _take_all(self, point: str) -> None:
        with self._changed:
            while (data := _received(self._sockets[point])) is not None:
                self._keep(point, data)
            self._changed.notify_all()

    def _keep(self, point: str, data: bytes) -> None:
        content = _marked(data)
        if content is not None:
            self._marks.add((point, content))
        elif point not in WIRE or not _is_of_a_kernel(data):
            self._frames.append(Frame(point, data, time.monotonic_ns()))
        if point not in WIRE:
            return
        if self._held is None:
            self.send(WIRE[point], data)
        elif content is None:
            self._held.append((point, data))


def _opened(end: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    made.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
    made.bind((end, 0))
    return made


def _received(end: socket.socket) -> bytes | None:
    """Return a frame as it was on the wire, its VLAN tag too, or None for none."""
    try:
        data, told, _, _ = end.recvmsg(4096, 64, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    for _, _, aux in told:
        status, tci, tpid = struct.unpack_from("=I12xHH", aux)
        if status & TP_STATUS_VLAN_VALID:
            return data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
    return data


def _is_of_a_kernel(data: bytes) -> bool:
    """Tell of a frame on the wire whether a host's kernel says it, of what Open vSwitch left to it."""
    return data[12:14] == b"\x08\x06" or (data[12:14] == b"\x08\0" and data[23] == ICMP)


def _marked(data: bytes) -> bytes | None:
    """Return the content of a mark, in a tunnel or not, or None for another frame."""
    wanted = MARK.to_bytes(2, "big")
    for at in (12, 62):
        if data[at : at + 2] == wanted:
            return data[at + 2 : at + 48]
    return None
