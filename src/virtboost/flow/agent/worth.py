"""Whether what entries carry is worth the dumps that they take of Open vSwitch's own thread.

It is not where connections are many and short: each is over when it is known, and the dumps of all
are dear.  Then entries are let go, and only connections with more packets are learned, for a while.
"""

from __future__ import annotations

LEAST = 8
"""Packets that make a candidate: FLOW_CANDIDATE_PACKETS of ``bpf/abi.h``."""

MOST = 1 << 16

SAVED_NS = 27_000
"""What a packet takes of ovs-vswitchd where ports are the kernel's: 37,000 a second were measured
(version 3.1, VXLAN and conntrack)."""

DEAR = 10
"""Dumps that take less than this part of the time are never too dear."""

CALM = 10
"""Judgements in a row after which it is acted: entries take a while until they are there.  After as
many good ones connections with half the packets will do."""


class Worth:
    """Judges now and then."""

    def __init__(self, now_ns: int) -> None:
        """Begin with every candidate, now."""
        self._before = 0, 0, now_ns
        self.least = LEAST
        """Packets that a candidate must have."""
        self._calm = self._dear = 0

    def judge(self, packets: int, dumps_ns: int, now_ns: int) -> bool:
        """Tell whether all entries are to be let go.

        Args:
            packets: That entries took, in all.
            dumps_ns: How long dumps took, in all.
            now_ns: When.
        """
        now = packets, dumps_ns, now_ns
        packets, dumps_ns, duration_ns = (a - b for a, b in zip(now, self._before, strict=True))
        self._before = now
        if dumps_ns * DEAR > duration_ns and packets * SAVED_NS < dumps_ns:
            self._dear, self._calm = self._dear + 1, 0
            if self._dear < CALM:
                return False
            self.least, self._dear = min(4 * self.least, MOST), 0
            return True
        self._dear, self._calm = 0, self._calm + 1
        if self._calm >= CALM:
            self.least = max(self.least // 2, LEAST)
            self._calm = 0
        return False
