"""The course of an experiment: what is run next, given everything that was run so far.

It has no memory but the runs, so an experiment that was interrupted goes on, and one that is kept
is told again, by giving it the same runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from virtboost.prove.comparison import Comparison
from virtboost.prove.conclude import decision, noise, self_load
from virtboost.prove.result import About, Experiment, Run, Void
from virtboost.prove.screen import Screening
from virtboost.prove.spec import NO_CHANGE, Spec, Workload, trials

MOST_VOIDS = 10
"""A setting that never holds still: so many blocks that do not count, and a stage is given up."""

Stage = Comparison | Screening


class Course:
    """Takes blocks of runs, in the order in which it asks for them."""

    def __init__(self, spec: Spec) -> None:
        """Begin with the host against itself."""
        self._spec = spec
        self._names = [each.name for each in trials(spec.factors)]
        self._taken: Counter[str] = Counter()
        self._voids: Counter[str] = Counter()
        metrics = sum(len(each.metrics) for each in spec.workloads)
        self._null = self._comparison(NO_CHANGE, spec.workloads, spec.null_blocks, metrics)
        self._screening: Screening | None = None
        self._comparisons: list[Comparison] | None = None

    @property
    def stage(self) -> Stage | None:
        """What is to be run next; None: it is at its end."""
        if self._open(self._null):
            return self._null
        if self._spec.design == "screen":
            if self._screening is None:
                self._screening = Screening(self._spec, self._usable(), self._names)
            if self._open(self._screening):
                return self._screening
        if self._comparisons is None:
            self._comparisons = self._all_comparisons()
        return next((each for each in self._comparisons if self._open(each)), None)

    def number(self, stage: Stage) -> int:
        """Return the number of the next block of a stage; those that do not count have one too."""
        return self._taken[stage.name] + self._voids[stage.name]

    def take(self, stage: Stage, runs: Sequence[Run], *, void: bool) -> None:
        """Count a whole block, or leave it out."""
        (self._voids if void else self._taken)[stage.name] += 1
        if void:
            stage.skip()
        else:
            stage.take(runs)

    def replay(self, runs: Iterable[Run], voids: Iterable[Void]) -> list[Run]:
        """Take all blocks that were run before; return the runs of one that is not whole."""
        bad = {(each.comparison, each.block) for each in voids}
        counted = (run for run in runs if not run.warm_up)
        for key, block in groupby(counted, key=lambda run: (run.comparison, run.block)):
            made, stage = list(block), self.stage
            if stage is None:
                break
            if key not in bad and len(made) < len(stage.cells) * len(stage.waiting):
                return made
            self.take(stage, made, void=key in bad)
        return []

    def experiment(self, about: About, runs: Sequence[Run], voids: Sequence[Void]) -> Experiment:
        """Return what is to be said now.

        Args:
            about: What is known of it.
            runs: All that were made.
            voids: Blocks that do not count.
        """
        null = [self._null] if self._spec.null_blocks else []
        compared = [*null, *(self._comparisons or ())]
        verdicts = [each for one in compared for each in one.verdicts()]
        names = [each.name for each in self._comparisons or ()]
        return Experiment(
            about=about,
            noise=tuple(noise(self._null, self._spec, metrics=self._metrics(len(self._names)))),
            screened=tuple(self._screening.found() if self._screening else ()),
            verdicts=tuple(verdicts),
            decisions=tuple(
                decision(name, verdicts, about.published.get(name, "")) for name in names
            ),
            self_load=self_load(runs),
            voids=tuple(voids),
            runs=tuple(runs),
        )

    def _open(self, stage: Stage) -> bool:
        return bool(stage.waiting) and self._voids[stage.name] < MOST_VOIDS

    def _usable(self) -> Sequence[Workload]:
        """Return the workloads of which no run failed where nothing was changed."""
        failed = {each.workload for each in self._null.verdicts() if each.outcome == "failed"}
        return [each for each in self._spec.workloads if each.name not in failed]

    def _all_comparisons(self) -> list[Comparison]:
        names, blocks = list(self._chosen()), self._spec.blocks
        metrics = self._metrics(len(names))
        return [self._comparison(name, self._usable(), blocks, metrics) for name in names]

    def _chosen(self) -> Iterator[str]:
        """Yield the trials that are compared: those that the screening has left."""
        left = set(self._names)
        if self._screening is not None:
            left = {each.trial for each in self._screening.found() if each.promising}
        yield from (name for name in self._names if name in left)

    def _metrics(self, comparisons: int) -> int:
        """Return how many verdicts share the level."""
        return max(1, comparisons * sum(len(each.metrics) for each in self._usable()))

    def _comparison(
        self, name: str, workloads: Sequence[Workload], blocks: int, metrics: int
    ) -> Comparison:
        alpha = self._spec.alpha / metrics
        return Comparison(name, self._spec, workloads, alpha=alpha, blocks=blocks)
