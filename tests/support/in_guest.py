"""Runs in a guest, on Python's standard library alone: the data plane there, asked in lines of JSON.

python3.11 -m support.in_guest FOLDER-OF-OBJECTS
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from support.prog_run import sent
from virtboost.errors import VirtboostError
from virtboost.flow.abi import Entry, Key
from virtboost.flow.agent import control
from virtboost.flow.dataplane import DataPlane

PATIENCE_S = 20

ETH_P_ALL = 3

IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"


class Guest:
    """What can be asked, each a method."""

    def __init__(self, objects: Path) -> None:
        """Begin without a data plane."""
        self._objects = objects
        self._plane: DataPlane | None = None
        self._hook = ""
        self._ends: dict[str, socket.socket] = {}

    @property
    def plane(self) -> DataPlane:
        """The data plane that was loaded."""
        assert self._plane is not None
        return self._plane

    def load(self, hook: str) -> int:
        self._hook, self._plane = hook, DataPlane(hook, size=64, objects=self._objects)
        self.plane.control(epoch=1)
        return int(self.plane.program)

    def close(self) -> None:
        self.plane.close()
        self._plane = None

    def attach(self, device: str) -> None:
        self.plane.attach(socket.if_nametoindex(device))

    def install(self, key: str, entry: str) -> None:
        """Put an entry in with an hour's lease; its slot is as new."""
        made = Entry.from_buffer_copy(bytes.fromhex(entry))
        made.lease_ns = time.monotonic_ns() + 3600 * 10**9
        self.plane.clear(made.slot)
        self.plane.install(Key.from_buffer_copy(bytes.fromhex(key)), made)

    def remove(self, key: str) -> None:
        self.plane.remove(Key.from_buffer_copy(bytes.fromhex(key)))

    def run(self, frames: list[str]) -> list[tuple[str, str]]:
        """Return verdict and bytes of each frame under BPF_PROG_TEST_RUN."""
        found = [sent(self.plane, self._hook, bytes.fromhex(each)) for each in frames]
        return [(left.verdict, left.frame.hex()) for left in found]

    def counted(self, slot: int) -> tuple[int, int]:
        state = self.plane.state(slot)
        return state.packets, state.bytes

    def passes(self) -> dict[int, int]:
        return dict(self.plane.passes())

    def status(self, path: str) -> dict[str, Any]:
        """Return what the agent says that listens there."""
        found: dict[str, Any] = json.loads(control.ask(Path(path), "status"))
        return found

    def process(self) -> int:
        return os.getpid()

    def index(self, device: str) -> int:
        return socket.if_nametoindex(device)

    def send(self, device: str, frame: str) -> None:
        self._end(device).send(bytes.fromhex(frame))

    def carried(self, near: str, far: str, frame: str) -> str:
        """Send a frame out of one device; return the first of IP that comes in at the other."""
        ends = [self._end(device) for device in (near, far)]
        ends[0].send(bytes.fromhex(frame))
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = ends[1].recv(4096)
            if found[12:14] in (IPV4, IPV6) and found[:2] != b"\x33\x33":
                return found.hex()
        raise TimeoutError

    def _end(self, device: str) -> socket.socket:
        if device not in self._ends:
            end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # deaf until it is bound
            end.bind((device, ETH_P_ALL))
            end.settimeout(PATIENCE_S)
            self._ends[device] = end
        return self._ends[device]


def main() -> None:
    """Answer until the other end of the input closes."""
    guest = Guest(Path(sys.argv[1]))
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer: Any = {"answer": getattr(guest, name)(*arguments)}
        except (VirtboostError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
