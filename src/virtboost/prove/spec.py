"""What is to be proved: factors, the workloads that are run, and how sure the answer is to be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from virtboost.model.change import Change

MOST_BLOCKS = 200
"""Four runs each: more is a slip."""

LEAST_BLOCKS = 6
"""Of five blocks the most extreme order of signs has a chance of 1 in 16: too often for 5 %."""

REBOOT = ("reboot",)
"""What ``activate`` says where only a reboot puts a setting in force."""

NO_CHANGE = "A/A"
"""The comparison of the host with itself."""

_PLACE = re.compile(r"(container|guest):[^\s:/]\S*|ssh://\S+")


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def _require_different(names: Iterable[str], what: str) -> None:
    found = list(names)
    _require(len(set(found)) == len(found), f"{what}: two of one name")


class _Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that are not known are mistakes."""


class Metric(_Form, frozen=True, kw_only=True):
    """A figure of a run, and what it is good for."""

    name: str
    pattern: str = ""
    """Regular expression whose only group is a number; the last match of the output counts."""
    json: str = ""
    """JMESPath of a number, where the output is JSON."""
    probe: Literal["", "host cpu", "power"] = ""
    """What the host says of the time of the run: busy CPUs, or watts."""
    better: Literal["higher", "lower"]
    unit: str = ""
    """Of the figure, to be printed."""
    guard: bool = False
    """Whether it only has a veto: a factor that makes it worse is not kept."""
    meaning: str = ""
    """What the figure tells, in a line."""

    def __post_init__(self) -> None:
        given = [each for each in (self.pattern, self.json, self.probe) if each]
        _require(len(given) == 1, f"{self.name}: one of pattern, json and probe")
        if self.pattern:
            self._require_pattern()
        if self.json:
            self._require_path()

    def _require_pattern(self) -> None:
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"pattern: not a regular expression: {error}") from None
        _require(groups == 1, f"pattern: one group, and not {groups}")

    def _require_path(self) -> None:
        import jmespath  # noqa: PLC0415 (most specs have none)
        from jmespath.exceptions import JMESPathError  # noqa: PLC0415

        try:
            jmespath.compile(self.json)
        except JMESPathError as error:
            first = str(error).partition("\n")[0]
            raise ValueError(f"json: not a JMESPath: {first}") from None


class Workload(_Form, frozen=True, kw_only=True):
    """A program that prints figures: one's own, or one that virtboost knows."""

    name: str
    command: tuple[str, ...] = ()
    """Program and arguments, run without a shell."""
    use: str = ""
    """A workload that virtboost knows: ``virtboost prove workloads`` lists them."""
    options: dict[str, str | int | float] = {}
    """Of the workload that virtboost knows."""
    at: str = ""
    """Where it runs: ``container:NAME`` or ``guest:NAME`` (by its agent) of the host,
    ``ssh://[user@]HOST`` of a guest or a client; the host itself without."""
    metrics: tuple[Metric, ...] = ()
    """Of a workload that virtboost knows its own, unless others are wanted."""
    limit_s: float = 600
    """A run that takes longer has failed."""

    def __post_init__(self) -> None:
        _require(bool(self.command) != bool(self.use), f"{self.name}: one of command and use")
        _require(self.use or not self.options, f"{self.name}: options are for use")
        _require(self.use or self.metrics, f"{self.name}: metrics: one at least")
        _require(
            not self.at or _PLACE.fullmatch(self.at),
            f"{self.name}: at: container:NAME, guest:NAME or ssh://[user@]HOST",
        )
        _require(0 < self.limit_s <= 86400, "limit_s: from 0 to a day")
        _require_different((each.name for each in self.metrics), f"{self.name}: metrics")


class Factor(_Form, frozen=True, kw_only=True):
    """What is tried: one thing, at one level or several, each against the host as it is."""

    name: str
    """Without ``=``."""
    plan: str = ""
    """File of the changes, as ``plan -o`` and ``check --fix-plan`` write it, beside this one."""
    item: str = ""
    """Item of the catalogue: what makes it ok here."""
    changes: tuple[Change, ...] = ()
    """As a plan has them."""
    levels: dict[str, tuple[Change, ...]] = {}
    """Changes of each level, by its name."""
    probes: Literal["", "off"] = ""
    """``off``: not to look at the host around each run. It shows what looking costs."""
    activate: tuple[str, ...] = ()
    """Command of the host that puts its settings in force, after each change; or ``reboot``."""

    def __post_init__(self) -> None:
        given = (self.plan, self.item, self.changes, self.levels, self.probes)
        _require(
            sum(map(bool, given)) == 1,
            f"{self.name}: one of plan, item, changes, levels and probes",
        )
        _require(self.name != NO_CHANGE, f"{NO_CHANGE} is the host against itself")
        _require(self.name and "=" not in self.name, f"{self.name!r}: a name without '='")
        for level, changes in self.levels.items():
            _require(level and changes, f"{self.name}: levels: a name and changes for each")


class Spec(_Form, frozen=True, kw_only=True):
    """One experiment: which of these factors make which of these figures better?"""

    factors: tuple[Factor, ...]
    workloads: tuple[Workload, ...]
    watch: tuple[str, ...] = ()
    """Files of the kernel that must say the same all the time, beside what the factors set."""
    margin_percent: float = 2
    """A difference that is smaller does not matter."""
    alpha: float = 0.05
    """Chance of a difference that is none, over all factors, metrics and looks."""
    blocks: int = 30
    """Most blocks of four runs for each factor: off, on, on, off, or the other way round."""
    null_blocks: int = 8
    """Blocks in which nothing is changed, before the others: how large the noise is."""
    warmups: int = 1
    """Runs of each workload before the first block of a factor, of which nothing is counted."""
    settle_s: float = 1
    """Wait after each change."""
    limit_s: float = 86400
    """No block is begun after this time."""
    design: Literal["ofat", "screen"] = "ofat"
    """``screen``: all factors at once, two levels, a fraction of the combinations; then those
    that look better, one at a time."""
    seed: int = 0
    """Of the order of runs; 0: drawn by lot when it begins, and recorded."""

    def __post_init__(self) -> None:
        _require(self.factors, "factors: one at least")
        _require(self.workloads, "workloads: one at least")
        _require_different((each.name for each in self.factors), "factors")
        _require_different((each.name for each in self.workloads), "workloads")
        _require(0 < self.margin_percent <= 100, "margin_percent: above 0, to 100")
        _require(0 < self.alpha <= 0.5, "alpha: above 0, to 0.5")
        span = f"{LEAST_BLOCKS} to {MOST_BLOCKS}"
        _require(LEAST_BLOCKS <= self.blocks <= MOST_BLOCKS, f"blocks: {span}")
        _require(
            self.null_blocks == 0 or LEAST_BLOCKS <= self.null_blocks <= MOST_BLOCKS,
            f"null_blocks: 0, or {span}",
        )
        _require(0 <= self.warmups <= 100, "warmups: 0 to 100")
        _require(0 <= self.settle_s <= 3600, "settle_s: from 0 to an hour")
        _require(0 < self.limit_s <= 30 * 86400, "limit_s: from 0 to 30 days")
        quiet = any(each.probes for each in self.factors)
        probed = any(metric.probe for each in self.workloads for metric in each.metrics)
        _require(not (quiet and probed), "probes: off leaves metrics with probe without a figure")
        for path in self.watch:
            _require(path.startswith(("/proc/", "/sys/")), f"watch: {path}: below /proc or /sys")


class Trial(Struct, frozen=True, kw_only=True):
    """A factor at a level: what one comparison is of."""

    factor: Factor
    level: str = ""
    """Empty where the factor has one level only."""

    @property
    def name(self) -> str:
        """``factor`` or ``factor=level``."""
        return f"{self.factor.name}={self.level}" if self.level else self.factor.name

    @property
    def changes(self) -> tuple[Change, ...]:
        """What it changes; of a plan or an item nothing, before these are read."""
        return self.factor.levels[self.level] if self.level else self.factor.changes


def trials(factors: Iterable[Factor]) -> Iterator[Trial]:
    """Yield what is compared with the host as it is."""
    for factor in factors:
        for level in factor.levels or ("",):
            yield Trial(factor=factor, level=level)
