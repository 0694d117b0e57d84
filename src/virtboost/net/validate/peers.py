"""Synthetic peers of one speaker under test: a session each, from an address of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network

from msgspec import Struct

from virtboost.net.emulate.space import inside
from virtboost.net.validate import speech

PORT = 179

HOLD_S = 240

AT_ONCE = 50
"""Sessions that begin before others are up: beyond some 500 first attempts fail, and wait."""

RETRY_S = 0.2
"""After an attempt that was refused."""


class Own(Struct, frozen=True, kw_only=True):
    """What a peer is."""

    address: IPv4Address
    blocks: tuple[IPv4Network, ...]
    """That it announces, in one message."""


class Peer(asyncio.Protocol):
    """One session."""

    def __init__(self, own: Own, as_number: int) -> None:
        """Nothing is sent yet."""
        self.routes = 0
        """That it was told of."""
        self.updates = 0
        """Messages that told it of routes."""
        self._own = own
        self._as_number = as_number
        self._buffer = bytearray()
        loop = asyncio.get_running_loop()
        self.up: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the session."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(speech.opening(self._own.address, self._as_number, HOLD_S))

    def data_received(self, data: bytes) -> None:
        """Answer, and count routes."""
        self._buffer += data
        for kind, body in speech.messages(self._buffer):
            if kind == speech.OPEN:
                self._keep()
            elif kind == speech.UPDATE:
                routes = speech.announced(body)
                self.routes += routes
                self.updates += routes > 0
            elif kind == speech.KEEPALIVE and not self.up.done():
                self._announce()

    def _announce(self) -> None:
        assert self._transport is not None
        self._transport.write(speech.announcement(self._own.address, self._own.blocks))
        self.up.set_result(None)

    def _keep(self) -> None:
        assert self._transport is not None
        self._transport.write(speech.message(speech.KEEPALIVE))

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember it."""
        if not self.lost.done():
            self.lost.set_result(None)


class Farm:
    """All peers of one speaker."""

    def __init__(self, target: str, as_number: int, owns: Sequence[Own], place: int) -> None:
        """Nothing is sent yet.

        Args:
            target: Address of the speaker.
            as_number: Of all.
            owns: The peers.
            place: Of the namespace that has their addresses.
        """
        self.peers: list[Peer] = []
        self._target = target
        self._as_number = as_number
        self._owns = owns
        self._place = place

    async def begin(self) -> None:
        """Bring all sessions up, some at a time."""
        slots = asyncio.Semaphore(AT_ONCE)
        self.peers = list(await asyncio.gather(*(self._one(own, slots) for own in self._owns)))

    async def _one(self, own: Own, slots: asyncio.Semaphore) -> Peer:
        async with slots:
            while True:
                peer = await self._attempt(own)
                if peer is not None:
                    await asyncio.wait((peer.up, peer.lost), return_when="FIRST_COMPLETED")
                    if peer.up.done():
                        return peer
                await asyncio.sleep(RETRY_S)

    async def _attempt(self, own: Own) -> Peer | None:
        with inside(self._place):
            ours = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        ours.bind((str(own.address), 0))
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(ours, (self._target, PORT))
        except OSError:
            ours.close()
            return None
        _, peer = await loop.create_connection(lambda: Peer(own, self._as_number), sock=ours)
        return peer

    @property
    def routes(self) -> int:
        """Routes that all were told of."""
        return sum(peer.routes for peer in self.peers)
