"""BGP between a few daemons, each message an event of its own: what the simulation must agree with.

Written from RFC 4456 and the rules of ``virtboost.net.simulate.talk``, with sets and lists of small
things and nothing in common with it but the numbers that it is given.  Timers are never early.  What a
node has to tell comes with the message that its session is up.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

from support.reflection import Speakers

KINDS = ("open", "confirm", "up", "route", "gone", "notice", "claim")


@dataclass(frozen=True)
class Prices:
    """Nanoseconds."""

    begin: int = 7_000_000
    spawn: int = 0
    session: int = 360_000
    take: int = 3_500
    install: int = 10_000
    tell: int = 10_000
    link: int = 100_000
    delay: int = 1_000_000_000
    retry: int = 3_000_000_000
    error: int = 5_000_000_000
    burst: int = 1_000_000_000
    burst_sessions: int = 500
    advertise: int = 0


@dataclass
class Daemon:
    """One speaker."""

    ready: int
    free: int
    idle: int = 0
    peers: list[int] = field(default_factory=list)
    paths: dict[int, list[tuple[int, tuple[int, ...]]]] = field(default_factory=dict)
    installed: dict[int, int] = field(default_factory=dict)
    removed: dict[int, int] = field(default_factory=dict)
    accepted: dict[int, int] = field(default_factory=dict)
    spent: int = 0
    flushes: list[int] = field(default_factory=list)


@dataclass
class Speech:
    """All speakers, and what has been said."""

    speakers: Speakers
    prices: Prices
    pods_on_reflectors: bool = True
    late: int | None = None
    """A daemon that starts at ``late_at`` only."""
    late_at: int = 0
    messages: int = 0
    heard_at: list[int] = field(default_factory=list)
    failed: int = 0
    ups: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        prices = self.prices
        starts = [place * prices.spawn + prices.begin for place in range(self.speakers.nodes)]
        if self.late is not None:
            starts[self.late] = self.late_at
        self.daemons = [Daemon(ready=start, free=start, spent=prices.begin) for start in starts]
        self._coming: list[tuple[int, int, int, int, int, tuple[int, ...]]] = []
        for place, daemon in enumerate(self.daemons):
            if self.announces(place):
                daemon.paths[place] = [(place, ())]
        for waits, connects in self.speakers.peers:
            assert waits < connects
            first = self.daemons[connects].ready + prices.delay + prices.link
            self._send(first, "open", waits, connects, 0)

    def announces(self, place: int) -> bool:
        return self.pods_on_reflectors or place not in self.speakers.cluster

    def run(self) -> None:
        while self._coming:
            at, kind, place, source, origin, chain = heapq.heappop(self._coming)
            if KINDS[kind] == "route":
                self._hear(at, (place, source), origin, chain)
            elif KINDS[kind] in ("gone", "notice"):
                self._lose(at, (place, source), origin, chain)
            else:
                getattr(self, f"_{KINDS[kind]}")(at, place, source, origin)

    def _send(self, at: int, kind: str, *said: int, chain: tuple[int, ...] = ()) -> None:
        place, source, origin = said
        heapq.heappush(self._coming, (at, KINDS.index(kind), place, source, origin, chain))

    def _work(self, place: int, at: int, took: int) -> int:
        daemon = self.daemons[place]
        daemon.spent += took
        daemon.free = max(at, daemon.free) + took
        return daemon.free

    def _open(self, at: int, place: int, source: int, refused: int) -> None:
        daemon, prices = self.daemons[place], self.prices
        if at < daemon.ready:
            self.failed += 1
            self._send(at + prices.retry, "open", place, source, refused)
            return
        second = at // prices.burst
        if daemon.accepted.get(second, 0) == prices.burst_sessions:
            self.failed += 1
            wait = min(12 * prices.error, prices.error * 2**refused) + prices.delay
            self._send(at + wait, "open", place, source, refused + 1)
            return
        daemon.accepted[second] = daemon.accepted.get(second, 0) + 1
        done = self._work(place, at, prices.session)
        self._send(done + prices.link, "confirm", source, place, refused)

    def _confirm(self, at: int, place: int, source: int, _: int) -> None:
        table = self._table(place, source)
        done = self._work(place, at, self.prices.session + len(table) * self.prices.tell)
        self.daemons[place].peers.append(source)
        self._send(done + self.prices.link, "up", source, place, -1)
        if place in self.speakers.cluster:
            for origin, chain in table:
                self._send(done + self.prices.link, "route", source, place, origin, chain=chain)

    def _up(self, at: int, place: int, source: int, _: int) -> None:
        self.ups.append(at)
        table = self._table(place, source)
        done = self._work(place, at, len(table) * self.prices.tell)
        self.daemons[place].peers.append(source)
        for origin, chain in table:
            self._send(done + self.prices.link, "route", source, place, origin, chain=chain)
        if source not in self.speakers.cluster:
            self._hear(at, (place, source), source, ())

    def _table(self, place: int, peer: int) -> list[tuple[int, tuple[int, ...]]]:
        """Return the best paths that a peer may hear, as it hears them."""
        found = []
        for origin, paths in sorted(self.daemons[place].paths.items()):
            source, chain = paths[0]
            if source != peer and self._passes(place, source, peer):
                found.append((origin, self._reflected(place, source, chain)))
        return found

    def _passes(self, place: int, source: int, peer: int) -> bool:
        """RFC 4456, section 6: own to all, of clients to all, of others to clients."""
        clients = self.speakers.clients
        return source == place or (place, source) in clients or (place, peer) in clients

    def _reflected(self, place: int, source: int, chain: tuple[int, ...]) -> tuple[int, ...]:
        return chain if source == place else (*chain, self.speakers.cluster[place])

    def _hear(self, at: int, way: tuple[int, int], origin: int, chain: tuple[int, ...]) -> None:
        place, source = way
        self.messages += 1
        self.heard_at.append(at)
        daemon, prices = self.daemons[place], self.prices
        looped = origin == place or self.speakers.cluster.get(place) in chain
        if place not in self.speakers.cluster:
            assert not looped
            took = prices.take + (0 if origin in daemon.paths else prices.install)
            daemon.idle = max(at, daemon.idle, daemon.free) + took
            daemon.spent += took
            if origin not in daemon.paths:
                daemon.installed[origin] = daemon.idle
        elif looped or origin in daemon.paths:
            self._work(place, at, prices.take)
        else:
            self._tell(at, way, origin, chain, "route")
            daemon.installed[origin] = daemon.idle
        if not looped:
            daemon.paths.setdefault(origin, []).append((source, chain))

    def _tell(
        self, at: int, way: tuple[int, int], origin: int, chain: tuple[int, ...], what: str
    ) -> None:
        """Let a reflector tell its peers one after the other, once its own kernel has it."""
        place, source = way
        daemon, prices = self.daemons[place], self.prices
        took = prices.take + (prices.install if self.pods_on_reflectors else 0)
        daemon.idle = max(at, daemon.free) + took
        held = self._held(daemon, daemon.idle) if what == "route" else 0
        for peer in daemon.peers:
            if peer != source and self._passes(place, source, peer):
                took += prices.tell
                begun = max(at, daemon.free) + held + took + prices.link
                passed = self._reflected(place, source, chain)
                self._send(begun, what, peer, place, origin, chain=passed)
        self._work(place, at, took)

    def _held(self, daemon: Daemon, ready: int) -> int:
        """Return how long routes wait, so that no two flushes are closer than the interval."""
        last = max((at for at in daemon.flushes if at <= ready), default=None)
        coming = [at for at in daemon.flushes if at > ready]
        if coming:
            return coming[0] - ready
        flush = ready if last is None else max(ready, last + self.prices.advertise)
        daemon.flushes.append(flush)
        return flush - ready

    def claim(self, place: int, at: int, block: int) -> None:
        """Let a daemon announce one more route."""
        self._send(at, "claim", place, place, block)

    def _claim(self, at: int, place: int, _: int, block: int) -> None:
        """Tell the peers one after the other."""
        daemon, prices = self.daemons[place], self.prices
        daemon.paths[block] = [(place, ())]
        took = 0
        for peer in daemon.peers:
            took += prices.tell
            begun = max(at, daemon.free) + took + prices.link
            self._send(begun, "route", peer, place, block)
        self._work(place, at, took)

    def notice(self, victim: int, times: dict[int, int]) -> None:
        """Let each peer notice at a time of its own that a daemon is gone."""
        for peer, at in times.items():
            self._send(at, "notice", peer, victim, victim)

    def _lose(self, at: int, way: tuple[int, int], origin: int, chain: tuple[int, ...]) -> None:
        """Take a path away; the last one goes out of the kernel, and peers are told."""
        place, source = way
        daemon, prices = self.daemons[place], self.prices
        self.messages += source != origin
        before = daemon.paths.get(origin, [])
        left = [path for path in before if path[0] != source]
        last = bool(before) and not left
        if place not in self.speakers.cluster:
            daemon.idle = max(at, daemon.idle, daemon.free) + prices.take + last * prices.install
            if last:
                daemon.removed[origin] = daemon.idle
        elif last:
            self._tell(at, way, origin, before[0][1], "gone")
            daemon.removed[origin] = daemon.idle
        else:
            self._work(place, at, prices.take)
        daemon.paths[origin] = left
        if not left:
            daemon.paths.pop(origin, None)

    def complete(self, place: int) -> int:
        """Return when a node had put the last route into its kernel."""
        return max(self.daemons[place].installed.values(), default=0)


def settled(speech: Speech) -> set[tuple[int, int]]:
    """Return all pairs of a daemon and an origin of which it has a path."""
    places = range(speech.speakers.nodes)
    return {
        (place, origin)
        for place, origin in itertools.product(places, places)
        if origin in speech.daemons[place].paths
    }
