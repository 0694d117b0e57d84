"""Figures in outputs: what is found, and what is said where there is none."""

from __future__ import annotations

import pytest

from virtboost.prove.figure import NoFigure, figure
from virtboost.prove.spec import Metric


def of_pattern(pattern: str) -> Metric:
    return Metric(name="rate", pattern=pattern, better="higher")


def of_json(path: str) -> Metric:
    pytest.importorskip("jmespath")
    return Metric(name="rate", json=path, better="higher")


@pytest.mark.parametrize(
    ("pattern", "output", "expected"),
    [
        (r"rate: (\S+)", "rate: 1\nrate: 2.5\n", 2.5),
        (r"(?m)^tps = (\S+)", "latency = 3\ntps = 1e3 (x)\n", 1000.0),
        (r"(-?\d+)", "minus -7", -7.0),
    ],
)
def test_the_last_match_counts(pattern: str, output: str, expected: float) -> None:
    assert figure(of_pattern(pattern), output) == expected


@pytest.mark.parametrize(
    ("pattern", "output", "problem"),
    [
        (r"rate: (\S+)", "", "no figure in its output"),
        (r"rate(: \d+)?", "rate", "no figure in its output"),
        (r"rate: (\S+)", "rate: 1\nrate: many\n", "its figure is no number: 'many'"),
        (r"rate: (\S+)", "rate: nan", "its figure is no number: 'nan'"),
        (r"rate: (\S+)", "rate: -inf", "its figure is no number: '-inf'"),
        (r"rate: (\S+)", "rate: 1,5", "its figure is no number: '1,5'"),
        (r"rate: (\S+)", "rate: 1e999", "its figure is no number: '1e999'"),
        (r"(?s)rate: (.*)", "rate: \x1b[1m\n", r"its figure is no number: '\x1b[1m\n'"),
    ],
)
def test_what_is_no_figure_of_a_pattern(pattern: str, output: str, problem: str) -> None:
    with pytest.raises(NoFigure) as raised:
        figure(of_pattern(pattern), output)
    assert str(raised.value) == problem


@pytest.mark.parametrize(
    ("path", "output", "expected"),
    [
        ("jobs[0].iops", '{"jobs": [{"iops": 7}]}', 7.0),
        ("[0]", "fio: a warning {not it}\n[1.5]\nafterwards", 1.5),
        ("a", '[warning] of a library\n{"a": 2}', 2.0),
        ("max(jobs[].ns)", '{"jobs": [{"ns": 7}, {}, {"ns": 9}]}', 9.0),
    ],
)
def test_a_number_in_json(path: str, output: str, expected: float) -> None:
    assert figure(of_json(path), output) == expected


@pytest.mark.parametrize(
    ("path", "output", "problem"),
    [
        ("jobs[0].iops", "{}", "rate: nothing at jobs[0].iops"),
        ("a", "", "its output is not JSON"),
        ("a", 'text\n{"a": ', "its output is not JSON"),
        ("a", "[" * 200_000, "its output is not JSON"),
        ("a", '{"a": true}', "its figure is no number: True"),
        ("a", '{"a": "5"}', "its figure is no number: '5'"),
        ("a", '{"a": [5]}', "its figure is no number: [5]"),
        ("a", '{"a": NaN}', "its figure is no number: nan"),
        ("a", '{"a": 1e999}', "its figure is no number: inf"),
    ],
)
def test_what_is_no_figure_of_json(path: str, output: str, problem: str) -> None:
    with pytest.raises(NoFigure) as raised:
        figure(of_json(path), output)
    assert str(raised.value) == problem


def test_a_function_of_what_it_cannot_take() -> None:
    with pytest.raises(NoFigure, match=r"^rate: sum\(\[a, b\]\): [^\n]+$"):
        figure(of_json("sum([a, b])"), '{"a": 1}')


def test_an_integer_beyond_any_float() -> None:
    with pytest.raises(NoFigure, match="its figure is no number"):
        figure(of_json("a"), '{"a": 1' + "0" * 400 + "}")
