"""Candidates that the data plane told of -> pairs that are installed, or a counted reason."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping

from virtboost.flow import abi
from virtboost.flow.agent.compose import Composer
from virtboost.flow.agent.dump import Known
from virtboost.flow.agent.table import Table
from virtboost.flow.protocol import UDP
from virtboost.flow.sample import packet_of

REPLIED_S = 45
"""Conntrack forgets UDP 60 s after a packet that no reply came to yet, and 30 s after others
(lib/ct-dpif, v3.1): less than this right after a packet means that a reply was seen."""

WAITING_MOST = 4096

PATIENCE_NS = 5_000_000_000
"""What a packet says of its connection is too old after this."""

_ENDS = re.compile(r"sport=\d+,dport=\d+")


class Learner:
    """What waits, and why others were refused."""

    def __init__(self, table: Table) -> None:
        """Begin without any."""
        self._table = table
        self._waiting: dict[bytes, tuple[int, abi.Candidate]] = {}
        self.refused: Counter[str] = Counter()

    @property
    def waiting(self) -> bool:
        """Whether there is something to learn."""
        return bool(self._waiting)

    def hear(self, candidates: Iterable[abi.Candidate], now_ns: int) -> None:
        """Have candidates wait, as many as there may be; who waits for too long is told again."""
        self._waiting = {
            key: (heard_ns, each)
            for key, (heard_ns, each) in self._waiting.items()
            if now_ns < heard_ns + PATIENCE_NS
        }
        for each in candidates:
            if len(self._waiting) < WAITING_MOST:
                self._waiting[bytes(each.key)] = now_ns, each

    def prove_replies(self, known: Known, lines: Mapping[str, int]) -> None:
        """Note the connections of UDP that wait and have seen a reply.

        Args:
            known: Gets them.
            lines: Connections and their timeouts, of a dump right after the packets.
        """
        waiting = (each for _, each in self._waiting.values())
        ends = {_ends(each.key) for each in waiting if each.key.protocol == UDP}
        for line, timeout_s in lines.items() if ends else ():
            if line.startswith("udp") and timeout_s < REPLIED_S and ends & set(_ENDS.findall(line)):
                known.replied(line)

    def install(self, composer: Composer, names: Mapping[int, str], end_ns: int) -> None:
        """Install what waits, as long as there is time; at least one.

        Args:
            composer: Of a dump that is later than the candidates.
            names: Ports by ifindex.
            end_ns: CLOCK_MONOTONIC when others are to have their turn.
        """
        while self._waiting:
            _, (_, each) = self._waiting.popitem()
            if each.key.port in names and each.key not in self._table:
                self._install(each, composer, names[each.key.port])
                if time.monotonic_ns() >= end_ns:
                    return

    def _install(self, candidate: abi.Candidate, composer: Composer, port: str) -> None:
        packet = packet_of(candidate.key, candidate.seen, port)
        found = composer.pair(packet, self._table.slots)
        why = found if isinstance(found, str) else self._table.add(found, time.monotonic_ns())
        if why:
            self.refused[why] += 1


def _ends(key: abi.Key) -> str:
    """Return how a line of conntrack spells the ports of a packet."""
    return f"sport={key.source_port},dport={key.destination_port}"
