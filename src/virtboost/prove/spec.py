"""What is to be proved: changes, workloads and how sure the answer is to be."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

MOST_BLOCKS = 200
"""Four runs each: more is a slip."""

LEAST_BLOCKS = 6
"""Of five blocks the most extreme order of signs has a chance of 1 in 16: too often for 5 %."""


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


class _Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that are not known are mistakes."""


class Workload(_Form, frozen=True, kw_only=True):
    """A program that prints a figure."""

    name: str
    command: tuple[str, ...]
    """Program and arguments, run without a shell."""
    figure: str
    """Regular expression whose only group is a number; the last match counts."""
    better: Literal["higher", "lower"]
    unit: str = ""
    """Of the figure, to be printed."""
    limit_s: float = 600
    """A run that takes longer has failed."""

    def __post_init__(self) -> None:
        _require(self.command, "command: a program at least")
        _require(0 < self.limit_s <= 86400, "limit_s: from 0 to a day")
        try:
            groups = re.compile(self.figure).groups
        except re.error as error:
            raise ValueError(f"figure: not a regular expression: {error}") from None
        _require(groups == 1, f"figure: one group, and not {groups}")


class Spec(_Form, frozen=True, kw_only=True):
    """One experiment: are these changes better?"""

    plan: str
    """File of the changes, as ``plan -o`` and ``check --fix-plan`` write it, beside this one."""
    workloads: tuple[Workload, ...]
    margin_percent: float = 2
    """A difference that is smaller does not matter."""
    alpha: float = 0.05
    """Chance of a difference that is none, over all workloads and looks."""
    blocks: int = 30
    """Most blocks of four runs: before, after, after, before, or the other way round."""
    settle_s: float = 1
    """Wait after each change."""
    seed: int = 1
    """Of the order of blocks."""

    def __post_init__(self) -> None:
        _require(self.workloads, "workloads: one at least")
        names = [each.name for each in self.workloads]
        _require(len(set(names)) == len(names), "workloads: two of one name")
        _require(0 < self.margin_percent <= 100, "margin_percent: above 0, to 100")
        _require(0 < self.alpha <= 0.5, "alpha: above 0, to 0.5")
        _require(
            LEAST_BLOCKS <= self.blocks <= MOST_BLOCKS, f"blocks: {LEAST_BLOCKS} to {MOST_BLOCKS}"
        )
        _require(0 <= self.settle_s <= 3600, "settle_s: from 0 to an hour")
