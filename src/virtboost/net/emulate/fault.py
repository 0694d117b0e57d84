"""A fault made, watched and undone, while packets go to the victim and from it all the time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from virtboost.net.emulate import space
from virtboost.net.emulate.daemon import Daemon
from virtboost.net.emulate.ends import LATE_S, Ends
from virtboost.net.emulate.outcome import FaultOutcome, Spread, spread
from virtboost.net.emulate.plane import Watching
from virtboost.net.emulate.scene import Fault, Scene
from virtboost.net.figure import Figure

SENDERS = 10

EVERY_S = 0.02
"""Between packets from one end to another."""

DOWN_S = 1
"""Until a killed daemon is started again, and what nobody notices is undone."""

PATIENCE = 1.25
"""Times the longest that the plan expects, until it is no longer waited for."""

TOLD_S = 1
"""That it is waited beyond that at least: from switch to spine to node, each tells the next."""

QUIET_S = 5
"""How long all must have been as before, after the repair, for the fault to be over."""

BACK_S = 180
"""How long that may take: BIRD waits up to a minute after an error, and then longer."""

ASK_S = 1
"""Between questions for the victim's sessions."""


class Trial:
    """One fault."""

    def __init__(
        self, fault: Fault, scene: Scene, daemons: Sequence[Daemon], watch: Watching, ends: Ends
    ) -> None:
        """Choose the victim: the last node, a switch of its rack, or the first reflector."""
        self._fault = fault
        self._scene = scene
        self._victim = _victim(fault, daemons)
        self._watch = watch
        self._ends = ends
        self._target = daemons[-1].place
        self._senders = [each.place for each in daemons[:-1] if each.speaker.blocks][:SENDERS]
        self._rounds = 0
        self._arrived: Counter[tuple[int, int]] = Counter()
        self._next_at = 0.0

    def run(self) -> FaultOutcome:
        """Make the fault, undo it, and wait until all is as before."""
        established = self._victim.established()
        self._watch.forget()
        began = time.monotonic()
        self._make()
        self._until_noticed(began)
        noticed = self._noticed(began)
        repaired = time.monotonic()
        self._undo()
        restored = self._until_back(established)
        took = time.monotonic() - began
        self._drain()
        back = [self._watch.complete_at[one] for one in noticed if one in self._watch.complete_at]
        return FaultOutcome(
            fault=self._fault,
            victim=self._victim.speaker.address,
            noticed_by=len(noticed),
            noticed=spread(noticed.values()) if noticed else None,
            noticed_s=tuple(noticed.values()),
            repaired_s=repaired - began,
            back=spread(at - repaired for at in back) if back else None,
            lost=self._lost(took),
            expected=self._expected(),
            restored=restored,
        )

    def _make(self) -> None:
        if self._fault.endswith("cut"):
            space.set_links(self._victim.place, self._victim.speaker, "down")
        elif self._fault.endswith("freeze"):
            self._victim.freeze()
        else:
            self._victim.kill()

    def _undo(self) -> None:
        if self._fault.endswith("cut"):
            space.set_links(self._victim.place, self._victim.speaker, "up")
        elif self._fault.endswith("freeze"):
            self._victim.thaw()
        else:
            self._victim.start()

    def _expected(self) -> Figure | None:
        if self._fault in ("cut", "freeze", "switch-cut"):
            return self._scene.noticed
        return self._scene.restart_loss if self._fault == "kill" else None

    def _until_noticed(self, began: float) -> None:
        noticed = self._scene.noticed
        if self._fault.endswith(("cut", "freeze")) and noticed is not None:
            longest = noticed.high or noticed.value
            end = began + max(PATIENCE * longest, longest + TOLD_S)
            all_nodes = len(self._watch.missing) - 1
        else:
            end, all_nodes = began + DOWN_S, len(self._watch.missing)
        while time.monotonic() < end and len(self._noticed(began)) < all_nodes:
            self._turn()

    def _noticed(self, began: float) -> dict[int, float]:
        """Return when other nodes lost the first of the victim's routes, by place."""
        found: dict[int, float] = {}
        for (place, block), at in self._watch.gone_at.items():
            if place != self._victim.place and block in self._victim.speaker.blocks:
                found[place] = min(at - began, found.get(place, at - began))
        return found

    def _until_back(self, established: int) -> bool:
        end = time.monotonic() + BACK_S
        asked_at = since = 0.0
        while time.monotonic() < end:
            self._turn()
            now = time.monotonic()
            if now < asked_at + ASK_S:
                continue
            asked_at = now
            if not self._watch.complete or self._victim.established() != established:
                since = 0.0
            elif not since:
                since = now
            elif now - since >= QUIET_S:
                return True
        return False

    def _turn(self) -> None:
        """Let packets go if it is time, and take what came."""
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + EVERY_S
            for sender in self._senders:
                self._ends.send(sender, self._target, self._rounds)
                self._ends.send(self._target, sender, self._rounds)
            self._rounds += 1
            self._take()
        self._watch.wait(max(0.0, self._next_at - time.monotonic()))

    def _take(self) -> None:
        for target in (self._target, *self._senders):
            self._arrived.update((source, target) for source, _ in self._ends.arrived(target))

    def _drain(self) -> None:
        time.sleep(LATE_S)
        self._take()

    def _lost(self, took_s: float) -> Spread:
        """Return for how long packets were lost, by pair and direction."""
        ways = [way for one in self._senders for way in ((one, self._target), (self._target, one))]
        each_s = took_s / self._rounds
        return spread((self._rounds - self._arrived[way]) * each_s for way in ways)


def _victim(fault: Fault, daemons: Sequence[Daemon]) -> Daemon:
    if fault == "reflector":
        return daemons[0]
    last = daemons[-1]
    if fault.startswith("switch"):
        here = (each for each in daemons if each.speaker.segment == last.speaker.segment)
        return next(each for each in here if each.speaker.uplink)
    return last
