"""The loop: check what is installed, learn what is worth it, count, keep alive.

Everything that entries depend on is dumped and compared a few times within each lease.  What is not
there any more is composed anew, or goes; then the lease is renewed.  Whatever is heard to change
closes the gate first; the next check opens it.
"""

from __future__ import annotations

import select
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from virtboost.errors import Unreachable
from virtboost.flow import abi
from virtboost.flow.agent.compose import Composer
from virtboost.flow.agent.dump import FlowLine, Known, connection_lines, flow_lines
from virtboost.flow.agent.gate import Gate
from virtboost.flow.agent.link import Link
from virtboost.flow.agent.settings import Settings
from virtboost.flow.agent.table import Pair, Side, Table
from virtboost.flow.agent.watch import Watch
from virtboost.flow.agent.window import Window
from virtboost.flow.datapath import Datapath
from virtboost.flow.dataplane import DataPlane, NotLoaded
from virtboost.flow.encode import Port
from virtboost.flow.protocol import TCP, UDP
from virtboost.flow.sample import packet_of

SETTLE_NS = 20_000_000
"""After a change, until the datapath is read again: Open vSwitch follows a changed rule in about
1 ms where there are few megaflows; the last dump of its own is added."""

IDLE_S = 2.5
"""A megaflow that entries carry gets a packet after this: a quarter of max-idle, 10 s."""

KEEP_UDP_NS, KEEP_TCP_NS = 10_000_000_000, 600_000_000_000
"""A connection that entries carry gets a packet after this: UDP's timeout is 30 s, TCP's a day."""

HOUSEKEEPING_NS = 1_000_000_000

RETRY_NS = 500_000_000

REPLIED_S = 45
"""Conntrack forgets UDP 60 s after a packet that no reply came to yet, and 30 s after others
(lib/ct-dpif, v3.1): less than this right after a packet means that a reply was seen."""

HAND_BACK_NS = 5_000_000_000
"""How long the end waits for connections to send something."""

WAITING_MOST = 4096


class Agent:
    """One datapath, one data plane."""

    def __init__(
        self,
        settings: Settings,
        plane: DataPlane,
        tell: Callable[[str], None],
        window: Window | None = None,
    ) -> None:
        """Begin; nothing is attached yet.

        Args:
            settings: What is wanted.
            plane: Loaded.
            tell: Gets a line for whoever started it.
            window: The switch that entries of TCP need off; None: there are to be none.
        """
        self.settings = settings
        self.plane = plane
        self._tell = tell
        self._window = window
        self.gate = Gate(plane)
        self.table = Table(plane, settings.max_entries)
        self.refused: Counter[str] = Counter()
        self.link: Link | None = None
        self.flows: Mapping[str, FlowLine] = {}
        self._watch = Watch(self.gate.close)
        self._known = Known()
        self._ports: Mapping[str, Port] = {}
        self._waiting: dict[bytes, abi.Candidate] = {}
        self._attached: set[int] = set()
        self._next_check = self._next_learn = self._next_keeping = self._next_try = 0
        self.check_ns = 0
        """How long the last check took."""

    def step(self, timeout_s: float) -> None:
        """Wait for something to do, at most so long, and do it."""
        self._wait(timeout_s)
        now = time.monotonic_ns()
        for each in self.plane.candidates.take():
            if len(self._waiting) < WAITING_MOST:
                self._waiting[bytes(each.key)] = each
        try:
            if self.link is None:
                self._connect(now)
            if self.link is not None:
                self._work(self.link, now)
        except Unreachable as error:
            self._lose(str(error))

    def _work(self, link: Link, now: int) -> None:
        settled = now >= self.gate.closed_ns + SETTLE_NS + self.check_ns
        if settled and (now >= self._next_check or not self.gate.open):
            self._check(link)
        if self._waiting and self.gate.open and now >= self._next_learn:
            self._learn(link)
        if now >= self._next_keeping:
            self._keep(now)

    def _wait(self, timeout_s: float) -> None:
        told = self._watch.told
        ready, _, _ = select.select([told, self.plane.candidates.descriptor], [], [], timeout_s)
        if told in ready:
            with open(told, "rb", closefd=False, buffering=0) as event:
                event.read(8)

    def _connect(self, now: int) -> None:
        if now < self._next_try:
            return
        self._next_try = now + RETRY_NS
        self.link = Link(self.settings.ovs, self._watch)
        self._tell(f"connected to {self.link.name}")
        self._follow(self.link)
        if self._window is not None:
            self._window.turn_off(self.link.name)

    def _follow(self, link: Link) -> None:
        """Take the ports as they are, and be in front of each."""
        link.follow()
        self._ports = link.ports(self.settings.ports)
        self._names = {port.ifindex: name for name, port in self._ports.items()}
        for name, port in self._ports.items():
            if port.ifindex not in self._attached:
                self.plane.attach(port.ifindex)
                self._attached.add(port.ifindex)
                self._tell(f"attached to {name}")

    def _lose(self, reason: str) -> None:
        """Let go of a daemon that is gone."""
        self.gate.close("ovs-vswitchd")
        self._tell(reason)
        if self.link is not None:
            self.link.close()
            self.link = None
        now = time.monotonic_ns()
        for pair in tuple(self.table.pairs):
            self.table.remove(pair, now)

    def _check(self, link: Link) -> None:
        """Read what entries depend on; renew the lease of what is as it was."""
        ticket, begun = self.gate.ticket, time.monotonic_ns()
        if not self.gate.open:
            self._follow(link)
        flows, lines = self._dump(link)
        lost = self.table.missing({**flows, **lines})
        if lost:
            composer = self._composer(flows, lines)
            for pair in lost:
                self._again(pair, composer)
        if self._watch.alive:
            self.gate.renew(ticket, begun + self.settings.lease_ns)
        self.check_ns = time.monotonic_ns() - begun
        pause = max(self.settings.lease_ns // 3, 4 * self.check_ns)
        self._next_check = begun + min(pause, self.settings.lease_ns * 4 // 5 - self.check_ns)

    def _dump(self, link: Link) -> tuple[Mapping[str, FlowLine], Mapping[str, int]]:
        self.flows = flow_lines(link.flows())
        return self.flows, connection_lines(link.connections())

    def _composer(self, flows: Mapping[str, FlowLine], lines: Mapping[str, int]) -> Composer:
        megaflows = self._known.flows(flows)
        connections = self._known.connections(lines)
        return Composer(
            datapath=Datapath(megaflows, connections.values()),
            lines={each: line for line, each in connections.items()},
            ports=self._ports,
            liberal=self._window is not None,
            observe=self.settings.observe,
        )

    def _again(self, pair: Pair, composer: Composer) -> None:
        """Make a pair anew of a dump that has not all that it needs; or it goes."""
        self.table.remove(pair, time.monotonic_ns())
        found = composer.pair(pair.packet, self.table.slots)
        if isinstance(found, Pair):
            self.table.add(found)

    def _learn(self, link: Link) -> None:
        """Install what waits."""
        begun = time.monotonic_ns()
        waiting, self._waiting = self._waiting, {}
        flows, lines = self._dump(link)
        self._prove_replies(waiting, lines)
        composer = self._composer(flows, lines)
        for each in waiting.values():
            self._install(each, composer)
        self._next_learn = begun + 4 * (time.monotonic_ns() - begun)

    def _prove_replies(
        self, waiting: Mapping[bytes, abi.Candidate], lines: Mapping[str, int]
    ) -> None:
        """Note connections of UDP that have seen a reply."""
        if self.link is None or self.link.database.policies:
            return
        ends = {end for each in waiting.values() if each.key.protocol == UDP for end in _ends(each)}
        for line, timeout_s in lines.items():
            if line.startswith("udp") and timeout_s < REPLIED_S and _named(line, ends):
                self._known.replied(line)

    def _install(self, candidate: abi.Candidate, composer: Composer) -> None:
        name = self._names.get(candidate.key.port)
        if name is None or candidate.key in self.table:
            return
        found = composer.pair(packet_of(candidate.key, candidate.seen, name), self.table.slots)
        if isinstance(found, str):
            self.refused[found] += 1
            return
        try:
            self.table.add(found)
        except NotLoaded:
            self.table.give_back(side.slot for side in found.sides)
            self.refused["the kernel has no memory"] += 1

    def _keep(self, now: int) -> None:
        """Count; have a packet pass where Open vSwitch would forget a megaflow or a connection."""
        states = self.table.count(now)
        asked: set[int] = set()
        for need, users in self.table.users.items():
            line = self.flows.get(need)
            if line is not None and (line.used_s is None or line.used_s > IDLE_S):
                sides = (side for pair in users for side in pair.sides if need in side.flows)
                self._ask(
                    max(sides, key=lambda side: states[side.slot].used_ns), states, asked, now
                )
        for pair in self.table.pairs:
            if now >= pair.punted_ns + _keeping_ns(pair):
                pair.punted_ns = now
                self._ask(pair.sides[0], states, asked, now)
        self._next_keeping = now + HOUSEKEEPING_NS

    def _ask(self, side: Side, states: Sequence[abi.State], asked: set[int], now: int) -> None:
        """Have a packet of a side pass, if it has any these days and none is asked for."""
        state = states[side.slot]
        recent = state.used_ns + HOUSEKEEPING_NS * 5 > now
        if recent and side.slot not in asked and state.punted == side.encoded.entry.punt:
            asked.add(side.slot)
            self.table.ask_for_packet(side)

    def stop(self) -> None:
        """Carry out nothing any more, hear nothing, and have the switch as it was."""
        self.gate.close("stop")
        if self._window is not None and self.table.pairs:
            self._hand_back()
        self.plane.detach()
        if self.link is not None:
            self.link.close()
        self._watch.stop()
        if self._window is not None:
            self._window.restore()

    def _hand_back(self) -> None:
        """Let conntrack see both directions of each connection of TCP before it checks them again.

        It follows what it sees while its check is off (``lib/conntrack-tcp.c``, v3.1).
        """
        self.table.only_observe()
        carried = [pair for pair in self.table.pairs if _is_carried_tcp(pair)]
        before = self.table.count(time.monotonic_ns())
        self.gate.renew(self.gate.ticket, time.monotonic_ns() + 2 * HAND_BACK_NS)
        end = time.monotonic_ns() + HAND_BACK_NS
        while carried and time.monotonic_ns() < end:
            time.sleep(0.02)
            now = self.table.count(time.monotonic_ns())
            carried = [pair for pair in carried if not _was_seen(pair, before, now)]
        if carried:
            self._tell(
                f"{len(carried)} connections of TCP sent nothing in {HAND_BACK_NS // 10**9} s: "
                "Open vSwitch has not seen where they are, and may drop what they send next"
            )


def _is_carried_tcp(pair: Pair) -> bool:
    tracked = pair.sides[0].entry.connections
    tcp = any(each.connection.original.protocol == TCP for each in tracked)
    return tcp and any(side.counted.packets for side in pair.sides)


def _was_seen(pair: Pair, before: Sequence[abi.State], now: Sequence[abi.State]) -> bool:
    """Tell whether a packet of each direction passed, or the connection is closing."""
    slots = [side.slot for side in pair.sides]
    return all(now[slot].packets > before[slot].packets or now[slot].closed for slot in slots)


def _keeping_ns(pair: Pair) -> int:
    connections = pair.sides[0].entry.connections
    udp = any(each.connection.original.protocol == UDP for each in connections)
    return KEEP_UDP_NS if udp else KEEP_TCP_NS


def _ends(candidate: abi.Candidate) -> tuple[str, ...]:
    """Return how a line of conntrack spells the ports of a packet."""
    key = candidate.key
    return (f"sport={key.source_port},dport={key.destination_port}",)


def _named(line: str, ends: set[str]) -> bool:
    return any(end in line for end in ends)
