"""Costs fitted to what was measured, by weighted least squares, none below zero.

What the measurements do not tell apart stays near what it was believed to be before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

TRUST = 20.0
"""How much more a measurement weighs than a belief: 5 % off counts as much as a belief that is
twice what it should be, or nothing."""

NO_BELIEF = 1e-6
"""Where a cost is believed to be nothing: what counts as twice as much."""

NOTHING_KNOWN: Mapping[str, float] = {}


class Row(NamedTuple):
    """A measurement."""

    work: Mapping[str, float]
    """How often each cost is in it, by name."""
    value: float


def fitted(
    rows: Sequence[Row], belief: Mapping[str, float], known: Mapping[str, float] = NOTHING_KNOWN
) -> dict[str, float]:
    """Return the costs that explain measurements, each as well as the others in proportion.

    Args:
        rows: What was measured; values above zero.
        belief: The costs by name, as they are believed to be without a measurement.
        known: Other costs, which stay as they are.
    """
    names = list(belief)
    before = np.array([belief[name] for name in names])
    unit = np.where(before > 0, before, NO_BELIEF)
    work = np.array([[row.work.get(name, 0.0) for name in names] for row in rows])
    values = np.array([row.value for row in rows])
    seen = work.reshape(-1, len(names)) * unit / values[:, None] * TRUST
    matrix = np.concatenate((seen, np.eye(len(names))))
    other = [sum(known.get(name, 0) * often for name, often in row.work.items()) for row in rows]
    wanted = np.concatenate((TRUST * (1 - np.array(other) / values), before / unit))
    found, _ = nnls(matrix, wanted)
    return {name: float(value) for name, value in zip(names, found * unit, strict=True)}


def explained(row: Row, costs: Mapping[str, float]) -> float:
    """Return what costs say of a measurement."""
    return sum(count * costs[name] for name, count in row.work.items())


def worst(rows: Sequence[Row], costs: Mapping[str, float]) -> float:
    """Return the most by which costs are off, as a part of what was measured; 0 of nothing."""
    return max((abs(explained(row, costs) / row.value - 1) for row in rows), default=0.0)
