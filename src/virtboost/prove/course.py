"""The course of an experiment: what is run next, given everything that was run so far.

It has no memory but the runs, so an experiment that was interrupted goes on, and one that is kept
is told again, by giving it the same runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from virtboost.prove.comparison import Comparison
from virtboost.prove.conclude import decision, noise, self_load
from virtboost.prove.result import About, Block, Experiment, Run
from virtboost.prove.screen import Screening
from virtboost.prove.sequential import Looks, least_blocks
from virtboost.prove.spec import NO_CHANGE, Spec, Workload, trials

MOST_VOIDS = 10
"""A setting that never holds still: so many blocks that do not count, and a stage is given up."""

INTERRUPTED = "it was interrupted"
"""Why a block does not count that was begun before an interruption."""

Stage = Comparison | Screening


class Course:
    """Takes blocks of runs, in the order in which it asks for them."""

    def __init__(self, spec: Spec) -> None:
        """Begin with the host against itself."""
        self._spec = spec
        self._names = [each.name for each in trials(spec.factors)]
        self._taken: Counter[str] = Counter()
        self._drifts: Counter[str] = Counter()
        self.given_up: str | None = None
        """Which stage has no end, and why; None: none."""
        metrics = sum(len(each.metrics) for each in spec.workloads)
        looks = self._looks(spec.null_blocks, metrics)
        self._null = Comparison(NO_CHANGE, spec, spec.workloads, looks)
        self._screening: Screening | None = None
        self._comparisons: list[Comparison] | None = None

    @property
    def stage(self) -> Stage | None:
        """What is to be run next; None: it is at its end."""
        if self._open(self._null):
            return self._null
        if self._spec.design == "screen":
            if self._screening is None:
                self._screening = Screening(
                    self._spec, self._usable(), self._names, self._null.deviations()
                )
            if self._open(self._screening):
                return self._screening
        if self._comparisons is None:
            self._comparisons = self._all_comparisons()
        return next((each for each in self._comparisons if self._open(each)), None)

    def number(self, stage: Stage) -> int:
        """Return the number of the next block of a stage; those that do not count have one too."""
        return self._taken[stage.name]

    def take(self, stage: Stage, runs: Sequence[Run], *, void: str | None) -> None:
        """Count a whole block, or leave one out, for a reason."""
        self._taken[stage.name] += 1
        if void is None:
            stage.take(runs)
            return
        stage.skip()
        self._drifts[stage.name] += void != INTERRUPTED
        if self._drifts[stage.name] == MOST_VOIDS:
            self.given_up = f"{stage.name} was given up: {void}"

    def replay(self, runs: Iterable[Run], blocks: Iterable[Block]) -> list[Run]:
        """Take all blocks that are at their end; return the runs of one that is not.

        A block is of the stage that its runs name, also where another rule would have made fewer.
        """
        made: defaultdict[tuple[str, int], list[Run]] = defaultdict(list)
        for run in runs:
            if not run.warm_up:
                made[run.comparison, run.block].append(run)
        for block in blocks:
            stage = self._named(block.comparison)
            mine = made.pop((block.comparison, block.number), [])
            if stage is not None:
                self.take(stage, mine, void=block.void)
        stage = self.stage
        return [] if stage is None else made.get((stage.name, self.number(stage)), [])

    def experiment(self, about: About, runs: Sequence[Run], blocks: Sequence[Block]) -> Experiment:
        """Return what is to be said now.

        Args:
            about: What is known of it.
            runs: All that were made.
            blocks: All that are at their end.
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
                decision(name, verdicts, self._spec, about.published.get(name, ""))
                for name in names
            ),
            self_load=self_load(runs),
            voids=tuple(each for each in blocks if each.void is not None),
            runs=tuple(runs),
        )

    @property
    def least_blocks(self) -> int:
        """In how many blocks each verdict can be found at all."""
        return least_blocks(self._spec.alpha / self._metrics(len(self._names)))

    def _open(self, stage: Stage) -> bool:
        return bool(stage.waiting) and self._drifts[stage.name] < MOST_VOIDS

    def _named(self, name: str) -> Stage | None:
        """Return a stage that has come, by its name."""
        come = (self.stage, self._null, self._screening, *(self._comparisons or ()))
        return next((each for each in come if each is not None and each.name == name), None)

    def _usable(self) -> Sequence[Workload]:
        """Return the workloads of which no run failed where nothing was changed."""
        failed = {each.workload for each in self._null.verdicts() if each.outcome == "failed"}
        return [each for each in self._spec.workloads if each.name not in failed]

    def _all_comparisons(self) -> list[Comparison]:
        """Return one for each trial that is left; they share their flips, which are large."""
        names, workloads = list(self._chosen()), self._usable()
        looks = self._looks(self._spec.blocks, self._metrics(len(names)))
        return [Comparison(name, self._spec, workloads, looks) for name in names]

    def _chosen(self) -> Iterator[str]:
        """Yield the trials that are compared: those that a screening has left.

        All of them where it says nothing of some workload: a run of it failed, or it was given up.
        """
        left = set(self._names)
        found = list(self._screening.found()) if self._screening is not None else []
        if {each.workload for each in found} >= {each.name for each in self._usable()}:
            left = {each.trial for each in found if each.promising} if found else left
        yield from (name for name in self._names if name in left)

    def _metrics(self, comparisons: int) -> int:
        """Return how many verdicts share the level."""
        return max(1, comparisons * sum(len(each.metrics) for each in self._usable()))

    def _looks(self, blocks: int, metrics: int) -> Looks:
        return Looks(blocks, self._spec.alpha / metrics, self._spec.seed)
