"""Noise of known shape, run after run: normal, heavy-tailed, drifting, of two modes, going on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

Noise = Callable[[np.random.Generator, int], Values]
"""Gives so many runs."""


def normal(rng: np.random.Generator, count: int) -> Values:
    return rng.normal(size=count)


def heavy(rng: np.random.Generator, count: int) -> Values:
    return rng.standard_t(2, size=count)


def drifting(rng: np.random.Generator, count: int) -> Values:
    line, wave = np.linspace(0, 8, count), 3 * np.sin(np.linspace(0, 6, count))
    return np.asarray(rng.normal(size=count) + line + wave)


def bimodal(rng: np.random.Generator, count: int) -> Values:
    return np.asarray(0.2 * rng.normal(size=count) + rng.choice((0.0, 4.0), size=count))


def slow(rng: np.random.Generator, count: int) -> Values:
    """Return noise of which 0.9 goes on in the next run."""
    steps, found = rng.normal(size=count), np.zeros(count)
    for index in range(1, count):
        found[index] = 0.9 * found[index - 1] + steps[index]
    return found


NOISES: list[Noise] = [
    normal,
    heavy,
    drifting,
    bimodal,
    slow,
]
