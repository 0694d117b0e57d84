"""What is carried beside the dumps that it takes: figures by hand."""

from __future__ import annotations

from pathlib import Path

from virtboost.flow import abi
from virtboost.flow.agent.worth import CALM, LEAST, Worth

MS = 1_000_000

SECOND = 1000 * MS


def test_cheap_dumps_are_never_too_dear() -> None:
    assert not Worth(0).judge(packets=0, dumps_ns=99 * MS, now_ns=SECOND)


def test_dear_dumps_must_save_as_much() -> None:
    """10,000 packets of 27 microseconds are 270 ms."""
    worth = Worth(0)
    assert not worth.judge(packets=10_000, dumps_ns=260 * MS, now_ns=SECOND)
    assert worth.judge(packets=20_000, dumps_ns=540 * MS, now_ns=2 * SECOND)


def test_then_only_longer_connections_are_learned_for_a_while() -> None:
    worth = Worth(0)
    for number in (1, 2):
        worth.judge(packets=0, dumps_ns=number * 300 * MS, now_ns=number * SECOND)
    assert worth.least == 16 * LEAST
    for number in range(3, 3 + CALM):
        assert not worth.judge(packets=0, dumps_ns=600 * MS, now_ns=number * SECOND)
    assert worth.least == 8 * LEAST
    for number in range(3 + CALM, 3 + 11 * CALM):
        worth.judge(packets=0, dumps_ns=600 * MS, now_ns=number * SECOND)
    assert worth.least == LEAST


def test_the_least_is_the_data_planes() -> None:
    header = Path(abi.__file__).parent / "bpf/abi.h"
    assert f"FLOW_CANDIDATE_PACKETS {LEAST}\n" in header.read_text()
