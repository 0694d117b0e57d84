"""One factor against the host as it is: blocks of runs until every metric has a verdict."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from virtboost.prove.result import Outcome, Run, Verdict
from virtboost.prove.sequential import Looks
from virtboost.prove.spec import LEAST_BLOCKS, NO_CHANGE, Metric, Spec, Workload


class Cell(NamedTuple):
    """What is in force while each workload is run once."""

    applied: bool
    """Whether it counts as with the factor."""
    in_force: tuple[str, ...]
    """Names of trials."""


class Comparison:
    """Takes blocks of runs, one after the other, and says what is still to be run."""

    def __init__(self, name: str, spec: Spec, workloads: Sequence[Workload], looks: Looks) -> None:
        """Begin.

        Args:
            name: Of the trial.
            spec: Margin and seed.
            workloads: What is run.
            looks: Most blocks, and the level of each metric.
        """
        self.name = name
        self._left = looks.most
        self._orders = orders(spec.seed, name)
        self._order = next(self._orders)
        self._series = [
            _Series(name, workload, metric, looks, spec.margin_percent / 100)
            for workload in workloads
            for metric in workload.metrics
        ]

    @property
    def waiting(self) -> tuple[str, ...]:
        """Names of the workloads that are run in the next block; none: it is at its end."""
        if not self._left:
            return ()
        open_ = (each.workload.name for each in self._series if each.verdict is None)
        return tuple(dict.fromkeys(open_))

    @property
    def changing(self) -> tuple[str, ...]:
        """Names of the trials that are made and taken back."""
        return () if self.name == NO_CHANGE else (self.name,)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """What is in force in each run of the next block."""
        return tuple(Cell(applied, self.changing if applied else ()) for applied in self._order)

    def take(self, runs: Sequence[Run]) -> None:
        """Count a whole block of runs, and conclude where that is enough."""
        self._left -= 1
        self.skip()
        for each in self._series:
            each.take([run for run in runs if run.workload == each.workload.name])

    def skip(self) -> None:
        """Leave a block out that does not count."""
        self._order = next(self._orders)

    def verdicts(self) -> Iterator[Verdict]:
        """Yield what is to be said of each metric now."""
        for each in self._series:
            yield each.verdict or each.concluded("inconclusive")

    def deviations(self) -> dict[tuple[str, str], tuple[float, int]]:
        """Return the standard deviation of all runs, and of how many, by workload and metric."""
        return {
            (workload, metric): (statistics.stdev(runs), len(runs))
            for workload, metric, runs, _ in self.figures()
            if len(runs) > 1
        }

    def figures(self) -> Iterator[tuple[str, str, list[float], list[float]]]:
        """Yield workload, metric, the figures of all runs and the differences of all blocks."""
        for each in self._series:
            runs = each.figures[False] + each.figures[True]
            yield each.workload.name, each.metric.name, runs, each.differences


def orders(seed: int, name: str) -> Iterator[tuple[bool, ...]]:
    """Yield whether the factor is in force in each run of a block, drawn by lot, block by block."""
    lots = random.Random(f"{seed} {name}")
    while True:
        first = lots.random() < 0.5
        yield (first, not first, not first, first)


class _Series:
    """The figures of one metric."""

    def __init__(
        self, comparison: str, workload: Workload, metric: Metric, looks: Looks, margin: float
    ) -> None:
        self.workload = workload
        self.metric = metric
        self.verdict: Verdict | None = None
        self.figures: dict[bool, list[float]] = {False: [], True: []}
        self.differences: list[float] = []
        self._comparison = comparison
        self._looks = looks
        self._margin = margin

    def take(self, runs: Sequence[Run]) -> None:
        if self.verdict is not None:
            return
        problem = _problem(runs)
        if problem is not None:
            self.verdict = self.concluded("failed", problem)
            return
        found = {
            applied: [run.figures[self.metric.name] for run in runs if run.applied is applied]
            for applied in (False, True)
        }
        for applied, figures in found.items():
            self.figures[applied] += figures
        self.differences.append(_mean(found[True]) - _mean(found[False]))
        self._look()

    def _look(self) -> None:
        if self._is_within_margin():
            self.verdict = self.concluded("no difference")
        elif self._looks.crossing(self.differences) is not None:
            higher = _mean(self.differences) > 0
            good = higher == (self.metric.better == "higher")
            self.verdict = self.concluded("better" if good else "worse")

    def _is_within_margin(self) -> bool:
        """Tell whether every difference beyond the margin is ruled out; of 0 it has no width."""
        margin = self._margin * abs(_mean(self.figures[False]))
        if margin == 0:
            return len(self.differences) >= LEAST_BLOCKS and not any(self.differences)
        ends = (self._looks.crossing(self.differences, end) for end in (-margin, margin))
        return abs(_mean(self.differences)) < margin and all(end is not None for end in ends)

    def concluded(self, outcome: Outcome, problem: str | None = None) -> Verdict:
        last = outcome != "inconclusive"
        ends = self._looks.interval(self.differences, last=last) if self.differences else ()
        low, high = [end if math.isfinite(end) else None for end in ends] or (None, None)
        return Verdict(
            comparison=self._comparison,
            workload=self.workload.name,
            metric=self.metric.name,
            unit=self.metric.unit,
            guard=self.metric.guard,
            outcome=outcome,
            blocks=len(self.differences),
            before=_mean(self.figures[False]) if self.differences else None,
            after=_mean(self.figures[True]) if self.differences else None,
            effect=_mean(self.differences) if self.differences else None,
            low=low,
            high=high,
            problem=problem,
        )


def _problem(runs: Sequence[Run]) -> str | None:
    """Return what failed in a block and on which side; None: nothing did."""
    why = {run.applied: run.problem for run in runs if run.problem is not None}
    if not why:
        return None
    if len(why) == 2:
        return f"with it and without: {why[True]}"
    return f"with it, not without: {why[True]}" if True in why else f"without it only: {why[False]}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
