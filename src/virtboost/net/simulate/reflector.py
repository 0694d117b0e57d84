"""What a route reflector knows, whom it tells, and what it has told."""

from __future__ import annotations

from array import array
from typing import NamedTuple

from virtboost.net.simulate.speakers import Speakers


class Dump(NamedTuple):
    """What a reflector tells a client when their session comes up."""

    at: int
    """When it comes there."""
    rows: int
    """Of the reflector's rows, how many are in it: the first ones."""


class Reflector:
    """One reflector."""

    def __init__(self, place: int, found: Speakers, claims: int) -> None:
        """Make one that knows nothing, of a network where so many blocks are claimed later."""
        self.place = place
        self.cluster = found.cluster(place)
        self.paths = bytearray(found.size + claims)
        """How many it has to each origin, and to each block that is claimed."""
        self.below = bytearray(found.size + claims)
        """Whether the first of them is from a client, or its own."""
        self.known, self.from_clients = 0, 0
        """Origins that it has a path to; those of its clients, and itself."""
        self.ranks: dict[int, tuple[int, int]] = {}
        """Of its peers in the order in which it tells them: among all, and among its clients."""
        self.clients: list[int] = []
        self.others: list[int] = []
        """Reflectors among its peers."""
        self.lower: list[int] = []
        """Of them, its clients."""
        self._next, self._held = 0, False
        """When it may advertise again; whether something waits for that."""
        self.dumps: dict[int, Dump] = {}
        self.at, self.origins = array("q"), array("q")
        self.gone, self.skips = array("b"), array("q")
        """Rows: when it began to tell of which origin; whether it withdrew it; the rank of the
        source among all, which it left out; -1: it told its clients only."""

    def begin(self, found: Speakers, at: int) -> None:
        """Let it know its own routes, from a time on."""
        if found.announces(self.place):
            self.know(self.place, client=True)
            self.row(at, self.place, 0, gone=False)

    def settle(self, found: Speakers, absent: int | None) -> None:
        """Let it have all its sessions, and all paths, but for one daemon."""
        for peer in found.peers(self.place):
            if absent not in (self.place, peer):
                self.add(peer, found)
        for origin in range(found.size):
            if found.announces(origin) and absent not in (origin, self.place):
                self.know(origin, client=found.is_below(origin, self.place))
                self.paths[origin] = found.copies(origin, self.place)

    def add(self, peer: int, found: Speakers) -> None:
        """Take a peer in, as the last to be told; one that comes back keeps its turn."""
        if peer in self.ranks:
            return
        self.ranks[peer] = (len(self.ranks), len(self.clients))
        client = found.reflects_to(self.place, peer)
        if client:
            self.clients.append(peer)
        if peer < found.reflectors:
            self.others.append(peer)
            self.lower += [peer] * client

    def known_to(self, *, client: bool) -> bytearray:
        """Return which origins a peer may hear of, by their places."""
        return self.paths if client else self.below

    def know(self, origin: int, *, client: bool) -> None:
        """Take the first path to an origin in."""
        self.paths[origin] = 1
        self.known += 1
        self.from_clients += client
        self.below[origin] = client

    def forget(self, origin: int) -> None:
        """Lose the last path to an origin."""
        self.paths[origin] = 0
        self.known -= 1
        self.from_clients -= self.below[origin]
        self.below[origin] = False

    def advertised(self, at: int, interval: int) -> int:
        """Return when it tells what it could tell at a time: with all else that waits meanwhile.

        Args:
            at: When it could.
            interval: That is at least between two times that it advertises.
        """
        if at >= self._next and self._held:
            self._next += interval
            self._held = False
        if at >= self._next:
            self._next = at + interval
            return at
        self._held = True
        return self._next

    def row(self, at: int, origin: int, skip: int, *, gone: bool) -> None:
        """Keep what it tells."""
        self.at.append(at)
        self.origins.append(origin)
        self.skips.append(skip)
        self.gone.append(gone)
