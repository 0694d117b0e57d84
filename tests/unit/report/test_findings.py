"""Findings as a terminal shows them."""

import io
import unicodedata
from collections.abc import Callable

import pytest
from rich.console import Console

from support.findings import ITEMS, REPORT
from virtboost.model.finding import Report, Result
from virtboost.report.findings import finding_lines

WIDTHS = (60, 80, 132)


def text(report: Report, *, verbose: bool = False, width: int = 80) -> str:
    lines = finding_lines(report, ITEMS, verbose=verbose, width=width)
    return "".join(f"{line.plain}\n" for line in lines)


def columns(line: str) -> int:
    """Columns by Unicode alone: wide and full-width characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in line
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verbose", [False, True])
def test_golden(golden: Callable[[str, str], None], *, width: int, verbose: bool) -> None:
    name = f"report/findings-{width}{'-verbose' if verbose else ''}.txt"
    golden(name, text(REPORT, verbose=verbose, width=width))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_wider_than_the_terminal(*, width: int, verbose: bool) -> None:
    lines = text(REPORT, verbose=verbose, width=width).splitlines()
    assert max(columns(line) for line in lines) <= width
    assert lines == [line.rstrip() for line in lines]


def test_each_finding_is_one_line_at_80_columns() -> None:
    _, *groups = text(REPORT).split("\n\n")
    rows = [line for group in groups for line in group.splitlines()[1:]]
    assert len(rows) == len(REPORT.findings)
    assert all(" -> " in row for row in rows)


def test_the_most_severe_come_first() -> None:
    lines = text(REPORT).splitlines()
    places = [lines.index(word) for word in ("critical", "warning", "advice")]
    assert places == sorted(places)


def test_the_summary_counts_every_verdict() -> None:
    assert text(REPORT).startswith("kp1 (ssh://root@kp1.example.net): 3 critical, 1 warning, ")
    for part in ("1 advice", "1 ok", "1 cannot tell", "1 not applicable"):
        assert part in " ".join(text(REPORT).split("\n\n")[0].split())


def test_a_good_host_is_one_line() -> None:
    ok = Result(item="memory.thp", object="host", verdict="ok", severity="warning", found="never")
    report = Report(host="local", hostname="vm", results=(ok, ok))
    assert text(report) == "vm: nothing wrong; 2 ok\n"


@pytest.mark.parametrize("verbose", [False, True])
def test_a_host_cannot_steer_the_terminal(*, verbose: bool) -> None:
    shown = text(REPORT, verbose=verbose)
    assert r"web\x1b[2J" in shown
    categories = {unicodedata.category(char)[0] for char in shown.replace("\n", "")}
    assert "C" not in categories


def test_a_name_of_10_kb_leaves_the_rest_readable() -> None:
    result = Result(
        item="memory.thp",
        object="guest " + "x" * 10_000,
        verdict="finding",
        severity="warning",
        found="always",
        wanted="never",
        reason="",
    )
    report = Report(host="local", hostname="h" * 10_000, results=(result,))
    line = text(report).splitlines()[-1]
    assert line.endswith("x...  always -> never")
    assert len(line) <= 80


@pytest.mark.parametrize("verbose", [False, True])
def test_colour_repeats_what_a_word_says(*, verbose: bool) -> None:
    def printed(**options: object) -> str:
        file = io.StringIO()
        console = Console(file=file, width=80, soft_wrap=True, **options)  # type: ignore[arg-type]
        for line in finding_lines(REPORT, ITEMS, verbose=verbose, width=80):
            console.print(line, markup=False, emoji=False, highlight=False)
        return file.getvalue()

    coloured = printed(force_terminal=True, color_system="standard")
    plain = printed(force_terminal=True, color_system="standard", no_color=True)
    piped = printed()
    assert "\x1b[1;31mcritical\x1b[0m" in coloured
    assert "\x1b[3" not in plain
    assert piped == text(REPORT, verbose=verbose)
