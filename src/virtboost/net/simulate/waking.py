"""BIRD 2.0.12 as it wakes: what it is to tell a new peer waits until something else wakes it.

Its loop runs events, then work, then timers, and sleeps unless events were left *before* the work
(``io_loop`` of ``sysdep/unix/io.c``).  Feeding a new peer is work that leaves an event: the routes
are sent when a message of any peer comes, or at the next scan.  Two daemons of which each waits for
the other do so until one of them scans.

A daemon that was started with ``-R``, as all are at once here, puts nothing into its kernel until
its restart is over (RFC 4724): in a mesh, where all peers restart too, when all sessions are up; a
reflector's client, when its reflectors have sent their End-of-RIB, and before that it tells them
nothing.  That is a timer's work, which waits alike.  Routes that come into its kernel then wake it,
since the kernel tells of them.

Who does not accept connections for a moment loses some: 8 wait, and of others the first packet is
dropped and sent again after a second.
"""

from __future__ import annotations

import functools
from collections import deque

import numpy as np

from virtboost.net.simulate.speakers import Speakers
from virtboost.net.simulate.talk import OPEN, ROUTE, UP, Event, Handler, Talk
from virtboost.net.simulate.ticks import SECOND, Ticks

END, SCAN = 8, 9
"""Kinds of events beside those of ``Talk``: a reflector has told a client all that it had."""

READ_MOST = 4
"""Peers that it reads from before it runs what is to be done (``MAX_RX_STEPS``)."""

BACKLOG = 8
"""Connections that wait to be accepted (``ss -ltn``); the kernel takes one more."""


class Waking(Talk):
    """Daemons that start, and restart gracefully, on CPUs that they share."""

    def __init__(self, found: Speakers, costs: Ticks, rng: np.random.Generator) -> None:
        """Make daemons that have not begun."""
        super().__init__(found, costs, rng)
        self._left = [len(found.peers(place)) for place in range(found.size)]
        """Sessions that are not up; of a client, whose End-of-RIB has not come."""
        self._untold: list[list[int]] = [[] for _ in range(found.size)]
        """By daemon, peers that it tells when it wakes."""
        self._over = [False] * found.size
        """Whether its restart is over as of its next wake."""
        self._looked = [0] * found.size
        """When it began to read what it works on."""
        self._read = [0] * found.size
        self._scans = [False] * found.size
        """Whether a scan is to wake it."""
        self._accepts: list[deque[int]] = [deque() for _ in range(found.size)]
        """When connections are accepted that came."""

    def _handlers(self) -> tuple[Handler, ...]:
        handlers = (*super()._handlers(), self._end, self._scan)
        return tuple(functools.partial(self._awake, each) for each in handlers)

    def _awake(self, handler: Handler, event: Event) -> None:
        """Handle what came, after all else that is to be done by then."""
        at, _, place, *_ = event
        if at > self._looked[place] or self._read[place] == READ_MOST:
            self._wake(place, at)
            self._looked[place], self._read[place] = self.work.begins(place, at), 0
        self._read[place] += 1
        handler(event)
        self._doze(place)

    def _wake(self, place: int, at: int) -> None:
        """Do what waited."""
        untold, self._untold[place] = self._untold[place], []
        for peer in untold:
            self._tell(place, peer, at)
        if not self._over[place]:
            return
        self._over[place] = False
        if self.found.groups:
            self._untold[place] = self.found.peers(place)
        if self.heard[place]:
            self.complete[place] = max(self.complete[place], self.work.begins(place, at))
            self._wake(place, at)

    def _doze(self, place: int) -> None:
        """Have a scan wake it, if something waits."""
        if (self._untold[place] or self._over[place]) and not self._scans[place]:
            self._scans[place] = True
            begun, every = self.ready[place], self.costs.wake
            passed = (self._looked[place] - begun) // every
            at = begun + (passed + 1) * every
            self._push((at, SCAN, place, place, -1, -1, -1))

    def _tell(self, place: int, peer: int, at: int) -> None:
        costs = self.costs
        if place >= self.found.reflectors:
            done = self.work.say(place, at, costs.tell)
            self._push((done + costs.link, ROUTE, peer, place, place, -1, -1))
            return
        done = self._dump(place, peer, at, 0)
        if peer >= self.found.reflectors:
            self._push((done + costs.link, END, peer, place, -1, -1, -1))

    def _open(self, event: Event) -> None:
        at, _, place, source, refused, _, _ = event
        accepts = self._accepts[place]
        while accepts and accepts[0] <= at:
            accepts.popleft()
        if at >= self.ready[place]:
            if len(accepts) > BACKLOG:
                self.attempts += 1
                self._push((at + SECOND, OPEN, place, source, refused, -1, -1))
                return
            accepts.append(self.work.begins(place, at))
        super()._open(event)

    def _confirm(self, event: Event) -> None:
        at, _, place, source, *_ = event
        done = self.work.say(place, at, self.costs.sessions[place])
        self._push((done + self.costs.link, UP, source, place, -1, -1, -1))
        self._up_with(place, source)

    def _up(self, event: Event) -> None:
        at, _, place, source, *_ = event
        self.ups.append(at)
        self._up_with(place, source)

    def _up_with(self, place: int, peer: int) -> None:
        if place < self.found.reflectors or not self.found.groups:
            self._untold[place].append(peer)
        if not self.found.groups:
            self._count_down(place)

    def _end(self, event: Event) -> None:
        self._count_down(event[2])

    def _count_down(self, place: int) -> None:
        self._left[place] -= 1
        self._over[place] = not self._left[place]

    def _scan(self, event: Event) -> None:
        self._scans[event[2]] = False
