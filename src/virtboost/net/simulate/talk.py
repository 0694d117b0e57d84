"""BGP daemons that bring sessions up and pass routes on, event by event.

A daemon is one thread.  What it has to say, handshakes and the routes that it passes on, it says in
the order in which it is asked to; a node puts routes that it hears into its kernel when it has
nothing to say.  Nodes do not pass on what reflectors tell them, so what each of many clients hears
is worked out afterwards (``audience.py``) from the rows that its reflectors keep.

Of what comes to daemons in the same nanosecond handshakes are first, then the daemon of the lower
place.  A reflector passes the first path to a route on, and the withdrawal of the last (RFC 4456).
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from virtboost.net.simulate.speakers import Places, Speakers
from virtboost.net.simulate.ticks import Nanoseconds, Ticks, early

OPEN, CONFIRM, UP, ROUTE, GONE, NOTICE, TABLE, CLAIM = range(8)
"""Kinds of events: a connection comes to a daemon that waits for it; it is accepted; the session is
up, with the routes of a node that connected; a route comes; it is withdrawn; a peer is missed; a
reflector's table comes to a node that joins; a node claims a block."""

Event = tuple[int, int, int, int, int, int, int]
"""When, its kind, to whom, from whom; then of a route its origin and the first and the last cluster
that it passed, -1 of none; of a handshake how often it was refused."""


class Dump(NamedTuple):
    """What a reflector tells a client when their session comes up."""

    at: int
    """When it comes there."""
    rows: int
    """Of the reflector's rows, how many are in it: the first ones."""
    origins: int
    """Of how many daemons there are routes in it."""


class Reflector:
    """What a reflector knows, and whom it tells."""

    def __init__(self, place: int, found: Speakers, claims: int) -> None:
        """Make one that knows nothing."""
        self.place = place
        self.cluster = found.cluster(place)
        self.paths = bytearray(found.size + claims)
        """To each origin, and to each block that is claimed later."""
        self.below = bytearray(len(self.paths))
        """Whether a route came from a client, or is its own."""
        self.known, self.from_clients = 0, 0
        """Origins that it has a path to; those of its clients, and itself."""
        self.ranks: dict[int, tuple[int, int]] = {}
        """Of its peers in the order in which it tells them: among all, and among its clients."""
        self.clients = 0
        self.others: list[int] = []
        """Reflectors among its peers."""
        self.lower: list[int] = []
        """Of them, its clients."""
        self.dumps: dict[int, Dump] = {}
        self.at, self.origins = array("q"), array("q")
        self.gone, self.skips = array("b"), array("q")
        """Rows: when it began to tell of which origin; whether it withdrew it; the rank of the
        source among all, which it left out; -1: it told its clients only."""

    def add(self, peer: int, found: Speakers) -> None:
        """Take a peer in, as the last to be told."""
        if peer in self.ranks:
            return
        self.ranks[peer] = (len(self.ranks), self.clients)
        client = found.reflects_to(self.place, peer)
        self.clients += client
        if peer < found.reflectors:
            self.others.append(peer)
            if client:
                self.lower.append(peer)


class Talk:
    """A network's daemons, from their start or settled."""

    def __init__(
        self, found: Speakers, costs: Ticks, rng: np.random.Generator, *, claims: int = 0
    ) -> None:
        """Make daemons that have not begun, and may claim so many blocks later."""
        self.found, self.costs = found, costs
        self._rng = rng
        self.ready = [0] * found.size
        self.free = [0] * found.size
        self.idle = [0] * found.size
        """When a node has taken in all that it heard."""
        self.complete = [0] * found.size
        """When it had put the last route that was new into its kernel."""
        self.heard = [0] * found.size
        """From how many daemons a node of a mesh, or one that joins, has routes."""
        self.learned: dict[int, list[tuple[int, int]]] = {}
        """Which nodes of a mesh had a claimed block in their kernels, and when, by block."""
        self.joins = -1
        self._slots = [(-1, 0)] * found.size
        self.reflectors = [Reflector(place, found, claims) for place in range(found.reflectors)]
        self._events: list[Event] = []
        self._firsts: tuple[Nanoseconds, Places, Places] = (np.empty(0, dtype=np.int64),) * 3
        self.ups = array("q")
        self.attempts = 0
        self.messages = 0
        """Of routes, to whomever."""
        self.arrivals = array("q")
        """Of messages with routes, but those of reflectors to nodes."""
        self.noticed: dict[tuple[int, int], int] = {}
        self.lost: dict[int, int] = {}
        """When a node of a mesh had taken the routes of one that is gone out of its kernel."""
        self.who, self.came, self.done, self.took = (array("q") for _ in range(4))
        """All jobs: whose, when they came, were done, how long they took."""

    def begin(self) -> None:
        """Start all daemons, and let each connect."""
        found, costs = self.found, self.costs
        self.ready = [place * costs.spawn + costs.begin for place in range(found.size)]
        self.free = list(self.ready)
        for place, start in enumerate(self.ready):
            self._log(place, start - costs.begin, start, costs.begin)
        for reflector in self.reflectors:
            self._begin_reflector(reflector)
        connects, waits = found.sessions()
        self._connect(connects, waits, np.array(self.ready)[connects])

    def _begin_reflector(self, reflector: Reflector) -> None:
        place = reflector.place
        if self.found.announces(place):
            self._know(reflector, place, client=True)
            self._row(reflector, self.ready[place], place, 0, gone=False)

    def peers(self, place: int) -> list[int]:
        """Return the peers of a daemon."""
        found = self.found
        if place < found.reflectors:
            return list(_peers_of(place, found))
        if found.groups:
            return list(found.masters(found.group(place)))
        return [peer for peer in range(found.size) if peer != place]

    def settle(self, absent: int | None) -> None:
        """Let all be up and known, but for one daemon and its routes."""
        found = self.found
        for reflector in self.reflectors:
            place = reflector.place
            for peer in _peers_of(place, found):
                if absent not in (place, peer):
                    reflector.add(peer, found)
            for origin in range(found.size):
                if found.announces(origin) and absent not in (origin, place):
                    self._know(reflector, origin, client=_is_below(origin, place, found))
                    reflector.paths[origin] = _copies(origin, place, found)

    def connect(self, place: int, at: int, others_wait: int) -> None:
        """Let one daemon, ready at a time, and those who connect to it do so.

        Args:
            place: Of the daemon.
            at: When it is ready.
            others_wait: How long others wait before they try, at most.
        """
        self.joins = place
        connects, waits = self.found.sessions()
        own = (connects == place) | (waits == place)
        self.ready[place] = self.free[place] = at
        if place < self.found.reflectors:
            self._begin_reflector(self.reflectors[place])
        connects, waits = connects[own], waits[own]
        waited = early(others_wait, self.costs.early, self._rng, len(connects))
        self._connect(connects, waits, np.where(connects == place, at, waited))

    def _connect(
        self,
        connects: Places,
        waits: Places,
        after: Nanoseconds,
    ) -> None:
        costs = self.costs
        at = after + early(costs.delay, costs.early, self._rng, len(after)) + costs.link
        order = np.lexsort((connects, waits, at))
        self._firsts = (at[order], waits[order], connects[order])

    def miss(self, victim: int, at: dict[int, int]) -> None:
        """Let peers notice at their times that a daemon is gone."""
        for peer, when in at.items():
            heapq.heappush(self._events, (when, NOTICE, peer, victim, victim, -1, -1))

    def claim(self, place: int, at: int, number: int) -> None:
        """Let a node claim a block at a time, and tell its peers."""
        self._push((at, CLAIM, place, place, self.found.size + number, -1, -1))

    def run(self) -> None:
        """Go on until nothing is to come."""
        handlers = (
            self._open,
            self._confirm,
            self._up,
            self._route,
            self._gone,
            self._notice,
            self._table,
            self._claim,
        )
        for event in self._in_order():
            handlers[event[1]](event)

    def _in_order(self) -> Iterator[Event]:
        """Yield first attempts, which are known beforehand, and what comes of all that happens."""
        events = self._events
        for at, waits, connects in zip(*(part.tolist() for part in self._firsts), strict=True):
            first = (at, OPEN, waits, connects, 0, -1, -1)
            while events and events[0] < first:
                yield heapq.heappop(events)
            yield first
        while events:
            yield heapq.heappop(events)

    def _open(self, event: Event) -> None:
        at, _, place, source, refused, _, _ = event
        costs = self.costs
        if at < self.ready[place]:
            self._again(event, costs.retry, refused)
            return
        slot, used = self._slots[place]
        now = at // costs.burst
        used = used + 1 if now == slot else 1
        if used > costs.burst_sessions:
            wait = min(costs.error_most, costs.error << min(refused, 30))
            self._again(event, wait + costs.delay, refused + 1)
            return
        self._slots[place] = (now, used)
        done = self._job(place, at, costs.sessions[place])
        self._push((done + costs.link, CONFIRM, source, place, refused, -1, -1))

    def _again(self, event: Event, wait: int, refused: int) -> None:
        at, _, place, source, _, _, _ = event
        self.attempts += 1
        later = at + wait - int(self._rng.random() * (self.costs.early * wait))
        self._push((later, OPEN, place, source, refused, -1, -1))

    def _confirm(self, event: Event) -> None:
        at, _, place, source, _, _, _ = event
        costs = self.costs
        if place < self.found.reflectors:
            done = self._dump(place, source, at, costs.sessions[place])
        else:
            done = self._job(place, at, costs.sessions[place] + costs.tell)
        self._push((done + costs.link, UP, source, place, -1, -1, -1))

    def _up(self, event: Event) -> None:
        at, _, place, source, _, _, _ = event
        self.ups.append(at)
        if place < self.found.reflectors:
            self._dump(place, source, at, 0)
        else:
            done = self._job(place, at, self.costs.tell)
            self._push((done + self.costs.link, ROUTE, source, place, place, -1, -1))
        if source >= self.found.reflectors:
            self._route((at, ROUTE, place, source, source, -1, -1))

    def _dump(self, place: int, peer: int, at: int, before: int) -> int:
        """Tell a new peer of a reflector all that it may hear; return when that is done."""
        reflector, found, costs = self.reflectors[place], self.found, self.costs
        client = found.reflects_to(place, peer)
        origins = reflector.known if client else reflector.from_clients
        origins -= bool((reflector.paths if client else reflector.below)[peer])
        done = self._job(place, at, before + origins * costs.tell)
        reflector.add(peer, found)
        if peer >= found.reflectors:
            self.messages += origins
            reflector.dumps[peer] = Dump(done + costs.link, len(reflector.at), origins)
            if peer == self.joins:
                self._push((done + costs.link, TABLE, peer, place, origins, -1, -1))
            return done
        told = reflector.paths if client else reflector.below
        for origin in [origin for origin, known in enumerate(told) if known and origin != peer]:
            self._pass(done + costs.link, peer, reflector, origin)
        return done

    def _route(self, event: Event) -> None:
        at, _, place, source, origin, first, last = event
        self.messages += 1
        self.arrivals.append(at)
        if place >= self.found.reflectors:
            self._learn(place, at, origins=1, new=1)
            if origin >= self.found.size:
                self.learned.setdefault(origin, []).append((place, self.complete[place]))
            return
        costs, reflector = self.costs, self.reflectors[place]
        if origin == place or reflector.cluster in (first, last):
            self._job(place, at, costs.take)
        elif reflector.paths[origin]:
            reflector.paths[origin] += 1
            self._job(place, at, costs.take)
        else:
            self._know(reflector, origin, client=self.found.reflects_to(place, source))
            self._pass_on(event, costs.take + self._kernel(), gone=False)

    def _gone(self, event: Event) -> None:
        at, _, place, _, origin, first, last = event
        self.messages += 1
        self.arrivals.append(at)
        reflector = self.reflectors[place]
        if reflector.cluster in (first, last) or reflector.paths[origin] != 1:
            self._job(place, at, self.costs.take)
            if reflector.cluster not in (first, last):
                reflector.paths[origin] -= 1
            return
        self._forget(reflector, origin)
        self._pass_on(event, self.costs.take + self._kernel(), gone=True)

    def _notice(self, event: Event) -> None:
        at, _, place, source, origin, _, _ = event
        self.noticed[place, source] = at
        if place >= self.found.reflectors:
            if not self.found.groups:
                took = self.costs.take + self.costs.install
                self.lost[place] = self._job(place, at, took)
            return
        reflector = self.reflectors[place]
        if reflector.paths[origin] == 1:
            self._forget(reflector, origin)
            self._pass_on(event, self.costs.take + self._kernel(), gone=True)
        elif reflector.paths[origin]:
            reflector.paths[origin] -= 1

    def _table(self, event: Event) -> None:
        at, _, place, _, origins, _, _ = event
        self._learn(place, at, origins=origins, new=max(0, origins - self.heard[place]))

    def _pass_on(self, event: Event, before: int, *, gone: bool) -> None:
        """Tell the peers that may hear it, one after the other."""
        at, _, place, source, origin, first, _ = event
        reflector, costs, found = self.reflectors[place], self.costs, self.found
        heap, link = self._events, costs.link
        client = source == place or found.reflects_to(place, source)
        count = len(reflector.ranks) - (source != place) if client else reflector.clients
        done = self._job(place, at, before + count * costs.tell)
        begins = done - count * costs.tell
        skip = -1 if not client else reflector.ranks.get(source, (len(reflector.ranks), 0))[0]
        self._row(reflector, begins, origin, skip, gone=gone)
        last = -1 if source == place else reflector.cluster
        first = last if first < 0 else first
        kind = GONE if gone else ROUTE
        told = reflector.others if client else reflector.lower
        told = [peer for peer in told if peer != source]
        self.messages += count - len(told)
        for peer in told:
            among_all, among_clients = reflector.ranks[peer]
            rank = among_all - (skip < among_all) if client else among_clients
            when = begins + (rank + 1) * costs.tell + link
            heapq.heappush(heap, (when, kind, peer, place, origin, first, last))

    def _pass(self, at: int, peer: int, reflector: Reflector, origin: int) -> None:
        """Let a route come from a reflector, with the clusters that it passed until there."""
        first = last = -1
        if origin != reflector.place:
            below = reflector.place < self.found.tops and origin >= self.found.reflectors
            first = self.found.group(origin) if below else reflector.cluster
            last = reflector.cluster
        self._push((at, ROUTE, peer, reflector.place, origin, first, last))

    def _claim(self, event: Event) -> None:
        at, _, place, _, origin, _, _ = event
        found, costs = self.found, self.costs
        if place < found.reflectors:
            reflector = self.reflectors[place]
            self._know(reflector, origin, client=True)
            self._pass_on(event, 0, gone=False)
            return
        told = self.peers(place)
        begins = self._job(place, at, len(told) * costs.tell) - len(told) * costs.tell
        for turn, peer in enumerate(told, 1):
            when = begins + turn * costs.tell + costs.link
            self._push((when, ROUTE, peer, place, origin, -1, -1))

    def _learn(self, place: int, at: int, *, origins: int, new: int) -> None:
        """Let a node take routes of some origins in, and put those that are new into its kernel."""
        costs = self.costs
        took = origins * costs.take + new * costs.install
        done = max(at, self.idle[place], self.free[place]) + took
        self.idle[place] = done
        self.heard[place] += new
        if new:
            self.complete[place] = done
        self._log(place, at, done, took)

    def _kernel(self) -> int:
        return self.costs.install if self.found.pods_on_reflectors else 0

    def _know(self, reflector: Reflector, origin: int, *, client: bool) -> None:
        reflector.paths[origin] = 1
        reflector.known += 1
        reflector.from_clients += client
        reflector.below[origin] = client

    def _forget(self, reflector: Reflector, origin: int) -> None:
        reflector.paths[origin] = 0
        reflector.known -= 1
        reflector.from_clients -= reflector.below[origin]
        reflector.below[origin] = False

    def _row(self, reflector: Reflector, at: int, origin: int, skip: int, *, gone: bool) -> None:
        reflector.at.append(at)
        reflector.origins.append(origin)
        reflector.skips.append(skip)
        reflector.gone.append(gone)

    def _job(self, place: int, at: int, took: int) -> int:
        done = max(at, self.free[place]) + took
        self.free[place] = done
        self._log(place, at, done, took)
        return done

    def _log(self, place: int, at: int, done: int, took: int) -> None:
        self.who.append(place)
        self.came.append(at)
        self.done.append(done)
        self.took.append(took)

    def _push(self, event: Event) -> None:
        heapq.heappush(self._events, event)


def _peers_of(place: int, found: Speakers) -> Iterator[int]:
    """Yield the peers of a reflector by their places."""
    if place < found.tops:
        yield from (peer for peer in range(found.reflectors) if peer != place)
        return
    yield from (peer for peer in range(found.tops or found.reflectors) if peer != place)
    yield from found.clients(found.cluster(place)).tolist()


def _is_below(origin: int, place: int, found: Speakers) -> bool:
    """Tell whether a reflector has routes of an origin from a client, or itself."""
    if origin == place:
        return True
    if place < found.tops:
        return origin >= found.tops
    return origin >= found.reflectors and found.group(origin) == found.cluster(place)


def _copies(origin: int, place: int, found: Speakers) -> int:
    """Return how many paths a reflector has to an origin once all is up."""
    if place < found.tops:
        return found.pair if origin >= found.reflectors else 1
    if _is_below(origin, place, found):
        return 1
    return found.tops or (found.pair if origin >= found.reflectors else 1)
