"""Experiments on workloads of known truth, and what is left of the host."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

import pytest

from support.experiment import SPEC, Figure, Host, Log, carried_out, spec
from virtboost.errors import ParseError
from virtboost.prove import sequential
from virtboost.prove.comparison import orders
from virtboost.prove.conclude import winning
from virtboost.prove.course import INTERRUPTED, MOST_VOIDS, Course
from virtboost.prove.result import Experiment, Verdict
from virtboost.prove.runner import Measured, RebootNeeded
from virtboost.prove.spec import Workload


def noisy(before: float, after: float, noise: float) -> Figure:
    chance = random.Random(1)
    return lambda in_force: (after if in_force else before) + chance.gauss(0, noise)


def verdicts(found: Experiment) -> dict[tuple[str, str], Verdict]:
    return {(each.comparison, each.metric): each for each in found.verdicts}


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
    verdict = verdicts(carried_out(host, spec()))["fast", "rate"]
    assert verdict.outcome == outcome
    assert host.in_force == ()
    if outcome in ("better", "worse"):
        assert verdict.low is not None
        assert verdict.high is not None
        assert verdict.low <= after - before <= verdict.high
        assert verdict.blocks < 30


def test_lower_is_better_where_that_is_said() -> None:
    asked = spec(SPEC.replace("higher", "lower"))
    found = carried_out(Host(noisy(100, 90, 1)), asked)
    assert verdicts(found)["fast", "rate"].outcome == "better"
    assert [each.kept for each in found.decisions] == [True]


def test_runs_are_in_blocks_in_an_order_drawn_by_lot() -> None:
    lots = orders(0, "fast")
    found = [next(lots) for _ in range(40)]
    assert set(found) == {(True, False, False, True), (False, True, True, False)}
    assert 10 < sum(order[0] for order in found) < 30
    told = carried_out(Host(noisy(100, 100, 30)), spec())
    assert len(told.runs) == 120
    assert [run.applied for run in told.runs] == [each for order in found[:30] for each in order]


def test_the_host_against_itself_tells_the_noise_and_changes_nothing() -> None:
    """Differences of blocks of independent runs have the deviation of one run; here 3 of 100."""
    host = Host(noisy(100, 100, 3))
    text = SPEC.replace("null_blocks: 0", "null_blocks: 100\nmargin_percent: 0.001")
    found = carried_out(host, spec(text))
    null = [run for run in found.runs if run.comparison == "A/A"]
    assert len(null) == 400
    assert {run.in_force for run in null} == {()}
    assert sum(run.applied for run in null) == 200
    (noise,) = found.noise
    assert noise.run_percent == pytest.approx(3, rel=0.15)
    assert noise.block_percent == pytest.approx(3, rel=0.15)
    assert noise.detectable_percent == pytest.approx(
        (2.045 + 0.854) * (1.35 / 30) ** 0.5 * 3, rel=0.15
    )


def test_warm_ups_are_kept_and_do_not_count() -> None:
    host = Host(noisy(100, 110, 1))
    found = carried_out(host, spec(SPEC.replace("warmups: 0", "warmups: 2")))
    assert [run.warm_up for run in found.runs[:4]] == [True, True, False, False]
    assert sum(run.warm_up for run in found.runs) == 2
    blocks = verdicts(found)["fast", "rate"].blocks
    assert len(found.runs) == 2 + 4 * blocks


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ((), "without it only: exit status 7"),
        (("fast",), "with it, not without: exit status 7"),
        (((), ("fast",)), "with it and without: exit status 7"),
    ],
)
def test_a_run_that_fails_is_a_result(bad: tuple[object, ...], problem: str) -> None:
    def figure(in_force: Sequence[str]) -> float | str:
        fails = in_force == bad or in_force in (bad if problem.startswith("with it and") else ())
        return "exit status 7" if fails else 1.0

    found = carried_out(Host(figure), spec())
    verdict = verdicts(found)["fast", "rate"]
    assert (verdict.outcome, verdict.problem) == ("failed", problem)
    assert len(found.runs) == 4
    assert not found.decisions[0].kept


def test_a_workload_that_fails_by_itself_is_left_out() -> None:
    text = SPEC.replace("null_blocks: 0", "null_blocks: 6")
    found = carried_out(Host(lambda in_force: "exit status 7"), spec(text))
    assert [(each.comparison, each.outcome) for each in found.verdicts] == [("A/A", "failed")]
    assert found.about.ended == "done"
    assert winning(found).changes == ()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_the_host_is_as_it_was_whatever_happens(error: type[BaseException]) -> None:
    def figure(in_force: Sequence[str]) -> float:
        if in_force:
            raise error
        return 1.0

    host = Host(figure)
    with pytest.raises(error):
        carried_out(host, spec())
    assert host.in_force == ()
    assert host.put_calls == 2


def test_two_factors_and_two_metrics_share_the_level() -> None:
    """An effect that one alone would have found after fewer blocks."""
    two = SPEC.replace(
        "workloads:",
        "- {name: slow, changes: [{kind: sysctl, name: vm.stat_interval, value: '9'}]}\nworkloads:",
    )
    truth = {(): 100.0, ("fast",): 106.0, ("slow",): 94.0}
    chance = random.Random(3)
    found = carried_out(Host(lambda on: truth[tuple(on)] + chance.gauss(0, 3)), spec(two))
    told = verdicts(found)
    assert told["fast", "rate"].outcome == "better"
    assert told["slow", "rate"].outcome == "worse"
    assert [(each.trial, each.kept) for each in found.decisions] == [
        ("fast", True),
        ("slow", False),
    ]
    assert [change.reason for change in winning(found).changes] == [
        "experiment 1: copy rate: better"
    ]
    chance = random.Random(3)
    alone = verdicts(carried_out(Host(lambda on: truth[tuple(on)] + chance.gauss(0, 3)), spec()))
    assert alone["fast", "rate"].blocks <= told["fast", "rate"].blocks


def test_a_guard_that_is_worse_has_a_veto() -> None:
    text = SPEC.replace(
        "unit: MB/s}]", "unit: MB/s}, {name: tail, pattern: '(x)', better: lower, guard: true}]"
    )
    found = carried_out(Host(noisy(100, 120, 1)), spec(text))
    told = verdicts(found)
    assert told["fast", "rate"].outcome == "better"
    assert (told["fast", "tail"].outcome, told["fast", "tail"].guard) == ("worse", True)
    assert found.decisions[0].kept is False
    assert found.decisions[0].why == "copy tail (guard): worse"


def test_of_several_levels_each_is_compared_and_the_best_is_kept() -> None:
    text = SPEC.replace(
        "changes: [{kind: sysctl, name: vm.swappiness, value: '1'}]",
        "levels: {a: [{kind: sysctl, name: vm.swappiness, value: '1'}], "
        "b: [{kind: sysctl, name: vm.swappiness, value: '2'}]}",
    )
    truth = {(): 100.0, ("fast=a",): 110.0, ("fast=b",): 130.0}
    chance = random.Random(3)
    found = carried_out(Host(lambda on: truth[tuple(on)] + chance.gauss(0, 1)), spec(text))
    assert [(each.trial, each.kept) for each in found.decisions] == [
        ("fast=a", True),
        ("fast=b", True),
    ]
    (change,) = winning(found).changes
    assert getattr(change, "value", None) == "2"


def test_a_setting_that_does_not_hold_voids_the_block() -> None:
    host = Host(noisy(100, 110, 1), drift="1")
    plain = host.measure

    def measure(workload: Workload) -> Measured:
        runs.append(1)
        if len(runs) == 6:
            host.values["drift"] = "2"
        return plain(workload)

    runs: list[int] = []
    host.measure = measure  # type: ignore[method-assign]
    found = carried_out(host, spec())
    assert [(each.number, each.void) for each in found.voids] == [(1, "drift: was '1', is '2'")]
    verdict = verdicts(found)["fast", "rate"]
    assert verdict.outcome == "better"
    blocks = {run.block for run in found.runs}
    assert len(blocks) == verdict.blocks + 1


def test_a_setting_that_never_holds_is_given_up_on() -> None:
    host = Host(noisy(100, 110, 1), drift="0")

    def settings(changing: Collection[str]) -> Mapping[str, str]:
        host.values["drift"] += "1"
        return dict(host.values)

    host.settings = settings  # type: ignore[method-assign]
    found = carried_out(host, spec())
    assert len(found.voids) == MOST_VOIDS
    assert verdicts(found)["fast", "rate"].outcome == "inconclusive"
    assert found.about.ended.startswith("fast was given up: drift: was")


def test_a_setting_of_the_factor_that_somebody_takes_back_voids_the_block() -> None:
    host = Host(noisy(100, 110, 1), lost="vm.swappiness: '1' was written, it says '60'")
    found = carried_out(host, spec())
    assert {each.void for each in found.voids} == {host.values["lost"]}
    assert verdicts(found)["fast", "rate"].blocks == 0


def test_a_difference_within_the_margin_is_none_however_sure_it_is() -> None:
    found = carried_out(Host(noisy(100, 100.1, 0.01)), spec())
    verdict = verdicts(found)["fast", "rate"]
    assert verdict.outcome == "no difference"
    assert verdict.effect == pytest.approx(0.1, abs=0.02)
    assert not found.decisions[0].kept


def test_a_count_of_nothing_is_no_difference() -> None:
    found = carried_out(Host(lambda on: 0.0), spec())
    assert verdicts(found)["fast", "rate"].outcome == "no difference"
    assert verdicts(found)["fast", "rate"].blocks == 6


def test_a_guard_that_may_be_worse_holds_a_factor_back() -> None:
    """Its figures are those of a coin: nobody can tell."""
    text = SPEC.replace(
        "unit: MB/s}]", "unit: MB/s}, {name: tail, pattern: '(x)', better: lower, guard: true}]"
    )
    chance = random.Random(5)
    host = Host(noisy(100, 120, 1))
    plain = host.measure

    def measure(workload: Workload) -> Measured:
        made = plain(workload)
        return made._replace(figures=made.figures | {"tail": chance.choice((1.0, 100.0))})

    host.measure = measure  # type: ignore[method-assign]
    found = carried_out(host, spec(text))
    assert verdicts(found)["fast", "rate"].outcome == "better"
    assert found.decisions[0].why == ("copy tail (guard): it cannot be told that it is not worse")
    assert winning(found).changes == ()


def test_of_two_that_set_the_same_the_better_one_is_kept() -> None:
    two = SPEC.replace(
        "workloads:",
        "- {name: more, changes: [{kind: sysctl, name: vm.swappiness, value: '9'}]}\nworkloads:",
    )
    truth = {(): 100.0, ("fast",): 110.0, ("more",): 120.0}
    chance = random.Random(3)
    found = carried_out(Host(lambda on: truth[tuple(on)] + chance.gauss(0, 1)), spec(two))
    assert [each.kept for each in found.decisions] == [True, True]
    assert [getattr(each, "value", None) for each in winning(found).changes] == ["9"]


def test_runs_stay_with_their_factor_where_the_rule_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = SPEC.replace(
        "workloads:",
        "- {name: more, changes: [{kind: sysctl, name: vm.stat_interval, value: '9'}]}\nworkloads:",
    )
    truth = {(): 100.0, ("fast",): 110.0, ("more",): 120.0}
    chance, log = random.Random(3), Log()
    asked = spec(two)
    carried_out(Host(lambda on: truth[tuple(on)] + chance.gauss(0, 2)), asked, log)
    monkeypatch.setattr(sequential, "SPENDING", 4.0)
    course = Course(asked)
    assert course.replay(log.runs, log.blocks) == []
    about = carried_out(Host(lambda on: 1.0), spec()).about
    told = verdicts(course.experiment(about, log.runs, log.blocks))
    assert told["fast", "rate"].after == pytest.approx(110, abs=2)
    assert told["more", "rate"].after == pytest.approx(120, abs=2)


def test_an_interrupted_experiment_goes_on_with_a_new_block() -> None:
    """The block in the midst of which it was interrupted does not count."""
    log, calls = Log(), [0]
    truth = noisy(100, 110, 3)

    def figure(in_force: Sequence[str]) -> float | str:
        calls[0] += 1
        if calls[0] == 11:
            raise KeyboardInterrupt
        return truth(in_force)

    with pytest.raises(KeyboardInterrupt):
        carried_out(Host(figure), spec(), log)
    assert len(log.runs) == 10
    found = carried_out(Host(figure), spec(), log)
    assert [(each.number, each.void) for each in found.voids] == [(2, INTERRUPTED)]
    assert verdicts(found)["fast", "rate"].outcome == "better"
    assert {run.block for run in found.runs} == set(
        range(verdicts(found)["fast", "rate"].blocks + 1)
    )


def test_after_a_reboot_it_goes_on_where_it_stood() -> None:
    """Each change is in force after a reboot only; no run is lost, none is made twice."""
    log, host = Log(), Host(noisy(100, 110, 1))
    plain = host.put

    def put(in_force: Sequence[str]) -> bool:
        if in_force != host.in_force:
            plain(in_force)
            raise RebootNeeded("this one")
        return False

    host.put = put  # type: ignore[method-assign]
    reboots = 0
    while True:
        try:
            found = carried_out(host, spec(), log, rebooted=reboots > 0)
        except RebootNeeded:
            reboots += 1
            assert reboots < 100
        else:
            break
    verdict = verdicts(found)["fast", "rate"]
    assert verdict.outcome == "better"
    assert found.voids == ()
    assert len(found.runs) == 4 * verdict.blocks
    assert host.in_force == ()
    for run in found.runs:
        assert run.in_force == (("fast",) if run.applied else ())


def test_no_block_is_begun_after_the_time() -> None:
    asked = spec(SPEC + "limit_s: 0.000001\n")
    found = carried_out(Host(noisy(100, 110, 1)), asked)
    assert found.runs == ()
    assert found.about.ended == "no block was begun after 1e-06 s"
    assert verdicts(found)["fast", "rate"].outcome == "inconclusive"


def test_its_own_load_is_what_it_took_in_the_time_of_the_runs() -> None:
    """0.01 s of CPU, 3 switches and 100 bytes in each run of 2 s."""
    load = carried_out(Host(noisy(100, 110, 1)), spec()).self_load
    assert load is not None
    assert load.cpu_percent == pytest.approx(0.5)
    assert load.context_switches_per_s == pytest.approx(1.5)
    assert load.read_bytes_per_s == pytest.approx(50)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("better: higher", "better: faster"), "better"),
        (("pattern: '(.*)'", "pattern: '(.*'"), "not a regular expression"),
        (("pattern: '(.*)'", "pattern: '.*'"), "one group, and not 0"),
        (("pattern: '(.*)'", "json: 'a['"), "json: not a JMESPath"),
        (("pattern: '(.*)', ", ""), "rate: one of pattern, json and probe"),
        (("pattern: '(.*)'", "pattern: '(.*)', json: a"), "rate: one of pattern, json and probe"),
        (("command: [run]", "command: []"), "copy: one of command and use"),
        (("command: [run]", "command: [run]\n  at: moon"), "container:NAME, guest:NAME or ssh://"),
        (("command: [run]", "command: [run]\n  options: {a: 1}"), "options are for use"),
        (("name: fast", "name: A/A"), "A/A is the host against itself"),
        (("name: fast", "name: a=b"), "a name without '='"),
        (("name: fast", "name: ''"), "a name without '='"),
        (
            ("changes: [{kind: sysctl, name: vm.swappiness, value: '1'}]", "levels: {a: []}"),
            "a name and changes for each",
        ),
        (("name: fast", "name: fast, item: x"), "one of plan, item, changes, levels and probes"),
        (("factors:", "blocks: 3\nfactors:"), "blocks: 6 to 200"),
        (("null_blocks: 0", "null_blocks: 3"), "null_blocks: 0, or 6 to 200"),
        (("factors:", "alpha: 2\nfactors:"), "alpha: above 0"),
        (("factors:", "watch: [/etc/passwd]\nfactors:"), "watch: /etc/passwd: below /proc or /sys"),
        (("factors:", "margins: 2\nfactors:"), "margins"),
        (("kind: sysctl", "kind: magic"), "magic"),
    ],
)
def test_specs_that_mean_nothing(change: tuple[str, str], problem: str) -> None:
    assert change[0] in SPEC
    with pytest.raises(ParseError, match=problem):
        spec(SPEC.replace(*change))
