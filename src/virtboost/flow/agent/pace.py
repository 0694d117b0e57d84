"""When the datapath is read: often enough for the lease, seldom enough for Open vSwitch.

A dump is made in its main thread, which forwards too where ports are those of the kernel.
"""

from __future__ import annotations

SETTLE_NS = 5_000_000
"""After a change, until the datapath is read again: Open vSwitch follows a changed rule in about
1 ms where there are few megaflows."""

FOLLOW_NS = 20_000_000
"""After that, until it is read once more: it may have been slower."""

CALM_NS = 100_000_000
"""Instead of the first, where changes come one after the other: what is carried every other moment
arrives out of order."""

REST = 4
"""Between dumps that no lease waits for passes this many times their length."""


class Pace:
    """Of one agent; all times are CLOCK_MONOTONIC."""

    def __init__(self, lease_ns: int) -> None:
        """Begin with everything due."""
        self._lease_ns = lease_ns
        self._rested_ns = 0
        self._check_ns = self._tried_ns = 0
        self.dumps_ns = 0
        """How long dumps took, in all."""

    def dumped(self, begun_ns: int, ended_ns: int) -> None:
        """Note a dump."""
        self.dumps_ns += ended_ns - begun_ns
        self._rested_ns = ended_ns + REST * (ended_ns - begun_ns)

    def checked(self, begun_ns: int, ended_ns: int, *, after_change: bool) -> None:
        """Note a check, which a dump may have been a part of."""
        self._tried_ns = ended_ns
        took_ns = ended_ns - begun_ns
        pause_ns = FOLLOW_NS if after_change else self._lease_ns // 3
        latest_ns = begun_ns + self._lease_ns * 9 // 10 - took_ns
        self._check_ns = max(min(max(begun_ns + pause_ns, self._rested_ns), latest_ns), ended_ns)

    def check_due(self, closed_ns: int | None, *, churn: bool = False) -> int:
        """Return when a check is due.

        Args:
            closed_ns: When the gate was closed; None: it is open.
            churn: Whether it was closed again and again lately.
        """
        if closed_ns is None:
            return self._check_ns
        settled_ns = closed_ns + (CALM_NS if churn else SETTLE_NS)
        return max(settled_ns, self._tried_ns + SETTLE_NS, self._rested_ns)

    @property
    def learn_due(self) -> int:
        """When candidates may be learned."""
        return self._rested_ns
