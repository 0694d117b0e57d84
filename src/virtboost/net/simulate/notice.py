"""When a peer notices that a daemon is gone: hold time and BFD with their early timers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtboost.net.failure import Detection
from virtboost.net.simulate.cost import Costs

KEEPALIVES = 3
"""In a hold time (RFC 4271, section 4.4)."""


def silent(
    detection: Detection, costs: Costs, rng: np.random.Generator, count: int
) -> NDArray[np.float64]:
    """Return after how many seconds each of some peers notices a silent death.

    The last packet came a while ago: the age, at a random moment, of an interval whose timer was
    started early.  Such a moment falls into long intervals more often.
    """
    ratio = costs.early_ratio
    if detection.by == "hold":
        hold_s = detection.interval_ms / 1000
        timer = hold_s * (1 - ratio * rng.random(count))
        return timer - hold_s / KEEPALIVES * _age(ratio, rng, count)
    interval_s = detection.interval_ms / 1000
    late = costs.bfd_late_s * rng.random(count)
    return detection.multiplier * interval_s - interval_s * _age(ratio, rng, count) + late


def _age(ratio: float, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return how far into an interval of at most 1 a moment falls.

    Of an interval uniform in [1 - ratio, 1] the length at a random moment has a density in
    proportion to itself, and the moment is uniform in it.
    """
    least = (1 - ratio) ** 2
    length = np.sqrt(least + rng.random(count) * (1 - least))
    return length * rng.random(count)
