"""What was predicted beside what was measured, and how near it has to be."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.net.emulate.outcome import Spread
from virtboost.net.quantity import Unit

Kind = Literal["exact", "memory", "beyond", "messages", "cpu", "middle", "late", "noticed"]


GOALS: dict[Kind, float] = {
    "exact": 0.0,
    "messages": 0.05,
    "memory": 0.10,
    "beyond": 0.20,
    "cpu": 0.30,
    "middle": 0.25,
    "late": 0.35,
    "noticed": 0.10,
}
"""By what part of what is measured a prediction may be off: what is counted; routes told, some of
them twice; memory, ten times beyond too; CPU seconds; half of the nodes, 95 % of them; deaths."""

WALL_NODES = 80
"""Beyond, seconds of a clock are the machine's; CPU seconds and messages are compared."""


class Comparison(Struct, frozen=True, kw_only=True):
    """One quantity."""

    what: str
    size: str
    """Of the run: nodes, or peers."""
    unit: Unit
    kind: Kind
    predicted: float
    measured: Spread
    """Over the runs that are valid; its median is what counts."""
    runs: int
    error: float | None
    """By what part of what was measured the prediction is off; above 0: it is more. None: nothing
    was measured, and something predicted."""
    goal: float
    """Most that it may be, either way."""
    met: bool
    """Whether the goal is reached."""


class Size(Struct, frozen=True, kw_only=True):
    """What some quantities were measured of."""

    name: str
    runs: int

    def compared(
        self, what: str, kind: Kind, predicted: float, measured: Spread, unit: Unit = ""
    ) -> Comparison:
        """Return a quantity beside its prediction."""
        error = _error(predicted, measured.median)
        goal = GOALS[kind]
        return Comparison(
            what=what,
            size=self.name,
            unit=unit,
            kind=kind,
            predicted=predicted,
            measured=measured,
            runs=self.runs,
            error=error,
            goal=goal,
            met=error is not None and abs(error) <= goal,
        )


def _error(predicted: float, measured: float) -> float | None:
    if measured:
        return predicted / measured - 1
    return None if predicted else 0.0
