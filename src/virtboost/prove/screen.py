"""A fraction of all combinations of many factors, and which factors it shows to matter.

Two-level design of a Hadamard matrix and its fold-over: resolution IV, so that no effect of one
factor is mixed with that of a pair (Box, Hunter and Hunter, *Statistics for Experimenters*, chapter
6).  Columns that no factor has, and effects that are none, tell the noise: R. V. Lenth, "Quick and
easy analysis of unreplicated factorials", Technometrics 31 (1989).  Where most factors matter that
fails, and what runs vary by where nothing is changed is the measure.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard
from scipy.special import stdtrit

from virtboost.prove.comparison import Cell
from virtboost.prove.result import Run, Screened
from virtboost.prove.spec import Metric, Spec, Workload

SCREEN = "screen"
"""What its runs are called."""

LEAST_FACTORS = 3
"""With fewer, one at a time takes no more runs."""

_CHANCE = 0.2
"""Of a factor that does nothing to be promising: one too many costs a comparison, one too few is
lost."""

Values = NDArray[np.float64]


class Screening:
    """Takes the runs of one row after the other, and says which rows are still to be run."""

    name = SCREEN

    def __init__(
        self,
        spec: Spec,
        workloads: Sequence[Workload],
        trials: Sequence[str],
        deviations: Mapping[tuple[str, str], tuple[float, int]],
    ) -> None:
        """Begin.

        Args:
            spec: The seed.
            workloads: What is run.
            trials: Names of the factors.
            deviations: Standard deviation of runs where nothing is changed, and of how many, by
                workload and metric.
        """
        self._deviations = deviations
        self._workloads = workloads
        self.changing = tuple(trials)
        self._design = design(len(trials), spec.seed)
        self._rows: list[Sequence[Run]] = []

    @property
    def waiting(self) -> tuple[str, ...]:
        """Names of the workloads that are run in the next row; none: it is at its end."""
        if len(self._rows) == len(self._design):
            return ()
        return tuple(each.name for each in self._workloads)

    @property
    def cells(self) -> tuple[Cell]:
        """What is in force in the next row."""
        row = self._design[len(self._rows)]
        names = tuple(name for name, sign in zip(self.changing, row, strict=False) if sign > 0)
        return (Cell(bool(names), names),)

    def take(self, runs: Sequence[Run]) -> None:
        """Count the runs of a row."""
        self._rows.append(runs)

    def skip(self) -> None:
        """Run the same row again."""

    def found(self) -> Iterator[Screened]:
        """Yield what it says of each factor and metric; nothing before its end.

        Nothing is said of a workload of which a run failed.
        """
        for workload in () if self.waiting else self._workloads:
            mine = [run for row in self._rows for run in row if run.workload == workload.name]
            for metric in workload.metrics:
                figures = [run.figures.get(metric.name, np.nan) for run in mine]
                if np.isfinite(figures).all():
                    yield from self._of_metric(workload.name, metric, np.array(figures))

    def _of_metric(self, workload: str, metric: Metric, figures: Values) -> Iterator[Screened]:
        effects = 2 * self._design.T @ figures / len(figures)
        needed, mean = margin_of_error(effects), abs(float(figures.mean()))
        if (workload, metric.name) in self._deviations:
            spread, runs = self._deviations[workload, metric.name]
            needed = min(needed, self._beyond_noise(spread, runs))
        good = effects if metric.better == "higher" else -effects
        for name, effect, to_the_good in zip(self.changing, effects, good, strict=False):
            yield Screened(
                trial=name,
                workload=workload,
                metric=metric.name,
                effect=float(effect),
                percent=100 * float(effect) / mean if mean else None,
                needed=needed,
                promising=bool(to_the_good > needed) and not metric.guard,
            )

    def _beyond_noise(self, spread: float, runs: int) -> float:
        """Return the effect that the noise of runs, where nothing is changed, rarely makes.

        The difference of two means of half of the rows each.
        """
        reach = float(stdtrit(runs - 1, 1 - _CHANCE / 2))
        return reach * spread * 2 / math.sqrt(len(self._design))


def design(factors: int, seed: int) -> Values:
    """Return +1 and -1 by run and column: first the factors', then those that no factor has.

    Args:
        factors: How many.
        seed: Of the order of runs, of the columns and of which level is which.
    """
    size = 1 << max(2, factors.bit_length())
    lots = random.Random(f"{seed} {SCREEN}")
    columns = [*lots.sample(range(1, size), size - 1), 0]
    half = hadamard(size)[:, columns] * np.array([lots.choice((-1, 1)) for _ in columns])
    order = lots.sample(range(2 * size), 2 * size)
    return np.asarray(np.vstack([half, -half])[order], float)


def margin_of_error(effects: Values) -> float:
    """Return Lenth's margin of error for these effects, most of which are taken to be none."""
    sizes = np.abs(effects)
    first = 1.5 * float(np.median(sizes))
    spread = 1.5 * float(np.median(sizes[sizes <= 2.5 * first]))
    return spread * float(stdtrit(len(sizes) / 3, 1 - _CHANCE / 2))
