"""A fraction of all combinations, and what it finds of a known truth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from support.experiment import SPEC, Host, carried_out, spec
from virtboost.prove.screen import design, margin_of_error
from virtboost.prove.spec import Spec

NAMES = "abcdefg"


@pytest.mark.parametrize(("factors", "runs"), [(3, 8), (4, 16), (7, 16), (8, 32), (15, 32)])
def test_the_design_is_balanced_and_pairs_are_not_mixed_with_factors(
    factors: int, runs: int
) -> None:
    """Resolution IV: every factor is off in half of the runs, whatever one other or a pair is."""
    found = design(factors, seed=1)
    assert len(found) == runs
    columns = [found[:, each] for each in range(factors)]
    assert all(column.sum() == 0 for column in columns)
    for one, two in combinations(columns, 2):
        assert one @ two == 0
        assert all((one * two) @ three == 0 for three in columns)


def test_lenths_margin_is_that_of_his_example() -> None:
    """Technometrics 31, example I: s0 = 1.5 * 0.30, PSE = 1.5 * 0.15; t(0.9; 5) = 1.476."""
    contrasts = (
        0.13, 0.15, 0.30, 0.15, 0.40, 0.03, 0.38, 0.40, 0.05, 0.43, 0.13, 0.13, 0.38, 2.15, 3.10,
    )  # fmt: skip
    assert margin_of_error(np.array(contrasts)) == pytest.approx(1.476 * 0.225, rel=1e-3)


def many(**more: object) -> Spec:
    factors = "".join(
        f"- {{name: {name}, changes: [{{kind: sysctl, name: vm.{name}, value: '1'}}]}}\n"
        for name in NAMES
    )
    text = SPEC.replace(SPEC[: SPEC.index("workloads:")], f"factors:\n{factors}")
    text = text.replace("null_blocks: 0\n", "") if "null_blocks" in more else text
    return spec(text, design="screen", **more)


def test_it_finds_who_matters_and_each_is_confirmed_alone() -> None:
    """a brings 10, b takes 10, c and d bring 8 only together; each of a hundred has noise of 1."""
    rng = np.random.default_rng(1)

    def figure(on: Sequence[str]) -> float:
        pair = 8.0 if {"c", "d"} <= set(on) else 0.0
        return float(100 + 10 * ("a" in on) - 10 * ("b" in on) + pair + rng.normal())

    found = carried_out(Host(figure), many())
    rows = [run for run in found.runs if run.comparison == "screen"]
    assert len(rows) == 16
    effects = {each.trial: each.effect for each in found.screened}
    assert effects["a"] == pytest.approx(10, abs=1.5)
    assert effects["b"] == pytest.approx(-10, abs=1.5)
    promising = [each.trial for each in found.screened if each.promising]
    assert "a" in promising
    assert not {"b", "e", "f"} & set(promising)
    assert [each.trial for each in found.decisions] == promising
    kept = [each.trial for each in found.decisions if each.kept]
    assert kept == ["a"]


@pytest.mark.parametrize("matter", ["ab", "abcd", "abcdefg"])
def test_where_most_factors_matter_they_are_found(matter: str) -> None:
    """Lenth's margin takes most effects for noise; the host against itself tells what is."""
    rng = np.random.default_rng(2)

    def figure(on: Sequence[str]) -> float:
        return float(100 + 8 * sum(name in on for name in matter) + rng.normal(0, 0.5))

    found = carried_out(Host(figure), many(null_blocks=8))
    assert {each.trial for each in found.screened if each.promising} >= set(matter)
    assert {each.trial for each in found.decisions if each.kept} == set(matter)


def test_where_a_run_fails_all_are_compared() -> None:
    """A screening with a hole says nothing; alone, each says what it does."""
    found = carried_out(Host(lambda on: "exit status 1" if "a" in on else 1.0), many())
    assert found.screened == ()
    assert [each.trial for each in found.decisions] == list(NAMES)
    assert found.decisions[0].why == "copy rate: failed"
    assert found.decisions[1].why == "no difference"
