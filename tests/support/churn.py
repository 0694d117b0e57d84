"""Rules of a bridge changed over OpenFlow 1.0 with Nicira's extensions, many a second.

``python churn.py SOCKET COOKIE COUNT INTERVAL_S ACTIONS...`` changes what rules of a cookie do: to version
1, 2, ... and prints for each when the switch said that it has it.  Actions are hexadecimal; ``VVVV`` in
them is the version.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

HELLO, ECHO, VENDOR, BARRIER, BARRIER_REPLY = 0, 2, 4, 18, 19

NICIRA, FLOW_MOD, MODIFY = 0x2320, 13, 1

COOKIE = 1 << 16 | 30 << 9 | 1 << 8 | 16
"""NXM_NX_COOKIE with a mask (``include/openvswitch/meta-flow.h``)."""

DEC_TTL = "ffff 0010 00002320 0012 000000000000"

OUTPUT_1 = "0000 0008 0001 0000"


def set_source(mac: str) -> str:
    """Return the action that writes an Ethernet source."""
    return f"0004 0010 {mac.replace(':', '')} 000000000000"


def modified(cookie: int, actions: bytes) -> bytes:
    """Return the body of a message that changes what the rules of a cookie do."""
    match = struct.pack("!IQQ4x", COOKIE, cookie, 2**64 - 1)
    head = struct.pack("!IIQHHHHIHHH6x", NICIRA, FLOW_MOD, cookie, MODIFY, 0, 0, 0x8000,
                       0xFFFFFFFF, 0xFFFF, 0, len(match) - 4)  # fmt: skip
    return head + match + actions


class Controller:
    """A connection to a bridge."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._send(HELLO, b"")

    def _send(self, kind: int, body: bytes) -> None:
        self._socket.sendall(struct.pack("!BBHI", 1, kind, 8 + len(body), 1) + body)

    def change(self, cookie: int, actions: bytes) -> int:
        """Change rules; return CLOCK_MONOTONIC when the switch has done it."""
        self._send(VENDOR, modified(cookie, actions))
        self._send(BARRIER, b"")
        while (kind := self._kind()) != BARRIER_REPLY:
            assert kind in (HELLO, ECHO), f"the switch answers with a message of type {kind}"
        return time.monotonic_ns()

    def _kind(self) -> int:
        _, kind, size, _ = struct.unpack("!BBHI", self._exactly(8))
        body = self._exactly(size - 8)
        if kind == ECHO:
            self._send(ECHO + 1, body)
        return int(kind)

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self._socket.recv(size - len(found))
            assert part, "the switch closed the connection"
            found += part
        return found


def main(path: str, cookie: str, count: str, interval_s: str, *actions: str) -> None:
    controller = Controller(path)
    due = time.monotonic()
    for version in range(1, int(count) + 1):
        due += float(interval_s)
        time.sleep(max(0.0, due - time.monotonic()))
        text = "".join(actions).replace("VVVV", f"{version:04x}")
        sys.stdout.write(f"{version} {controller.change(int(cookie, 0), bytes.fromhex(text))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
