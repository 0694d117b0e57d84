"""What is carried beside the dumps that it takes: figures by hand."""

from __future__ import annotations

from pathlib import Path

from virtboost.flow import abi
from virtboost.flow.agent.worth import CALM, LEAST, Worth

MS = 1_000_000

SECOND = 1000 * MS


def judged(worth: Worth, packets: int, dumps_ns: int, seconds: int) -> list[bool]:
    """Judge once a second, each with so many packets and dumps of so long."""
    before = worth._before
    return [
        worth.judge(before[0] + n * packets, before[1] + n * dumps_ns, before[2] + n * SECOND)
        for n in range(1, seconds + 1)
    ]


def test_cheap_dumps_are_never_too_dear() -> None:
    assert not any(judged(Worth(0), 0, 99 * MS, 50))


def test_dear_dumps_must_save_as_much() -> None:
    """10,000 packets of 27 microseconds are 270 ms."""
    assert not any(judged(Worth(0), 10_000, 260 * MS, 50))
    assert judged(Worth(0), 10_000, 280 * MS, CALM) == [False] * (CALM - 1) + [True]


def test_entries_have_time_to_come() -> None:
    worth = Worth(0)
    assert not any(judged(worth, 0, 280 * MS, CALM - 1))
    assert not any(judged(worth, 20_000, 280 * MS, 1))
    assert not any(judged(worth, 0, 280 * MS, CALM - 1))


def test_then_only_longer_connections_are_learned_for_a_while() -> None:
    worth = Worth(0)
    judged(worth, 0, 300 * MS, 2 * CALM)
    assert worth.least == 16 * LEAST
    judged(worth, 0, 0, CALM)
    assert worth.least == 8 * LEAST
    judged(worth, 0, 0, 10 * CALM)
    assert worth.least == LEAST


def test_the_least_is_the_data_planes() -> None:
    header = Path(abi.__file__).parent / "bpf/abi.h"
    assert f"FLOW_CANDIDATE_PACKETS {LEAST}\n" in header.read_text()
