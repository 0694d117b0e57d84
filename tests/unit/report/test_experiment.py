"""What is printed of an experiment."""

from __future__ import annotations

import random
import re

from msgspec.structs import replace

from support.experiment import SPEC, Host, carried_out, spec
from virtboost.prove.contrast import contrasts
from virtboost.prove.result import Experiment
from virtboost.report.experiment import contrast_lines, experiment_lines, list_lines


def found(after: float, published: str = "") -> Experiment:
    chance = random.Random(1)
    host = Host(lambda on: (after if on else 100) + chance.gauss(0, 2))
    made = carried_out(host, spec(SPEC.replace("null_blocks: 0", "null_blocks: 8")))
    decisions = tuple(replace(each, published=published) for each in made.decisions)
    return replace(made, decisions=decisions)


def test_what_was_published_stands_beside_what_is_here() -> None:
    lines = " ".join(experiment_lines(found(105, "about 5 %, by somebody (a page)"), width=300))
    told = re.search(
        r"published: about 5 %, by somebody \(a page\); here: rate \+(\d\.\d) % to \+(\d\.\d) %",
        lines,
    )
    assert told
    assert float(told[1]) < 5 < float(told[2])


def test_noise_verdict_and_load_are_told() -> None:
    lines = "\n".join(experiment_lines(found(120), width=300))
    assert re.search(
        r"noise of copy rate: runs vary by [12]\.\d %; an effect of \d\.\d+ % is", lines
    )
    assert "fast: keep: copy rate: better" in lines
    assert re.search(
        r"copy rate: better, \+\d+\.\d % to \+\d+\.\d %: \d+\.\d+ -> 1\d\d\.\d+ MB/s", lines
    )
    assert "virtboost itself took 0.5 % of a CPU" in lines


def test_no_line_is_wider_than_the_terminal() -> None:
    lines = list(experiment_lines(found(105, "about 5 %" * 20), width=60))
    assert max(map(len, lines)) <= 60


def test_hostile_names_do_not_reach_the_terminal() -> None:
    made = found(120)
    about = replace(made.about, ended="stopped: \x1b]0;evil\x07", host="kp1\nkp2")
    lines = "".join(list_lines([about]))
    assert "\x1b" not in lines
    assert "\n" not in lines


def test_two_experiments_agree_or_differ() -> None:
    told = [
        " ".join(contrast_lines(contrasts(found(120), found(n)), width=300)) for n in (120, 150)
    ]
    assert "fast: copy rate: agree: better" in told[0]
    assert "fast: copy rate: differ: better" in told[1]
    nothing = " ".join(contrast_lines((), width=80))
    assert nothing == "they have no factor and metric of the same names"
