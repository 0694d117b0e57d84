"""What is carried beside the dumps that it takes: figures by hand."""

from __future__ import annotations

from pathlib import Path

from virtboost.flow import abi
from virtboost.flow.agent.worth import CALM, LEAST, Worth

MS = 1_000_000

SECOND = 1000 * MS


def test_cheap_dumps_are_never_too_dear() -> None:
    assert not Worth().judge(packets=0, dumps_ns=99 * MS, duration_ns=SECOND)


def test_dear_dumps_must_save_as_much() -> None:
    """10,000 packets of 27 microseconds are 270 ms."""
    assert not Worth().judge(packets=10_000, dumps_ns=260 * MS, duration_ns=SECOND)
    assert Worth().judge(packets=10_000, dumps_ns=280 * MS, duration_ns=SECOND)


def test_then_only_longer_connections_are_learned_for_a_while() -> None:
    worth = Worth()
    for _ in range(2):
        worth.judge(packets=0, dumps_ns=300 * MS, duration_ns=SECOND)
    assert worth.least == 16 * LEAST
    for _ in range(CALM):
        assert not worth.judge(packets=0, dumps_ns=0, duration_ns=SECOND)
    assert worth.least == 8 * LEAST
    for _ in range(10 * CALM):
        worth.judge(packets=0, dumps_ns=0, duration_ns=SECOND)
    assert worth.least == LEAST
    assert (
        f"FLOW_CANDIDATE_PACKETS {LEAST}" in (Path(abi.__file__).parent / "bpf/abi.h").read_text()
    )
