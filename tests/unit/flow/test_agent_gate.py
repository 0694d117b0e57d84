"""The gate: what closes it wins over a check that began before."""

from __future__ import annotations

import pytest

from virtboost.flow.agent.gate import Gate
from virtboost.flow.agent.table import CLOSED, OPEN


class Word:
    def __init__(self) -> None:
        self.now = (0, 0)

    def control(self, *, epoch: int, lease_ns: int) -> None:
        self.now = (epoch, lease_ns)


def test_a_change_during_a_check_keeps_it_closed() -> None:
    word = Word()
    gate = Gate(word)
    ticket = gate.ticket
    gate.close("rules")
    assert not gate.renew(ticket, 500)
    assert (word.now, gate.open) == ((CLOSED, 0), False)
    assert gate.renew(gate.ticket, 500)
    assert (word.now, gate.open) == ((OPEN, 500), True)
    gate.close("rules")
    assert word.now == (CLOSED, 0)
    assert gate.reasons["rules"] == 2


def test_five_closings_in_200_ms_are_churn(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0, 50, 100, 150, 199, 350, 351])
    monkeypatch.setattr("time.monotonic_ns", lambda: next(times) * 1_000_000)
    gate = Gate(Word())
    churn = []
    for _ in range(6):
        gate.close("rules")
        churn.append(gate.churn)
    assert churn == [False, False, False, True, False, False]


def test_what_is_locked_stays_closed() -> None:
    word = Word()
    gate = Gate(word)
    gate.lock("first")
    gate.lock("second")
    assert not gate.renew(gate.ticket, 500)
    assert (gate.locked, word.now) == ("first", (CLOSED, 0))
