"""What an experiment measured, and what it says."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.model.machine import MachineState
from virtboost.prove.spec import Spec

Outcome = Literal["better", "worse", "no difference", "inconclusive", "failed"]


class Cost(Struct, frozen=True, kw_only=True):
    """What virtboost itself took of the host during a run."""

    cpu_s: float
    context_switches: int | None
    """None: not told, of a host over SSH."""
    read_bytes: int
    """What looking at the host brought."""


class Run(Struct, frozen=True, kw_only=True):
    """One run of one workload."""

    comparison: str
    """``A/A``, ``screen``, or ``factor`` or ``factor=level``."""
    block: int
    """From 0; of a screening its row."""
    position: int
    """From 0, within the block."""
    applied: bool
    """Whether it counts as with the factor; of A/A by lot only."""
    in_force: tuple[str, ...]
    """Trials that were in force."""
    workload: str
    warm_up: bool = False
    """Whether its figures do not count."""
    began_at: str
    """ISO 8601, in UTC."""
    duration_s: float
    figures: dict[str, float] = {}
    """By metric; empty where it failed."""
    problem: str | None = None
    """Why it failed; None: it did not."""
    before: MachineState | None = None
    """None: the host was not looked at."""
    after: MachineState | None = None
    cost: Cost | None = None


class Block(Struct, frozen=True, kw_only=True):
    """That a block is at its end."""

    comparison: str
    number: int
    void: str | None = None
    """Why it does not count; None: it does."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What a comparison says of one metric."""

    comparison: str
    workload: str
    metric: str
    unit: str
    guard: bool
    outcome: Outcome
    blocks: int
    """After how many it was found."""
    before: float | None
    """Mean without the factor; None: no run."""
    after: float | None
    """Mean with it; None: no run."""
    effect: float | None
    """Mean difference of the blocks; None: no block was whole."""
    low: float | None
    high: float | None
    """Differences that are not ruled out; None: no end was found."""
    problem: str | None = None
    """Why a run failed; None: none did."""

    def percent(self, difference: float | None) -> float | None:
        """Return a difference as a share of the mean without the factor."""
        if difference is None or not self.before:
            return None
        return 100 * difference / abs(self.before)


class Noise(Struct, frozen=True, kw_only=True):
    """How much a metric varies where nothing is changed."""

    workload: str
    metric: str
    blocks: int
    run_percent: float
    """Standard deviation of runs, of their mean."""
    block_percent: float
    """Standard deviation of the differences of blocks, of the same mean."""
    detectable_percent: float
    """Effect that is found with a chance of 80 % in as many blocks as are allowed."""


class Screened(Struct, frozen=True, kw_only=True):
    """What a screening says of one factor and metric."""

    trial: str
    workload: str
    metric: str
    effect: float
    """Mean of the rows with it less that of the rows without."""
    percent: float | None
    """Of the mean of all rows."""
    needed: float
    """Effect from which on it is taken for one."""
    promising: bool
    """Whether it is beyond that, and to the good."""


class Decision(Struct, frozen=True, kw_only=True):
    """What becomes of one trial."""

    trial: str
    kept: bool
    """Whether some figure is better and none is worse."""
    why: str
    published: str = ""
    """What was published of its effect, by whom, for what; empty: nothing."""


class SelfLoad(Struct, frozen=True, kw_only=True):
    """What virtboost itself took, on average over all runs."""

    cpu_percent: float
    """Of one CPU."""
    context_switches_per_s: float | None
    read_bytes_per_s: float


class About(Struct, frozen=True, kw_only=True):
    """An experiment, its runs aside."""

    id: int
    host: str
    """What the user called the host."""
    hostname: str | None
    """Its own name; None: not told."""
    began_at: str
    """ISO 8601, in UTC."""
    spec: Spec
    """With everything in it: plans and items as changes, known workloads as commands."""
    published: dict[str, str]
    """What was published of a trial, by its name."""
    ended: str
    """``done``, or why it is not at its end."""
    boot: str | None
    """Which boot of the host has to end first; None: none."""
    due: tuple[str, ...] = ()
    """Trials whose ``activate`` is still to be run after a change or an undo."""


class Experiment(Struct, frozen=True, kw_only=True):
    """Everything that was asked and measured, and what it says."""

    schema: Literal["virtboost.experiment/1"] = "virtboost.experiment/1"
    about: About
    noise: tuple[Noise, ...]
    screened: tuple[Screened, ...]
    verdicts: tuple[Verdict, ...]
    decisions: tuple[Decision, ...]
    self_load: SelfLoad | None
    """None: no run was looked at."""
    voids: tuple[Block, ...]
    """Blocks that do not count."""
    runs: tuple[Run, ...]
    """In the order in which they were made."""
