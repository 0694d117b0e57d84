"""Experiments on workloads of known truth, and what is left of the host."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from virtboost.errors import ParseError
from virtboost.model.userfile import from_yaml
from virtboost.prove.experiment import Bench, Experiment, WorkloadFailed, experiment, orders
from virtboost.prove.spec import Spec, Workload

SPEC = """
plan: fix.json
workloads:
- {name: rate, command: [run], figure: '(.*)', better: higher, unit: MB/s}
"""


def spec(text: str = SPEC, **more: object) -> Spec:
    lines = "".join(f"{key}: {value}\n" for key, value in more.items())
    return from_yaml(text + lines, Spec, "spec.yaml")


class Host:
    """A host whose figure depends on whether the changes are made."""

    def __init__(self, figure: Callable[[bool], float]) -> None:
        self.applied = False
        self.changes = 0
        self._figure = figure

    def change(self, applied: bool) -> None:  # noqa: FBT001
        self.changes += applied != self.applied
        self.applied = applied

    def measure(self, workload: Workload) -> float:
        return self._figure(self.applied)


def carried_out(host: Host, asked: Spec) -> Experiment:
    return experiment(asked, Bench(host.change, host.measure, lambda text: None))


def noisy(before: float, after: float, noise: float) -> Callable[[bool], float]:
    chance = random.Random(1)
    return lambda applied: (after if applied else before) + chance.gauss(0, noise)


@pytest.mark.parametrize(
    ("before", "after", "noise", "outcome"),
    [
        (100, 110, 3, "better"),
        (100, 90, 3, "worse"),
        (100, 100, 0.5, "no difference"),
        (100, 101, 30, "inconclusive"),
    ],
)
def test_verdicts(before: float, after: float, noise: float, outcome: str) -> None:
    host = Host(noisy(before, after, noise))
    (verdict,) = carried_out(host, spec()).verdicts
    assert verdict.outcome == outcome
    assert not host.applied
    if outcome in ("better", "worse"):
        assert verdict.low is not None
        assert verdict.high is not None
        assert verdict.low <= after - before <= verdict.high
        assert verdict.blocks < 30


def test_lower_is_better_where_that_is_said() -> None:
    asked = spec(SPEC.replace("higher", "lower"))
    (verdict,) = carried_out(Host(noisy(100, 90, 1)), asked).verdicts
    assert verdict.outcome == "better"


def test_runs_are_in_blocks_in_an_order_drawn_by_lot() -> None:
    found = list(orders(40, seed=1))
    assert set(found) == {(True, False, False, True), (False, True, True, False)}
    assert 10 < sum(order[0] for order in found) < 30
    assert found == list(orders(40, seed=1))
    host = Host(noisy(100, 100, 30))
    told = carried_out(host, spec())
    assert len(told.runs) == 120
    assert [run.applied for run in told.runs[:4]] == list(found[0])


def test_a_run_that_fails_is_a_result() -> None:
    def figure(applied: bool) -> float:  # noqa: FBT001
        if applied:
            raise WorkloadFailed("exit status 7: out of luck")
        return 1.0

    host = Host(figure)
    told = carried_out(host, spec())
    (verdict,) = told.verdicts
    assert (verdict.outcome, verdict.problem) == ("failed", "exit status 7: out of luck")
    assert [run.figure for run in told.runs][-1] is None
    assert not host.applied


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_the_host_is_as_it_was_whatever_happens(error: type[BaseException]) -> None:
    def figure(applied: bool) -> float:  # noqa: FBT001
        if applied:
            raise error
        return 1.0

    host = Host(figure)
    with pytest.raises(error):
        carried_out(host, spec())
    assert not host.applied
    assert host.changes == 2


def test_workloads_share_the_level() -> None:
    """Two are each held to half of it; one that is decided is run no more."""
    two = SPEC + "- {name: other, command: [run], figure: '(.*)', better: lower}\n"
    told = carried_out(Host(noisy(100, 130, 3)), spec(two))
    assert {each.workload: each.outcome for each in told.verdicts} == {
        "rate": "better",
        "other": "worse",
    }
    blocks = {each.blocks for each in told.verdicts}
    assert len(told.runs) == 4 * sum(each.blocks for each in told.verdicts)
    assert max(blocks) < 30


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("better: higher", "better: faster"), "better"),
        (("figure: '(.*)'", "figure: '(.*'"), "not a regular expression"),
        (("figure: '(.*)'", "figure: '.*'"), "one group, and not 0"),
        (("command: [run]", "command: []"), "a program at least"),
        (("plan: fix.json", "plan: fix.json\nblocks: 3"), "blocks: 6 to 200"),
        (("plan: fix.json", "plan: fix.json\nalpha: 2"), "alpha: above 0"),
        (("plan: fix.json", "plan: fix.json\nmargins: 2"), "margins"),
    ],
)
def test_specs_that_mean_nothing(change: tuple[str, str], problem: str) -> None:
    with pytest.raises(ParseError, match=problem):
        spec(SPEC.replace(*change))
