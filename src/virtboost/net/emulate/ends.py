"""Pods' ends: sockets in their namespaces, which send each other packets."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

from virtboost.net.emulate.outcome import Reach
from virtboost.net.emulate.space import inside
from virtboost.net.emulate.speaker import Speaker

PORT = 7
"""Of all ends; echo's, though nothing is echoed."""

PACKET = struct.Struct("!II")
"""Place of the sender, number."""

LATE_S = 0.5
"""How long the last packets may take."""


class Ends:
    """Those of each node."""

    def __init__(self, nodes: dict[int, Speaker]) -> None:
        """Open them.

        Args:
            nodes: Those with blocks, by place.
        """
        self._addresses = {
            place: [end.address for end in node.ends] for place, node in nodes.items()
        }
        self._sockets = {place: [*self._open(place)] for place in nodes}

    def _open(self, place: int) -> Iterator[socket.socket]:
        for number, address in enumerate(self._addresses[place]):
            with inside(place, number):
                found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                found.bind((address, PORT))
            yield found

    def send(self, source: int, target: int, number: int) -> bool:
        """Send a packet to one end of a node, each in turn; tell whether there was a way to it."""
        ends = self._addresses[target]
        address = ends[(source + number) % len(ends)]
        try:
            self._sockets[source][0].sendto(PACKET.pack(source, number), (address, PORT))
        except OSError:
            return False
        return True

    def arrived(self, target: int) -> Iterator[tuple[int, int]]:
        """Yield sender and number of the packets that came to a node."""
        for end in self._sockets[target]:
            while True:
                try:
                    content = end.recv(PACKET.size)
                except BlockingIOError:
                    break
                yield PACKET.unpack(content)

    def reach(self) -> Reach:
        """Send a packet from each node to each other one."""
        seen: set[tuple[int, int]] = set()
        places = list(self._addresses)
        for source in places:
            for target in places:
                if target != source:
                    self.send(source, target, target)
            self._collect(seen)
        end = time.monotonic() + LATE_S
        wanted = len(places) * (len(places) - 1)
        while len(seen) < wanted and time.monotonic() < end:
            self._collect(seen)
            time.sleep(0.01)
        return Reach(sent=wanted, arrived=len(seen))

    def _collect(self, seen: set[tuple[int, int]]) -> None:
        for target in self._addresses:
            seen.update((source, target) for source, _ in self.arrived(target))
