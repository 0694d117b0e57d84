"""A test that may be looked at after every block, and the interval that goes with it.

Each block is four runs: A B B A or B A A B, drawn by lot.  Its difference is the mean of its B runs
less that of its A runs, so a drift in a straight line cancels.  If B is like A, the lot decides the
sign of every difference and nothing else does: signs are flipped at random, and how often these
sums are as large as the observed one is the chance of it.  That holds for noise of any shape, and
for noise that goes on from block to block.

A share of alpha is spent at each look, jointly: flips that crossed a boundary at an earlier look
are counted, so all looks together cost alpha.  Source: Fisher's randomization test; alpha spending
of Lan and DeMets, Biometrika 70 (1983); permutation with the observed order among the drawn ones,
Phipson and Smyth (2010), so that the level holds for any number of draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from virtboost.prove.spec import LEAST_BLOCKS

Values = NDArray[np.float64]

FLIPS = 4999
"""Random flips beside the observed signs."""

SPENDING = 1.5
"""Power of the share of blocks by which alpha is spent: little at first, the rest at the end."""


class Looks:
    """The looks of one experiment: what they cost, and the flips that they are judged by."""

    def __init__(self, most: int, alpha: float, seed: int) -> None:
        """Begin.

        Args:
            most: Most blocks.
            alpha: Level over all looks.
            seed: Of the flips.
        """
        self.most = most
        self.alpha = alpha
        flips = np.random.default_rng(seed).choice((-1.0, 1.0), (FLIPS, most))
        self._signs: Values = np.vstack([np.ones((1, most)), flips])

    def crossing(self, differences: Sequence[float] | Values, shift: float = 0.0) -> int | None:
        """Return after how many blocks an effect of ``shift`` is ruled out; None: it is not.

        Args:
            differences: Of the blocks so far, in their order.
            shift: The effect that is asked about.
        """
        values = np.asarray(differences, float) - shift
        sums = np.abs(np.cumsum(self._signs[:, : len(values)] * values, axis=1))
        crossed = np.zeros(len(self._signs), bool)
        for blocks in range(LEAST_BLOCKS, len(values) + 1):
            spent = self.alpha * (blocks / self.most) ** SPENDING
            room = int(spent * len(self._signs)) - int(crossed.sum())
            if room <= 0:
                continue
            waiting = np.where(crossed, -1.0, sums[:, blocks - 1])
            boundary = np.partition(waiting, -room - 1)[-room - 1]
            now = waiting > boundary + 1e-12 * abs(boundary)
            if now[0]:
                return blocks
            crossed |= now
        return None

    def interval(self, differences: Sequence[float]) -> tuple[float, float]:
        """Return the effects that are not ruled out, as an interval."""
        values = np.asarray(differences, float)
        middle = float(values.mean())
        reach = float(np.abs(values - middle).max()) * 2 + abs(middle) + 1e-9
        return (
            self._end(values, middle, middle - reach),
            self._end(values, middle, middle + reach),
        )

    def _end(self, values: Values, inside: float, outside: float) -> float:
        """Return where effects begin to be ruled out, on the way from one to another."""
        if self.crossing(values, outside) is None:
            return -np.inf if outside < inside else np.inf
        for _ in range(30):
            middle = (inside + outside) / 2
            if self.crossing(values, middle) is None:
                inside = middle
            else:
                outside = middle
        return (inside + outside) / 2
