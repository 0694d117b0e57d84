"""An experiment carried out: block after block until its course is at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from virtboost.model.machine import MachineState
from virtboost.prove.comparison import Cell
from virtboost.prove.course import INTERRUPTED, Course, Stage
from virtboost.prove.result import Block, Cost, Run
from virtboost.prove.spec import Spec, Workload


class RebootNeeded(Exception):
    """A change takes effect after a reboot, which is somebody else's to make."""

    def __init__(self, boot: str) -> None:
        """Say which boot has to end."""
        super().__init__(boot)
        self.boot = boot


class Measured(NamedTuple):
    """What came of running a workload once."""

    began_at: str
    duration_s: float
    figures: dict[str, float]
    problem: str | None
    before: MachineState | None
    after: MachineState | None
    cost: Cost | None


class Bench(Protocol):
    """What an experiment is carried out on."""

    def put(self, in_force: Sequence[str]) -> bool:
        """Put these trials in force, and no others; tell whether the host was booted anew.

        Raises:
            RebootNeeded: They are made, and somebody has to boot the host.
        """

    def settings(self, changing: Collection[str]) -> Mapping[str, str]:
        """Return what must not change while these trials are made and taken back: path, value."""

    def lost(self, in_force: Sequence[str]) -> str | None:
        """Return which setting of these trials says something else than was written; None: none."""

    def measure(self, workload: Workload) -> Measured:
        """Run a workload once."""


class Log(Protocol):
    """Where the runs go, each as soon as it is made."""

    runs: list[Run]
    blocks: list[Block]

    def add(self, run: Run) -> None:
        """Keep a run."""

    def end(self, block: Block) -> None:
        """Keep that a block is at its end."""


class Runner:
    """Carries out what the course asks for."""

    def __init__(self, spec: Spec, bench: Bench, log: Log, tell: Callable[[str], None]) -> None:
        """Begin, or go on after what is in the log.

        Args:
            spec: What is asked.
            bench: What it is carried out on.
            log: Where runs go.
            tell: Gets a line on how far it is.
        """
        self.course = Course(spec)
        self._spec = spec
        self._bench = bench
        self._log = log
        self._tell = tell
        self._workloads = {each.name: each for each in spec.workloads}
        self._cold = True
        self._last: Stage | None = None
        self._settings: Mapping[str, str] = {}

    def go(self, *, rebooted: bool) -> str:
        """Run to the end; return ``done``, or why it is not.

        The host is left without any trial, whatever happens, unless it has to be booted.

        Args:
            rebooted: Whether it goes on in the midst of a block, with what is in force.
        """
        begun = self.course.replay(self._log.runs, self._log.blocks)
        stage = self.course.stage
        if begun and stage is not None and not rebooted:
            self._end(stage, begun[0].block, (), INTERRUPTED)
            begun = []
        if rebooted and stage is not None:
            self._last, self._settings = stage, self._bench.settings(stage.changing)
        try:
            ended = self._all(begun)
        except RebootNeeded:
            raise
        except BaseException:
            self._bench.put(())
            raise
        self._bench.put(())
        return ended

    def _all(self, begun: Sequence[Run]) -> str:
        spent_s = sum(run.duration_s for run in self._log.runs)
        end = time.monotonic() + self._spec.limit_s - spent_s
        while (stage := self.course.stage) is not None:
            if time.monotonic() > end:
                return f"no block was begun after {self._spec.limit_s:g} s"
            if stage is not self._last:
                self._bench.put(())
                self._cold, self._last = True, stage
                self._settings = self._bench.settings(stage.changing)
            self._block(stage, begun)
            begun = []
        return self.course.given_up or "done"

    def _block(self, stage: Stage, begun: Sequence[Run]) -> None:
        """Run a block, or what is left of one, and count it unless a setting did not hold."""
        number, runs = self.course.number(stage), list(begun)
        why: str | None = None
        for position, cell in enumerate(stage.cells):
            done = {run.workload for run in begun if run.position == position}
            left = [self._workloads[name] for name in stage.waiting if name not in done]
            if left:
                self._cold |= self._bench.put(cell.in_force)
                runs += self._runs(stage, number, position, cell, left)
                why = self._bench.lost(cell.in_force)
            if why is not None:
                break
        self._end(stage, number, runs, why or self._drift(stage))

    def _end(self, stage: Stage, number: int, runs: Sequence[Run], why: str | None) -> None:
        """Keep that a block is at its end, and count it unless there is a reason why not."""
        self._log.end(Block(comparison=stage.name, number=number, void=why))
        self.course.take(stage, runs, void=why)
        self._tell(f"{stage.name}: block {number + 1}{': does not count' * (why is not None)}")

    def _runs(
        self, stage: Stage, number: int, position: int, cell: Cell, workloads: Sequence[Workload]
    ) -> list[Run]:
        """Run workloads once each, after the runs that do not count, and keep all of it."""
        warmups = self._spec.warmups if self._cold else 0
        self._cold = False
        made = []
        for workload in workloads:
            for warm_up in (*[True] * warmups, False):
                run = self._run(workload, stage, number, position, cell, warm_up=warm_up)
                self._log.add(run)
                made += [] if warm_up else [run]
        return made

    def _run(
        self,
        workload: Workload,
        stage: Stage,
        number: int,
        position: int,
        cell: Cell,
        *,
        warm_up: bool,
    ) -> Run:
        measured = self._bench.measure(workload)
        return Run(
            comparison=stage.name,
            block=number,
            position=position,
            applied=cell.applied,
            in_force=cell.in_force,
            workload=workload.name,
            warm_up=warm_up,
            **measured._asdict(),
        )

    def _drift(self, stage: Stage) -> str | None:
        """Return which setting says something else than before; None: all hold."""
        before, now = self._settings, self._bench.settings(stage.changing)
        self._settings = now
        changed = [path for path in sorted({*before, *now}) if before.get(path) != now.get(path)]
        if not changed:
            return None
        return f"{changed[0]}: was {before.get(changed[0])!r}, is {now.get(changed[0])!r}"
