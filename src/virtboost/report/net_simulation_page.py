"""Simulations of a network as one HTML page: how times and costs grow with the number of nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from markupsafe import Markup
from matplotlib.figure import Figure
from msgspec import Struct

from virtboost.net.quantity import amount
from virtboost.net.simulate.outcome import (
    COUNTS,
    PEAKS,
    TIMES,
    Distribution,
    Outcome,
    Simulation,
    Study,
)
from virtboost.report.html import filled
from virtboost.report.net_simulation import HEADS, QUANTILES, merged, seconds, unit
from virtboost.report.plot import FIRST, SECOND, SOFT, style, svg

_SIZE = (5.6, 3.2)
"""Of a plot, in inches of 72 pixels."""


class Table(Struct, frozen=True, kw_only=True):
    """What came of a scenario at one size."""

    nodes: int
    times: tuple[tuple[str, ...], ...]
    """What, then the quantiles."""
    figures: tuple[tuple[str, str], ...]
    """Counts and peaks: how many, of what."""


class Section(Struct, frozen=True, kw_only=True):
    """A scenario."""

    name: str
    title: str
    plots: tuple[Markup, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def simulation_page(study: Study, *, made_at: datetime) -> str:
    """Return a page on simulations."""
    sizes = [list(group) for _, group in groupby(study.runs, key=lambda run: run.nodes)]
    with style():
        return filled(
            "net_simulation.html",
            made_at,
            study=study,
            sizes=[runs[0] for runs in sizes],
            seeds=len(sizes[0]),
            sections=list(_sections(sizes)),
            quantiles=QUANTILES,
        )


def _sections(sizes: Sequence[Sequence[Simulation]]) -> Iterator[Section]:
    for number, first in enumerate(sizes[0][0].outcomes):
        found = {runs[0].nodes: [run.outcomes[number] for run in runs] for runs in sizes}
        yield Section(
            name=first.scenario,
            title=HEADS[first.scenario],
            plots=tuple(_plots(found)),
            tables=tuple(_table(nodes, outcomes) for nodes, outcomes in found.items()),
            notes=first.notes,
        )


def _table(nodes: int, found: Sequence[Outcome]) -> Table:
    first = found[0]
    times = []
    for key in first.times:
        one = merged([each.times[key] for each in found])
        times.append((TIMES[key], *(seconds(getattr(one, each)) for each in QUANTILES)))
    figures = [
        (f"{max(each.counts[key] for each in found):,}", COUNTS[key]) for key in first.counts
    ]
    figures += [
        (amount(max(each.peaks[key] for each in found), unit(key)), PEAKS[key])
        for key in first.peaks
    ]
    return Table(nodes=nodes, times=tuple(times), figures=tuple(figures))


def _plots(found: dict[int, list[Outcome]]) -> Iterator[Markup]:
    """Yield a plot for each time, by the number of nodes; one size needs none."""
    if len(found) < 2:
        return
    for key in next(iter(found.values()))[0].times:
        yield _plot(TIMES[key], {
            nodes: [outcome.times[key] for outcome in outcomes]
            for nodes, outcomes in found.items()
        })  # fmt: skip


def _plot(title: str, found: dict[int, list[Distribution]]) -> Markup:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    one = {nodes: merged(each) for nodes, each in found.items()}
    nodes = list(one)
    axes.fill_between(
        nodes,
        [each.least for each in one.values()],
        [each.most for each in one.values()],
        color=SECOND,
        alpha=0.15,
        linewidth=0,
        label="least to most",
    )
    axes.plot(nodes, [each.p50 for each in one.values()], color=FIRST, marker="o", label="50 %")
    axes.plot(nodes, [each.p99 for each in one.values()], color=SECOND, marker="s", label="99 %")
    axes.set_xscale("log")
    axes.set_xticks(nodes, [f"{each:,}" for each in nodes])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("nodes")
    axes.set_ylabel("seconds")
    axes.set_title(title, loc="left", fontsize="medium")
    axes.legend(frameon=False, labelcolor=SOFT)
    return svg(figure, f"{title}, by number of nodes")
