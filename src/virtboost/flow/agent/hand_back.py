"""Connections of TCP given back: conntrack sees where they are before it checks them again.

It follows what it sees while its check is off (``tcp_conn_update`` of lib/conntrack-tcp.c, v3.1).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from virtboost.flow import abi
from virtboost.flow.agent.gate import Gate
from virtboost.flow.agent.table import Pair, Table
from virtboost.flow.protocol import TCP

WAIT_NS = 5_000_000_000

POLL_S = 0.02


def hand_back(table: Table, gate: Gate) -> int:
    """Let every packet pass, and count, until each connection had one in both directions.

    Returns:
        How many had none in ``WAIT_NS``.
    """
    table.only_observe()
    left = [pair for pair in table.pairs if _is_carried_tcp(pair)]
    before = table.count(time.monotonic_ns())
    end = time.monotonic_ns() + WAIT_NS
    gate.renew(gate.ticket, end + WAIT_NS)
    while left and time.monotonic_ns() < end:
        time.sleep(POLL_S)
        now = table.count(time.monotonic_ns())
        left = [pair for pair in left if not _was_seen(pair, before, now)]
    return len(left)


def _is_carried_tcp(pair: Pair) -> bool:
    tracked = pair.sides[0].entry.connections
    tcp = any(each.connection.original.protocol == TCP for each in tracked)
    return tcp and any(side.counted.packets for side in pair.sides)


def _was_seen(pair: Pair, before: Sequence[abi.State], now: Sequence[abi.State]) -> bool:
    """Tell whether a packet of each direction passed, or the connection is closing."""
    slots = [side.slot for side in pair.sides]
    return all(now[slot].packets > before[slot].packets or now[slot].closed for slot in slots)
