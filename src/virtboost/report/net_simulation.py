"""A simulated network for a terminal: how long things take, distributed, and what they cost."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from virtboost.net.quantity import Unit, amount
from virtboost.net.simulate.outcome import (
    COUNTS,
    PEAKS,
    TIMES,
    Distribution,
    Outcome,
    Scenario,
    Simulation,
    Study,
)
from virtboost.report.columns import wrapped

HEADS: dict[Scenario, str] = {
    "start": "start: all nodes start at once",
    "join": "join: a node joins",
    "restart": "restart: a node's network daemon is killed and started again, its pods go on",
    "failure": "failure: a node dies silently",
    "reflector": "reflector: a route reflector dies silently; then it is killed and comes back",
    "pods": "pods: pods come and go at the described rate",
    "policy": "policy: a policy with a new selector",
    "connections": "connections: new connections of a node, through its Open vSwitch",
    "watch": "watch: the datastore tells its watchers of pods",
}

QUANTILES = ("least", "p50", "p95", "p99", "most")


def simulation_lines(study: Study, width: int) -> Iterator[str]:
    """Yield what came of simulations, smaller networks first."""
    for _, group in groupby(study.runs, key=lambda run: run.nodes):
        runs = list(group)
        yield from wrapped(_head(runs), width)
        for note in runs[0].notes:
            yield from wrapped(f"note: {note}", width)
        for number in range(len(runs[0].outcomes)):
            yield ""
            yield from _outcome([run.outcomes[number] for run in runs], width)
        yield ""
    yield from wrapped(
        f"costs of: {study.runs[0].machine}. Counts follow from the design; times and CPU are "
        "as good as the costs are, which --costs replaces.",
        width,
    )


def merged(found: Sequence[Distribution]) -> Distribution:
    """Return the same of several seeds: medians of quantiles, the least and the most of all."""
    return Distribution(
        count=found[0].count,
        least=min(each.least for each in found),
        p50=statistics.median(each.p50 for each in found),
        p95=statistics.median(each.p95 for each in found),
        p99=statistics.median(each.p99 for each in found),
        most=max(each.most for each in found),
        mean=statistics.fmean(each.mean for each in found),
    )


def _head(runs: Sequence[Simulation]) -> str:
    first = runs[0]
    reflecting = f", {first.reflectors} of them reflectors" if first.reflectors else ""
    seeds = f"seed {first.seed}"
    if len(runs) > 1:
        seeds = f"{len(runs)} seeds: medians of quantiles, least and most of all"
    return (
        f"{first.design}: {first.nodes:,} nodes{reflecting}, {first.pods:,} pods, "
        f"{first.routes:,} routes; {seeds}"
    )


def _outcome(found: Sequence[Outcome], width: int) -> Iterator[str]:
    first = found[0]
    yield from wrapped(HEADS[first.scenario], width)
    yield from _times(found, width)
    yield from _figures(found, width)
    for note in first.notes:
        yield from wrapped(f"note: {note}", width, indent=2)


def _figures(found: Sequence[Outcome], width: int) -> Iterator[str]:
    """Yield counts and peaks, each before what it is of."""
    first = found[0]
    rows = [(_range(each.counts[key] for each in found), COUNTS[key]) for key in first.counts]
    for key in first.peaks:
        most = max(each.peaks[key] for each in found)
        rows.append((amount(most, unit(key)), PEAKS[key]))
    column = max((len(value) for value, _ in rows), default=0)
    for value, title in rows:
        before = 2 + column - len(value)
        yield from wrapped(f"{value} {title}", width, indent=before, hang=len(value) + 1)


def _range(counts: Iterable[int]) -> str:
    found = sorted(counts)
    return f"{found[0]:,}" if found[0] == found[-1] else f"{found[0]:,} to {found[-1]:,}"


def _times(found: Sequence[Outcome], width: int) -> Iterator[str]:
    """Yield a table of seconds, with the titles above the figures where it is narrow."""
    rows: list[tuple[str, ...]] = [("seconds", *QUANTILES)]
    for key in found[0].times:
        one = merged([each.times[key] for each in found])
        rows.append((TIMES[key], *(seconds(getattr(one, each)) for each in QUANTILES)))
    if len(rows) == 1:
        return
    title = max(len(row[0]) for row in rows)
    columns = [max(len(row[place]) for row in rows) for place in range(1, len(QUANTILES) + 1)]
    beside = 2 + title + sum(columns) + 2 * len(columns) <= width
    for first, *cells in rows:
        shown = "  ".join(cell.rjust(column) for cell, column in zip(cells, columns, strict=True))
        if beside:
            yield f"  {first.ljust(title)}  {shown}"
        else:
            yield f"  {first}"
            yield f"    {shown}"


def seconds(value: float) -> str:
    """Return seconds with three digits that count, as few as milliseconds need."""
    if value == 0:
        return "0"
    if value < 0.0001:
        return "<0.0001"
    if value < 1:
        return f"{value:.4f}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def unit(key: str) -> Unit:
    """Return the unit of a peak, which its key ends with."""
    if key.endswith("_bytes"):
        return "B"
    if key.endswith("_per_s"):
        return "/s"
    return "s" if key.endswith("_s") else "cores" if key.endswith("_cores") else ""
