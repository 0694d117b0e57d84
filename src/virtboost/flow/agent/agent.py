"""The loop: check what is installed, learn what is worth it, count, keep alive, compare.

Everything that entries depend on is dumped and compared a few times within each lease.  What is not
there any more is composed anew, or goes; then the lease is renewed.  Whatever is heard to change
closes the gate first; the next check opens it.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import json

from virtboost.errors import Unreachable, VirtboostError
from virtboost.flow import abi
from virtboost.flow.agent.compose import Composer
from virtboost.flow.agent.control import Control, MetricsServer
from virtboost.flow.agent.dump import FlowLine, Known, connection_lines, flow_lines, zones
from virtboost.flow.agent.gate import Gate
from virtboost.flow.agent.hand_back import WAIT_NS, hand_back
from virtboost.flow.agent.keep import Keeper
from virtboost.flow.agent.learn import Learner
from virtboost.flow.agent.link import Link
from virtboost.flow.agent.pace import Pace
from virtboost.flow.agent.ports import Ports
from virtboost.flow.agent.settings import Settings
from virtboost.flow.agent.status import Direction, FlowStatus, State, merged, metrics, spelled
from virtboost.flow.agent.table import Pair, Side, Table
from virtboost.flow.agent.verify import Sampler
from virtboost.flow.agent.watch import Watch
from virtboost.flow.agent.way import Ways
from virtboost.flow.agent.window import Window
from virtboost.flow.agent.worth import Worth
from virtboost.flow.datapath import Datapath
from virtboost.flow.dataplane import DataPlane

HOUSEKEEPING_NS = 1_000_000_000

RETRY_NS = 500_000_000

SHOWN = 40
"""Busiest entries that the status has."""


class OtherDatapath(VirtboostError):
    """The datapath is one that a data plane of another hook is for."""

    def __init__(self, hook: str) -> None:
        """Say which: ``xdp`` or ``tc``."""
        self.hook = hook
        super().__init__(f"the datapath takes a data plane of {hook}")


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

        Raises:
            InputError: Its socket or its address is of no use, or another agent has it.
        """
        self._settings, self._plane, self._tell, self._window = settings, plane, tell, window
        self._metrics = None if settings.metrics is None else MetricsServer(settings.metrics)
        self._control = Control(settings.socket)
        self._gate = Gate(plane)
        self._watch = Watch(self._gate.close)
        self._table = Table(plane, settings.max_entries)
        self._known, self._learner = Known(), Learner(self._table)
        self._keeper, self._sampler = Keeper(self._table), Sampler(self._table, self._gate)
        self._ports = Ports(plane, settings.ports, tell)
        self._ways = Ways() if plane.hook == "tc" else None
        self._link: Link | None = None
        self._flows: Mapping[str, FlowLine] = {}
        self._pace, self._worth = Pace(settings.lease_ns), Worth(time.monotonic_ns())
        self._next_keeping = self._next_try = self._check_ns = self._longest_ns = 0
        self._problem = ""

    def step(self, timeout_s: float) -> None:
        """Wait for something to do, at most so long, and do it.

        Raises:
            NotLoaded: It cannot be in front of a port.
            OtherDatapath: It is not for the datapath that there is by now.
            ChangeFailed: The switch of the TCP window cannot be turned.
        """
        self._wait(min(timeout_s, self._due_s(time.monotonic_ns())))
        now = time.monotonic_ns()
        told = self._plane.candidates.take()
        self._learner.hear((each for each in told if each.packets >= self._worth.least), now)
        try:
            if self._link is None and now >= self._next_try:
                self._next_try = now + RETRY_NS
                self._link = self._connected()
            if self._link is not None:
                self._work(self._link, now)
            self._control.serve(self._answer)
        except Unreachable as error:
            self._lose(str(error))

    def _wait(self, timeout_s: float) -> None:
        told = self._watch.told
        sources = [told, self._plane.candidates.descriptor, self._control.fileno()]
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if told in ready:
            os.eventfd_read(told)

    def _due_s(self, now: int) -> float:
        """Return in how many seconds a check is due."""
        if self._link is None or self._gate.locked:
            return 1
        closed_ns = None if self._gate.open else self._gate.closed_ns
        due = self._pace.check_due(closed_ns, churn=self._gate.churn)
        return max(due - now, 0) / 1e9

    def _work(self, link: Link, now: int) -> None:
        if not self._gate.locked and self._due_s(now) == 0:
            self._check(link)
        if self._learner.waiting and self._gate.open and now >= self._pace.learn_due:
            self._learn(link, self._dump(link))
        if now >= self._next_keeping:
            self._keep(link, now)
        self._verify(link, now)

    def _connected(self) -> Link:
        link = Link(self._settings.ovs, self._watch)
        if link.hook != self._plane.hook:
            link.close()
            raise OtherDatapath(link.hook)
        self._tell(f"connected to {link.name}")
        try:
            self._ports.follow(link)
            if self._window is not None:
                self._window.turn_off(link.name)
        except Unreachable:
            link.close()
            raise
        return link

    def _lose(self, reason: str) -> None:
        """Let go of a daemon that is gone."""
        if reason != self._problem:
            self._problem = reason
            self._tell(reason)
        if self._link is not None:
            self._gate.close("ovs-vswitchd")
            self._link.close()
            self._link = None
            self._let_go()
            self._publish()

    def _let_go(self) -> None:
        now = time.monotonic_ns()
        for pair in tuple(self._table.pairs):
            self._table.remove(pair, now)

    def _check(self, link: Link) -> None:
        """Read what entries depend on, if there are any; renew the lease of what is as it was."""
        ticket, begun, was_open = self._gate.ticket, time.monotonic_ns(), self._gate.open
        if not was_open:
            self._ports.follow(link)
        if not self._watch.alive:
            raise Unreachable("local", "changes are not told any more: connecting anew")
        devices = self._ports.look(link)
        ways = {} if self._ways is None else self._ways.look(self._table.users)
        lines = self._dump(link) if self._table.pairs else None
        if lines is not None:
            lost = self._table.missing({**self._flows, **lines, **devices, **ways})
            if lost:
                self._make_anew(lost, self._composer(lines))
        self._gate.renew(ticket, begun + self._settings.lease_ns)
        ended = time.monotonic_ns()
        self._check_ns = ended - begun
        self._pace.checked(begun, ended, after_change=not was_open)
        if lines is not None and self._gate.open:
            self._learn(link, lines)
        if 2 * self._check_ns > max(self._settings.lease_ns, self._longest_ns):
            self._longest_ns = 2 * self._check_ns
            self._tell(
                f"a check took {self._check_ns // 1_000_000} ms: entries are carried out all of "
                f"the time with --lease {2 * self._longest_ns // 1_000_000} or more"
            )

    def _dump(self, link: Link) -> Mapping[str, int]:
        """Take the megaflows; return the connections of their zones."""
        begun = time.monotonic_ns()
        self._flows = flow_lines(link.flows())
        lines = connection_lines(link.connections(zones(self._flows)))
        self._pace.dumped(begun, time.monotonic_ns())
        return lines

    def _composer(self, lines: Mapping[str, int]) -> Composer:
        connections = self._known.connections(lines)
        return Composer(
            datapath=Datapath(self._known.flows(self._flows), connections.values()),
            lines={each: line for line, each in connections.items()},
            ports=self._ports.usable,
            way=None if self._ways is None else self._ways.to,
            liberal=self._window is not None,
            observe=self._settings.observe,
        )

    def _make_anew(self, pairs: Sequence[Pair], composer: Composer) -> None:
        """Make pairs of a dump that has not all that they need; those that it has not go."""
        for pair in pairs:
            now = time.monotonic_ns()
            self._table.remove(pair, now)
            if self._table.closed(pair):  # after the dump, perhaps
                continue
            found = composer.pair(pair.packet, self._table.slots)
            if isinstance(found, Pair):
                self._table.add(found, now)

    def _learn(self, link: Link, lines: Mapping[str, int]) -> None:
        """Install what waits, of a dump of now, in the time that there is until the next."""
        if not self._learner.waiting:
            return
        if not link.in_kernel and not link.database.policies:
            self._learner.prove_replies(self._known, lines)
        names = {port.ifindex: name for name, port in self._ports.usable.items()}
        composer, now = self._composer(lines), time.monotonic_ns()
        due_ns = min(self._pace.learn_due, self._pace.check_due(None))
        self._learner.install(composer, names, max(due_ns, now + self._settings.lease_ns // 4))

    def _keep(self, link: Link, now: int) -> None:
        """Count, keep alive and off, publish, and begin a sample."""
        if self._window is not None and self._window.keep_off(link):
            self._tell("somebody turned the check of TCP windows on: off again, until the stop")
        policies = link.in_kernel or link.database.policies
        self._keeper.keep(self._flows, now, policies=policies)
        self._next_keeping = now + HOUSEKEEPING_NS
        if self._worth.judge(self._table.total.packets, self._pace.dumps_ns, now):
            self._let_go()
        self._table.rate(now)
        self._table.prune(self._flows)
        if self._gate.open and self._samples:
            self._sampler.begin(now, self._ports.usable)
        self._publish()

    def _publish(self) -> None:
        if self._metrics is not None:
            self._metrics.text = metrics(self.status())

    def _verify(self, link: Link, now: int) -> None:
        """Go on with a sample; end everything where Open vSwitch does another thing.

        What it does is no proof against an entry whose rules changed meanwhile: such an entry is
        not there after a check.
        """
        wrong = self._sampler.step(now)
        if wrong is None:
            return
        self._check(link)
        if self._sampler.stands(wrong):
            reason = f"{spelled(wrong.side.encoded.key)}: {wrong.how}"
            self._gate.lock(reason)
            self._tell(f"QUARANTINE: nothing is carried until the next start: {reason}")
            self._let_go()

    def stop(self) -> None:
        """Carry out nothing any more, hear nothing, and have the switch as it was.

        Raises:
            ChangeFailed: Open vSwitch does not take it.
        """
        self._gate.close("stop")
        self._sampler.stop()
        left = hand_back(self._table, self._gate) if self._hands_back else 0
        if left:
            self._tell(
                f"{left} connections of TCP sent nothing in {WAIT_NS // 10**9} s: Open vSwitch "
                "does not know where they are, and may drop what they send next"
            )
        self._plane.detach_all()
        if self._link is not None:
            self._link.close()
        self._watch.stop()
        self._ports.close()
        self._control.close()
        if self._metrics is not None:
            self._metrics.close()
        if self._window is not None:
            self._window.restore()

    @property
    def _samples(self) -> bool:
        """Whether what is redirected passes no socket on its port, as in front of XDP alone."""
        return self._plane.hook == "xdp"

    @property
    def _hands_back(self) -> bool:
        """Whether conntrack has to see connections again, which the kernel's has not."""
        return self._plane.hook == "xdp" and self._window is not None and bool(self._table.pairs)

    def _answer(self, question: str) -> str:
        if question == "status":
            self._table.count(time.monotonic_ns())
            return json.encode(self.status()).decode()
        return "".join(f"{line}\n" for line in self._merged())

    def _merged(self) -> Iterator[str]:
        """Yield the datapath's megaflows as they are now, with what entries took of them."""
        flows = self._flows if self._link is None else flow_lines(self._link.flows())
        now = time.monotonic_ns()
        used_s = self._table.ages_s(self._table.count(now), now)
        carried = {flow: (each.packets, each.bytes) for flow, each in self._table.carried.items()}
        yield from merged(flows, carried, used_s)

    def status(self) -> FlowStatus:
        """Return what it does."""
        return FlowStatus(
            pid=os.getpid(),
            state=self._state(),
            reason=self._gate.locked,
            datapath=None if self._link is None else self._link.name,
            ports=tuple(self._ports.usable),
            observe=self._settings.observe,
            tcp_window=self._settings.window,
            lease_ms=self._settings.lease_ns // 1_000_000,
            check_ms=self._check_ns / 1e6,
            entries=self._table.entries,
            max_entries=self._settings.max_entries,
            removed=self._table.removed,
            packets=self._table.total.packets,
            bytes=self._table.total.bytes,
            passes={abi.PASSES[reason]: packets for reason, packets in self._plane.passes()},
            refused=dict(self._learner.refused),
            closed=dict(self._gate.reasons),
            samples=self._samples,
            verified=dict(self._sampler.results),
            busiest=tuple(_direction(side) for side in self._table.busiest(SHOWN)),
        )

    def _state(self) -> State:
        if self._gate.locked:
            return "quarantined"
        if self._link is None:
            return "waiting"
        return "open" if self._gate.open else "closed"


def _direction(side: Side) -> Direction:
    return Direction(
        what=spelled(side.encoded.key),
        port=side.entry.in_port,
        packets=side.counted.packets,
        bytes=side.counted.bytes,
        packets_per_s=side.packets_per_s,
    )
