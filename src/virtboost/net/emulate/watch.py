"""Routes that daemons put into kernels and take out, as the kernels tell it: no polling."""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Network
from typing import NamedTuple

from virtboost.net.emulate.space import inside

RTNLGRP_IPV4_ROUTE = 0x40
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
RTA_DST = 1
RTPROT_BIRD, RTPROT_BGP = 12, 186
RT_TABLE_MAIN = 254
"""``linux/rtnetlink.h``."""

SO_RCVBUFFORCE = 33
BUFFER_BYTES = 1 << 23
"""Of messages that wait to be read; they are lost beyond."""

HEADER, ROUTE, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=8BI"), struct.Struct("=HH")


class Change(NamedTuple):
    """A route that came or went."""

    gone: bool
    destination: str


class Watch:
    """The routes of others that each of some nodes lacks."""

    def __init__(self, wanted: Mapping[int, Collection[str]], protocol: int) -> None:
        """Begin to listen.

        Args:
            wanted: The blocks that a node must have routes to, by its place.
            protocol: Of the routes.
        """
        self._protocol = protocol
        self.missing = {place: set(blocks) for place, blocks in wanted.items()}
        self.complete_at: dict[int, float] = {}
        """When a node that lacks none had the last one."""
        self.gone_at: dict[tuple[int, str], float] = {}
        """When a node lost a route first since ``forget``."""
        self.changed_at = time.monotonic()
        """When a route came or went last."""
        self._selector = selectors.DefaultSelector()
        for place in wanted:
            listening = _listen(place)
            self._selector.register(listening, selectors.EVENT_READ, (place, listening))

    @property
    def complete(self) -> bool:
        """Whether no node lacks a route."""
        return not any(self.missing.values())

    def forget(self) -> None:
        """Begin anew with what came and went."""
        self.complete_at.clear()
        self.gone_at.clear()

    def wait(self, seconds: float) -> None:
        """Take what there is; wait until there is something, for so long at most."""
        for key, _ in self._selector.select(seconds):
            place, listening = key.data
            content = listening.recv(1 << 16)
            now = time.monotonic()
            for change in changes(content, self._protocol):
                self._take(place, change, now)

    def _take(self, place: int, change: Change, now: float) -> None:
        self.changed_at = now
        missing = self.missing[place]
        if change.gone:
            missing.add(change.destination)
            self.complete_at.pop(place, None)
            self.gone_at.setdefault((place, change.destination), now)
            return
        missing.discard(change.destination)
        if not missing:
            self.complete_at.setdefault(place, now)


def changes(content: bytes, wanted: int) -> Iterator[Change]:
    """Yield the routes of a protocol in the main table that messages of netlink are about."""
    offset = 0
    while offset + HEADER.size <= len(content):
        length, kind, *_ = HEADER.unpack_from(content, offset)
        body = content[offset + HEADER.size : offset + length]
        if kind in (RTM_NEWROUTE, RTM_DELROUTE):
            _, prefix, _, _, table, protocol, *_ = ROUTE.unpack_from(body)
            destination = _destination(body)
            if (table, protocol) == (RT_TABLE_MAIN, wanted) and destination is not None:
                network = IPv4Network((destination, prefix))
                yield Change(kind == RTM_DELROUTE, str(network))
        offset += (length + 3) & ~3


def _destination(body: bytes) -> bytes | None:
    offset = ROUTE.size
    while offset + ATTRIBUTE.size <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, offset)
        if kind == RTA_DST:
            return body[offset + ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return None


def _listen(place: int) -> socket.socket:
    with inside(place):
        found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    found.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    found.bind((0, RTNLGRP_IPV4_ROUTE))
    return found
