"""An experiment as one HTML page: every run as a dot, and what the runs say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from msgspec import Struct

from virtboost.prove.result import Decision, Experiment, Noise, Run, Verdict
from virtboost.prove.spec import NO_CHANGE
from virtboost.report.experiment import outcome
from virtboost.report.html import filled
from virtboost.report.plot import FIRST, INK, LINE, SECOND, SOFT, style, svg
from virtboost.report.printable import printable

_WIDTH = 13.0
"""Of a plot, in inches of 72 pixels."""

_LONGEST = 40
"""Characters of a name in a plot."""


class Part(Struct, frozen=True, kw_only=True):
    """One comparison on the page."""

    title: str
    decision: Decision | None
    """None: nothing was changed."""
    rows: tuple[tuple[Verdict, str, Markup], ...]
    """Of each metric: what is said of it, in words and as a plot."""


def experiment_page(found: Experiment, *, made_at: datetime) -> str:
    """Return a page on an experiment."""
    with style():
        return filled(
            "experiment.html",
            made_at,
            found=found,
            effects=_effects(found),
            parts=list(_parts(found)),
        )


def _parts(found: Experiment) -> Iterator[Part]:
    void = {(each.comparison, each.number) for each in found.voids}
    decisions = {each.trial: each for each in found.decisions}
    for name in (NO_CHANGE, *decisions):
        runs = [run for run in found.runs if run.comparison == name]
        rows = [
            (verdict, outcome(verdict), _dots(verdict, runs, void))
            for verdict in found.verdicts
            if verdict.comparison == name
        ]
        if runs:
            yield Part(
                title="Nothing changed" if name == NO_CHANGE else name,
                decision=decisions.get(name),
                rows=tuple(rows),
            )


def _effects(found: Experiment) -> Markup | None:
    """Return the intervals of all effects, in per cent, above the noise; None: there is none."""
    told = [
        each
        for each in found.verdicts
        if each.comparison != NO_CHANGE and each.percent(each.effect) is not None
    ]
    if not told:
        return None
    figure = Figure(figsize=(_WIDTH, 0.9 + 0.32 * len(told)), layout="constrained")
    axes = figure.subplots()
    noise = {(each.workload, each.metric): each for each in found.noise}
    for place, verdict in enumerate(reversed(told)):
        _interval(axes, place, verdict, noise.get((verdict.workload, verdict.metric)))
    margin = found.about.spec.margin_percent
    axes.axvspan(-margin, margin, color=LINE, alpha=0.5, lw=0)
    axes.axvline(0, color=SOFT, lw=0.8)
    axes.set_yticks(range(len(told)), [_name(each) for each in reversed(told)], color=INK)
    axes.set_ylim(-0.7, len(told) - 0.3)
    axes.set_xlabel(f"effect in % of the mean without; shaded: within the margin of {margin:g} %")
    return svg(figure, "Effects")


def _interval(axes: Axes, place: int, verdict: Verdict, noise: Noise | None) -> None:
    effect = verdict.percent(verdict.effect) or 0
    ends = [verdict.percent(end) for end in (verdict.low, verdict.high)]
    low, high = (effect if end is None else end for end in ends)
    decided = verdict.outcome in ("better", "worse")
    color = SECOND if decided else FIRST
    axes.plot([low, high], [place, place], color=color, lw=3, solid_capstyle="butt")
    axes.plot([effect], [place], "o", color=color, ms=6)
    for end, position, marker in zip(ends, (low, high), "<>", strict=True):
        if end is None:
            axes.plot([position], [place], marker, color=color, ms=9)
    if noise is not None:
        reach = noise.detectable_percent
        axes.plot([-reach, reach], [place, place], "|", color=INK, ms=8)


def _name(verdict: Verdict) -> str:
    return printable(f"{verdict.comparison}: {verdict.workload} {verdict.metric}", _LONGEST)


def _dots(verdict: Verdict, runs: Sequence[Run], void: Iterable[tuple[str, int]]) -> Markup:
    """Return the runs of a metric by side, and in the order in which they were made."""
    figure = Figure(figsize=(_WIDTH, 2.1), layout="constrained")
    sides, order = figure.subplots(1, 2, sharey=True, width_ratios=(1, 4))
    mine = [run for run in runs if run.workload == verdict.workload]
    for applied, color, label in ((False, FIRST, "without"), (True, SECOND, "with")):
        counted = [
            (number, run.figures[verdict.metric])
            for number, run in enumerate(mine)
            if run.applied is applied and _counts(run, void) and verdict.metric in run.figures
        ]
        numbers, figures = [each[0] for each in counted], [each[1] for each in counted]
        spots = [int(applied) + 0.3 * ((n * 0.618) % 1 - 0.5) for n in range(len(counted))]
        sides.plot(spots, figures, "o", color=color, ms=4, alpha=0.7)
        if figures:
            mean = sum(figures) / len(figures)
            sides.hlines(mean, applied - 0.3, applied + 0.3, color=INK, lw=1.5)
        order.plot(numbers, figures, "o", color=color, ms=4, label=label)
    _others(order, verdict, mine, void)
    sides.set_xticks([0, 1], ["without", "with"])
    sides.set_xlim(-0.5, 1.5)
    sides.set_ylabel(printable(verdict.unit or verdict.metric, _LONGEST))
    order.set_xlabel("run")
    order.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return svg(figure, "Runs")


def _others(
    axes: Axes, verdict: Verdict, runs: Sequence[Run], void: Iterable[tuple[str, int]]
) -> None:
    """Draw the runs that do not count, and mark those that failed."""
    spared = [
        (number, run.figures[verdict.metric])
        for number, run in enumerate(runs)
        if not _counts(run, void) and verdict.metric in run.figures
    ]
    if spared:
        axes.plot(*zip(*spared, strict=True), "x", color=SOFT, ms=4, label="not counted")
    for number in (n for n, run in enumerate(runs) if run.problem is not None):
        axes.axvline(number, color=INK, lw=0.8, ls=":")


def _counts(run: Run, void: Iterable[tuple[str, int]]) -> bool:
    return not run.warm_up and (run.comparison, run.block) not in void
