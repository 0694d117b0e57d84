"""What Open vSwitch would forget while entries carry its packets: it gets one now and then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtboost.flow import abi
from virtboost.flow.agent.dump import FlowLine
from virtboost.flow.agent.table import Pair, Side, Table
from virtboost.flow.protocol import UDP

IDLE_S = 2.5
"""A megaflow that entries carry gets a packet after this: a quarter of max-idle, 10 s."""

KEEP_UDP_NS, KEEP_TCP_NS = 10_000_000_000, 600_000_000_000
"""A connection that entries carry gets a packet after this: UDP's timeout is 30 s, TCP's a day."""

RECENT_NS = 5_000_000_000
"""An entry without a packet for this long is asked for none."""


class Keeper:
    """Asks for packets."""

    def __init__(self, table: Table) -> None:
        """Begin."""
        self._table = table

    def keep(
        self, flows: Mapping[str, FlowLine], now_ns: int, *, policies: bool
    ) -> Sequence[abi.State]:
        """Count, and have packets pass; return the states.

        Args:
            flows: The megaflows of the last dump.
            now_ns: CLOCK_MONOTONIC.
            policies: Whether connections may have timeouts of the zone's own.
        """
        states = self._table.count(now_ns)
        for need, users in self._table.users.items():
            line = flows.get(need)
            if line is not None and (line.used_s is None or line.used_s > IDLE_S):
                self._ask(need, users, states, now_ns)
        for pair in self._table.pairs:
            if now_ns >= pair.punted_ns + _keeping_ns(pair, policies=policies):
                pair.punted_ns = now_ns
                for side in pair.sides:
                    self._ask_side(side, states, now_ns)
        return states

    def _ask(self, flow: str, users: set[Pair], states: Sequence[abi.State], now_ns: int) -> None:
        """Ask the entry of a megaflow that had the last packet."""
        sides = [side for pair in users for side in pair.sides if flow in side.flows]
        self._ask_side(max(sides, key=lambda side: states[side.slot].used_ns), states, now_ns)

    def _ask_side(self, side: Side, states: Sequence[abi.State], now_ns: int) -> None:
        """Ask a side, if it has packets these days and is not asked already."""
        state = states[side.slot]
        if state.used_ns + RECENT_NS > now_ns and state.punted == side.encoded.entry.punt:
            self._table.ask_for_packet(side)


def _keeping_ns(pair: Pair, *, policies: bool) -> int:
    connections = pair.sides[0].entry.connections
    udp = any(each.connection.original.protocol == UDP for each in connections)
    return KEEP_UDP_NS if udp or policies else KEEP_TCP_NS
