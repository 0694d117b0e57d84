"""Whether entries are carried out: closed by whoever hears of a change, opened after a check.

Every entry has the epoch ``OPEN``; one word of the data plane, which holds for all, has it too or
has not.  So it is closed by one write, whatever the number of entries, from any thread.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import Protocol

from virtboost.flow.agent.table import CLOSED, OPEN

CHURN_COUNT, CHURN_NS = 5, 200_000_000
"""So many closings within this are churn."""


class Word(Protocol):
    """A data plane, as far as this goes."""

    def control(self, *, epoch: int, lease_ns: int) -> None:
        """Set epoch and lease."""


class Gate:
    """The word, and how often it was closed."""

    def __init__(self, plane: Word) -> None:
        """Begin closed."""
        self._plane = plane
        self._lock = threading.Lock()
        self._ticket = 0
        self._locked = ""
        self.open = False
        self.closed_ns = 0
        """CLOCK_MONOTONIC when it was closed last."""
        self._lately: deque[int] = deque(maxlen=CHURN_COUNT)
        self.reasons: Counter[str] = Counter()
        """Why it was closed, and how often."""
        self.close("start")

    @property
    def ticket(self) -> int:
        """How often it was closed; what is read afterwards is good as long as this stays."""
        return self._ticket

    @property
    def locked(self) -> str:
        """Why it stays closed for good; empty: it does not."""
        return self._locked

    @property
    def churn(self) -> bool:
        """Whether it was closed again and again lately."""
        full = len(self._lately) == CHURN_COUNT
        return full and self._lately[-1] - self._lately[0] < CHURN_NS

    def close(self, reason: str) -> None:
        """Let every packet pass from now on, until the next check."""
        with self._lock:
            self._plane.control(epoch=CLOSED, lease_ns=0)
            self._ticket += 1
            self.open = False
            self.closed_ns = time.monotonic_ns()
            self._lately.append(self.closed_ns)
            self.reasons[reason] += 1

    def lock(self, reason: str) -> None:
        """Close it for good."""
        self._locked = self._locked or reason
        self.close("quarantine")

    def renew(self, ticket: int, lease_ns: int) -> bool:
        """Open it until ``lease_ns``, unless it was closed since the ticket was read; tell it."""
        with self._lock:
            if ticket != self._ticket or self._locked:
                return False
            self._plane.control(epoch=OPEN, lease_ns=lease_ns)
            self.open = True
            return True
