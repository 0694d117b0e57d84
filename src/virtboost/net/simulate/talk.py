"""BGP daemons that bring sessions up and pass routes on, event by event.

A daemon is one thread.  What it has to say, handshakes and the routes that it passes on, it says in
the order in which it is asked to; a node puts routes that it hears into its kernel when it has
nothing to say.  Nodes do not pass on what reflectors tell them, so what each of many clients hears
is worked out afterwards (``audience.py``) from the rows that its reflectors keep; but where daemons
share CPUs, each message to a client is an event too.

Of what comes to daemons in the same nanosecond handshakes are first, then the daemon of the lower
place.  A reflector passes the first path to a route on, and the withdrawal of the last (RFC 4456).
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from virtboost.net.simulate.reflector import Dump, Reflector
from virtboost.net.simulate.speakers import Places, Speakers
from virtboost.net.simulate.ticks import Nanoseconds, Ticks, early
from virtboost.net.simulate.work import Work

OPEN, CONFIRM, UP, ROUTE, GONE, NOTICE, TABLE, CLAIM = range(8)
"""Kinds of events: a connection comes to a daemon that waits for it; it is accepted; the session is
up, with the routes of a node that connected; a route comes; it is withdrawn; a peer is missed; a
reflector's table comes to a node that joins; a node claims a block."""

ROWS = 100_000
"""Of first attempts, in memory as objects."""

Event = tuple[int, int, int, int, int, int, int]
"""When, its kind, to whom, from whom; then of a route its origin and the first and the last cluster
that it passed, -1 of none; of a handshake how often it was refused."""

Handler = Callable[[Event], None]


class Talk:
    """A network's daemons, from their start or settled."""

    def __init__(
        self, found: Speakers, costs: Ticks, rng: np.random.Generator, *, claims: int = 0
    ) -> None:
        """Make daemons that have not begun, and may claim so many blocks later."""
        self.found, self.costs = found, costs
        self.rng = rng
        self.work = Work(found.size, costs.cores)
        self.ready = [0] * found.size
        self.complete = [0] * found.size
        """When it had put the last route that was new into its kernel."""
        self.heard = [0] * found.size
        """From how many daemons a node of a mesh, or one that joins, has routes."""
        self.learned: dict[int, list[tuple[int, int]]] = {}
        """Which nodes of a mesh had a claimed block in their kernels, and when, by block."""
        self.joins = -1
        self._own = [bytearray(found.size) for _ in range(found.size)] if costs.cores else []
        """By node, what it has paths to, where what clients hear is an event too."""
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
        self.lost: dict[int, int] = {}
        """When a node of a mesh had taken the routes of one that is gone out of its kernel."""

    def begin(self) -> None:
        """Start all daemons, and let each connect."""
        found, costs = self.found, self.costs
        for place in range(found.size):
            self.ready[place] = self.work.say(place, place * costs.spawn, costs.begin)
        for reflector in self.reflectors:
            reflector.begin(found, self.ready[reflector.place])
        connects, waits = found.sessions()
        self._connect(connects, waits, np.array(self.ready)[connects])

    def settle(self, absent: int | None) -> None:
        """Let all be up and known, but for one daemon and its routes."""
        for reflector in self.reflectors:
            reflector.settle(self.found, absent)

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
        self.ready[place] = self.work.free[place] = at
        if place < self.found.reflectors:
            self.reflectors[place].begin(self.found, at)
        connects, waits = connects[own], waits[own]
        waited = early(others_wait, self.costs.early, self.rng, len(connects))
        self._connect(connects, waits, np.where(connects == place, at, waited))

    def _connect(self, connects: Places, waits: Places, after: Nanoseconds) -> None:
        costs = self.costs
        at = after + early(costs.delay, costs.early, self.rng, len(after)) + costs.link
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
        handlers = self._handlers()
        for event in self._in_order():
            handlers[event[1]](event)

    def _handlers(self) -> tuple[Handler, ...]:
        """Return what handles events, by their kinds."""
        return (
            self._open,
            self._confirm,
            self._up,
            self._route,
            self._gone,
            self._notice,
            self._table,
            self._claim,
        )

    def _in_order(self) -> Iterator[Event]:
        """Yield first attempts, which are known beforehand, and what comes of all that happens."""
        events = self._events
        for at, waits, connects in _rows(self._firsts):
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
        done = self.work.say(place, at, costs.sessions[place])
        self._push((done + costs.link, CONFIRM, source, place, refused, -1, -1))

    def _again(self, event: Event, wait: int, refused: int) -> None:
        at, _, place, source, _, _, _ = event
        self.attempts += 1
        later = at + wait - int(self.rng.random() * (self.costs.early * wait))
        self._push((later, OPEN, place, source, refused, -1, -1))

    def _confirm(self, event: Event) -> None:
        at, _, place, source, _, _, _ = event
        costs = self.costs
        if place < self.found.reflectors:
            done = self._dump(place, source, at, costs.sessions[place])
        else:
            done = self.work.say(place, at, costs.sessions[place] + costs.tell)
        self._push((done + costs.link, UP, source, place, -1, -1, -1))

    def _up(self, event: Event) -> None:
        at, _, place, source, _, _, _ = event
        self.ups.append(at)
        if place < self.found.reflectors:
            self._dump(place, source, at, 0)
        else:
            done = self.work.say(place, at, self.costs.tell)
            self._push((done + self.costs.link, ROUTE, source, place, place, -1, -1))
        if source >= self.found.reflectors:
            self._route((at, ROUTE, place, source, source, -1, -1))

    def _dump(self, place: int, peer: int, at: int, before: int) -> int:
        """Tell a new peer of a reflector all that it may hear; return when that is done."""
        reflector, found, costs = self.reflectors[place], self.found, self.costs
        client = found.reflects_to(place, peer)
        known = reflector.known_to(client=client)
        origins = (reflector.known if client else reflector.from_clients) - bool(known[peer])
        done = self.work.say(place, at, before + origins * costs.tell)
        reflector.add(peer, found)
        reflector.dumps[peer] = Dump(done + costs.link, len(reflector.at))
        if peer == self.joins and peer >= found.reflectors:
            self.messages += origins
            self._push((done + costs.link, TABLE, peer, place, origins, -1, -1))
        elif peer >= found.reflectors and not self._own:
            self.messages += origins
        else:
            for origin in [each for each, paths in enumerate(known) if paths and each != peer]:
                self._pass(done + costs.link, peer, reflector, origin)
        return done

    def _route(self, event: Event) -> None:
        at, _, place, source, origin, first, last = event
        self.messages += 1
        self.arrivals.append(at)
        if place >= self.found.reflectors:
            self._learn(place, at, origins=1, new=self._new(place, origin))
            if origin >= self.found.size:
                self.learned.setdefault(origin, []).append((place, self.complete[place]))
            return
        costs, reflector = self.costs, self.reflectors[place]
        if origin == place or reflector.cluster in (first, last):
            self.work.say(place, at, costs.take)
        elif reflector.paths[origin]:
            reflector.paths[origin] += 1
            self.work.say(place, at, costs.take)
        else:
            reflector.know(origin, client=self.found.reflects_to(place, source))
            self._pass_on(event, costs.take + self.costs.kernel, gone=False)

    def _gone(self, event: Event) -> None:
        at, _, place, _, origin, first, last = event
        self.messages += 1
        self.arrivals.append(at)
        reflector = self.reflectors[place]
        if reflector.cluster in (first, last) or reflector.paths[origin] != 1:
            self.work.say(place, at, self.costs.take)
            if reflector.cluster not in (first, last):
                reflector.paths[origin] -= 1
            return
        reflector.forget(origin)
        self._pass_on(event, self.costs.take + self.costs.kernel, gone=True)

    def _notice(self, event: Event) -> None:
        at, _, place, _, origin, _, _ = event
        if place >= self.found.reflectors:
            if not self.found.groups:
                took = self.costs.take + self.costs.install
                self.lost[place] = self.work.say(place, at, took)
            return
        reflector = self.reflectors[place]
        if reflector.paths[origin] == 1:
            reflector.forget(origin)
            self._pass_on(event, self.costs.take + self.costs.kernel, gone=True)
        elif reflector.paths[origin]:
            reflector.paths[origin] -= 1

    def _new(self, place: int, origin: int) -> bool:
        """Tell whether a node hears of an origin for the first time."""
        if not self._own:
            return True
        before, self._own[place][origin] = self._own[place][origin], 1
        return not before

    def _table(self, event: Event) -> None:
        at, _, place, _, origins, _, _ = event
        self._learn(place, at, origins=origins, new=max(0, origins - self.heard[place]))

    def _pass_on(self, event: Event, before: int, *, gone: bool) -> None:
        """Tell the peers that may hear it, one after the other."""
        at, _, place, source, origin, first, _ = event
        reflector, costs, found = self.reflectors[place], self.costs, self.found
        heap, link = self._events, costs.link
        client = source == place or found.reflects_to(place, source)
        count = len(reflector.ranks) - (source != place) if client else len(reflector.clients)
        done = self.work.say(place, at, before + count * costs.tell)
        begins = done - count * costs.tell
        if not gone:
            begins = reflector.advertised(begins, costs.advertise)
        skip = -1 if not client else reflector.ranks.get(source, (len(reflector.ranks), 0))[0]
        reflector.row(begins, origin, skip, gone=gone)
        last = -1 if source == place else reflector.cluster
        first = last if first < 0 else first
        kind = GONE if gone else ROUTE
        told = [peer for peer in self._audible(reflector, client=client) if peer != source]
        self.messages += count - len(told)
        for peer in told:
            among_all, among_clients = reflector.ranks[peer]
            rank = among_all - (skip < among_all) if client else among_clients
            when = begins + (rank + 1) * costs.tell + link
            heapq.heappush(heap, (when, kind, peer, place, origin, first, last))

    def _audible(self, reflector: Reflector, *, client: bool) -> Iterable[int]:
        """Return those of the peers that may hear of a route to whom that is an event."""
        if self._own:
            return reflector.ranks if client else reflector.clients
        return reflector.others if client else reflector.lower

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
            reflector.know(origin, client=True)
            self._pass_on(event, 0, gone=False)
            return
        told = self.found.peers(place)
        begins = self.work.say(place, at, len(told) * costs.tell) - len(told) * costs.tell
        for turn, peer in enumerate(told, 1):
            when = begins + turn * costs.tell + costs.link
            self._push((when, ROUTE, peer, place, origin, -1, -1))

    def _learn(self, place: int, at: int, *, origins: int, new: int) -> None:
        """Let a node take routes of some origins in, and put those that are new into its kernel."""
        costs = self.costs
        done = self.work.learn(place, at, origins * costs.take + new * costs.install)
        self.heard[place] += new
        if new:
            self.complete[place] = done

    def _push(self, event: Event) -> None:
        heapq.heappush(self._events, event)


def _rows(columns: tuple[Nanoseconds, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the rows of some arrays, a part of them as numbers of Python at once."""
    for begin in range(0, len(columns[0]), ROWS):
        yield from zip(*(part[begin : begin + ROWS].tolist() for part in columns), strict=True)
