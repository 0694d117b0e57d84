"""Blocks of runs until every workload has a verdict, or the blocks are at an end."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from msgspec import Struct

from virtboost.prove.sequential import Looks
from virtboost.prove.spec import Spec, Workload

Outcome = Literal["better", "worse", "no difference", "inconclusive", "failed"]


class WorkloadFailed(Exception):
    """A run has no figure."""


class Run(Struct, frozen=True, kw_only=True):
    """One run of one workload."""

    workload: str
    block: int
    """From 0."""
    applied: bool
    """Whether the changes were in force."""
    figure: float | None
    """None: the run failed."""
    problem: str | None = None
    """Why it failed; None: it did not."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What an experiment says of one workload."""

    workload: str
    outcome: Outcome
    unit: str
    """Of the figures."""
    blocks: int
    """After how many it was found."""
    before: float | None
    """Mean without the changes; None: no run."""
    after: float | None
    """Mean with them; None: no run."""
    effect: float | None
    """Mean difference of the blocks; None: no block was whole."""
    low: float | None
    high: float | None
    """Differences that are not ruled out; None: no end was found."""
    problem: str | None = None
    """Why a run failed; None: none did."""


class Experiment(Struct, frozen=True, kw_only=True):
    """Everything that was measured."""

    schema: Literal["virtboost.experiment/1"] = "virtboost.experiment/1"
    plan: str
    """File of the changes."""
    alpha: float
    """Chance of a difference that is none, over all workloads and looks."""
    margin_percent: float
    """A smaller difference does not matter."""
    seed: int
    """Of the order of blocks."""
    verdicts: tuple[Verdict, ...]
    runs: tuple[Run, ...]
    """In the order in which they were made."""


class Bench(NamedTuple):
    """What an experiment is carried out on."""

    change: Callable[[bool], None]
    """Makes the changes, or undoes them, and waits until they have settled."""
    measure: Callable[[Workload], float]
    """Runs a workload once and returns its figure; ``WorkloadFailed``: it has none."""
    tell: Callable[[str], None]
    """Gets a line on how far it is."""


def experiment(spec: Spec, bench: Bench) -> Experiment:
    """Carry an experiment out; the host is left without the changes, whatever happens."""
    series = [_Series(each, spec) for each in spec.workloads]
    runs: list[Run] = []
    try:
        for block, order in enumerate(orders(spec.blocks, spec.seed)):
            waiting = [each for each in series if each.verdict is None]
            if not waiting:
                break
            runs += _block(block, order, waiting, bench)
            for each in waiting:
                each.look()
            bench.tell(f"block {block + 1} of {spec.blocks} at most")
    finally:
        bench.change(False)  # noqa: FBT003 (undone)
    return Experiment(
        plan=spec.plan,
        alpha=spec.alpha,
        margin_percent=spec.margin_percent,
        seed=spec.seed,
        verdicts=tuple(each.verdict or each.concluded("inconclusive") for each in series),
        runs=tuple(runs),
    )


def orders(blocks: int, seed: int) -> Iterator[tuple[bool, ...]]:
    """Yield for each block whether the changes are in force in each of its four runs."""
    lots = random.Random(seed)
    for _ in range(blocks):
        first = lots.random() < 0.5
        yield (first, not first, not first, first)


def _block(
    block: int, order: tuple[bool, ...], waiting: list[_Series], bench: Bench
) -> Iterator[Run]:
    for applied in order:
        bench.change(applied)
        for each in waiting:
            if each.verdict is None:
                yield each.measured(block, applied=applied, bench=bench)


class _Series:
    """The runs of one workload."""

    def __init__(self, workload: Workload, spec: Spec) -> None:
        self.workload = workload
        self.verdict: Verdict | None = None
        self._looks = Looks(spec.blocks, spec.alpha / len(spec.workloads), spec.seed)
        self._margin = spec.margin_percent / 100
        self._figures: dict[bool, list[float]] = {False: [], True: []}
        self._differences: list[float] = []

    def measured(self, block: int, *, applied: bool, bench: Bench) -> Run:
        name = self.workload.name
        try:
            figure = bench.measure(self.workload)
        except WorkloadFailed as error:
            self.verdict = self.concluded("failed", str(error))
            return Run(workload=name, block=block, applied=applied, figure=None, problem=str(error))
        self._figures[applied].append(figure)
        return Run(workload=name, block=block, applied=applied, figure=figure)

    def look(self) -> None:
        """Count the block that is at its end, and conclude where that is enough."""
        if self.verdict is not None:
            return
        after, before = self._figures[True][-2:], self._figures[False][-2:]
        self._differences.append(sum(after) / 2 - sum(before) / 2)
        margin = self._margin * abs(_mean(self._figures[False]))
        if self._looks.crossing(self._differences) is not None:
            higher = _mean(self._differences) > 0
            good = higher == (self.workload.better == "higher")
            self.verdict = self.concluded("better" if good else "worse")
        elif all(
            self._looks.crossing(self._differences, end) is not None for end in (-margin, margin)
        ):
            self.verdict = self.concluded("no difference")

    def concluded(self, outcome: Outcome, problem: str | None = None) -> Verdict:
        found = self._differences
        ends = self._looks.interval(found) if found else ()
        low, high = [end if math.isfinite(end) else None for end in ends] or (None, None)
        return Verdict(
            workload=self.workload.name,
            outcome=outcome,
            unit=self.workload.unit,
            blocks=len(found),
            before=_mean(self._figures[False]) if self._figures[False] else None,
            after=_mean(self._figures[True]) if self._figures[True] else None,
            effect=_mean(found) if found else None,
            low=low,
            high=high,
            problem=problem,
        )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
