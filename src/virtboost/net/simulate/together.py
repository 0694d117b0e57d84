"""What processes do at once, on CPUs that a kernel gives to all of them alike, or on one each."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from itertools import count
from typing import NamedTuple

Work = Mapping[str, float]
"""How often each cost is in a piece of work, by field of ``Costs``."""

Then = Callable[[], None]


class Piece(NamedTuple):
    """A piece of work that is being done."""

    until: float
    """Seconds that each process will have had by then."""
    turn: int
    """Of those that end together, the first that began is the first."""
    then: Then


class Together:
    """Work in progress; as many CPU seconds go to each piece of it in every moment.

    A kernel that shares CPUs fairly does so but for its slices, of some ms (CFS, EEVDF).
    """

    def __init__(self, costs: Mapping[str, float], cores: int) -> None:
        """Have nothing to do at second 0.

        Args:
            costs: CPU seconds by name.
            cores: That all share; 0: each piece has its own.
        """
        self.now = 0.0
        self.done: defaultdict[int, Counter[str]] = defaultdict(Counter)
        """How often each process did what a cost is of."""
        self._costs, self._cores = costs, cores
        self._pieces: list[Piece] = []
        self._had = 0.0
        self._turns = count()

    def cpu_s(self, who: int) -> float:
        """Return the CPU seconds of a process."""
        return self._took(self.done[who])

    def begin(self, who: int, work: Work, then: Then) -> None:
        """Let a process begin with something, and go on once it is done."""
        self.done[who].update(work)
        until = self._had + self._took(work)
        heapq.heappush(self._pieces, Piece(until, next(self._turns), then))

    def run(self) -> None:
        """Go on until nothing is left to do."""
        while self._pieces:
            share = min(1.0, self._cores / len(self._pieces)) if self._cores else 1.0
            first = heapq.heappop(self._pieces)
            self.now += (first.until - self._had) / share
            self._had = first.until
            first.then()

    def _took(self, work: Work) -> float:
        return sum(often * self._costs[cost] for cost, often in work.items())
