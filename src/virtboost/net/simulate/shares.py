"""When so many of the nodes have something: half, 99 %, all."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from virtboost.net.simulate.outcome import Distribution, distribution
from virtboost.net.simulate.ticks import SECOND, Nanoseconds

PARTS = {"half": 50, "most": 99, "all": 100}
"""Percent, by key of ``outcome.TIMES``."""


def shares(waves: Iterable[Nanoseconds]) -> dict[str, Distribution]:
    """Return when so many nodes had each of some things, distributed over the things.

    Args:
        waves: Of each when the nodes had it.
    """
    rows = [np.sort(wave) for wave in waves]
    return {
        key: distribution(np.array([_at(row, part) for row in rows]) / SECOND)
        for key, part in PARTS.items()
    }


def _at(row: Nanoseconds, percent: int) -> int:
    return int(row[-(-len(row) * percent // 100) - 1])
