"""Designs compared: the Pareto front, a weighted mean, who could be better, and from which size."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from msgspec import Struct

from virtboost.net import gate
from virtboost.net.candidate import excess, halved, quantities, sizes
from virtboost.net.description import MOST_NODES, Network, Weights
from virtboost.net.design import Design
from virtboost.net.figure import Figure
from virtboost.net.quantity import METRICS, Metric
from virtboost.net.scale import Scale

Figures = Mapping[str, Figure]
"""Of one design, by quantity."""

TIE = 0.02
"""Scores that differ by less are the same; the design that is simpler, listed first, wins."""


class Score(Struct, frozen=True, kw_only=True):
    """How a design compares: 1 is the best in every metric."""

    value: float
    best: float
    """If all that is not known of it were in its favour."""
    worst: float
    front: bool
    open: bool
    """Whether nobody measured a part of it."""


class Span(Struct, frozen=True, kw_only=True):
    """Sizes at which a design is the one to take."""

    design: str | None
    """None: no design serves such a network."""
    first_nodes: int
    last_nodes: int


def scores(found: Mapping[str, Figures], weights: Weights) -> dict[str, Score]:
    """Compare designs.

    What nobody measured of a design counts as the worst of what is known of the others.

    Args:
        found: Figures of each design that can be.
        weights: How much each metric counts.
    """
    rows = {
        name: {key: _ends(metric, figures, found) for key, metric in METRICS.items()}
        for name, figures in found.items()
    }
    middles = {name: _pick(row, "middle") for name, row in rows.items()}
    ideal = {
        key: metric.good([row[key] for row in middles.values()], default=0.0)
        for key, metric in METRICS.items()
    }
    return {
        name: Score(
            value=_mean(middles[name], ideal, weights),
            best=_mean(_pick(row, "best"), ideal, weights),
            worst=_mean(_pick(row, "worst"), ideal, weights),
            front=not any(_dominates(other, middles[name]) for other in middles.values()),
            open=any(_unmeasured(metric, found[name]) for metric in METRICS.values()),
        )
        for name, row in rows.items()
    }


def _unmeasured(metric: Metric, figures: Figures) -> bool:
    figure = figures.get(metric.quantity)
    return figure is None or figure.high is None


class _Ends(NamedTuple):
    """What a metric of a design may be."""

    best: float
    middle: float
    worst: float


def _ends(metric: Metric, figures: Figures, found: Mapping[str, Figures]) -> _Ends:
    known = [
        other[metric.quantity].value for other in found.values() if not _unmeasured(metric, other)
    ]
    figure = figures.get(metric.quantity)
    if figure is None:
        worst = metric.bad(known, default=0.0)
        return _Ends(metric.good(known, default=0.0), worst, worst)
    if figure.high is None:
        worst = metric.bad((*known, figure.value))
        return _Ends(figure.low, worst, worst)
    interval = (figure.low, figure.high)
    return _Ends(metric.good(interval), figure.value, metric.bad(interval))


def _pick(row: Mapping[str, _Ends], end: Literal["best", "middle", "worst"]) -> dict[str, float]:
    return {key: float(getattr(ends, end)) for key, ends in row.items()}


def _mean(row: Mapping[str, float], ideal: Mapping[str, float], weights: Weights) -> float:
    total = sum(map(weights.of, METRICS))
    logs = sum(
        weights.of(key) * _loss(metric, row[key], ideal[key]) for key, metric in METRICS.items()
    )
    return math.exp(logs / total)


def _loss(metric: Metric, value: float, ideal: float) -> float:
    """Return the logarithm of how many times worse a value is."""
    ratio = math.log((value + metric.negligible) / (ideal + metric.negligible))
    return -ratio if metric.higher else ratio


def _dominates(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Tell whether ``one`` is better somewhere, by more than nobody minds, and worse nowhere."""
    gains = [
        (one[key] - other[key] if metric.higher else other[key] - one[key]) / metric.negligible
        for key, metric in METRICS.items()
    ]
    return max(gains) > 1 and min(gains) >= 0


def winner(found: Mapping[str, Score]) -> str | None:
    """Return the design with the best score; of those that tie, the one that is listed first."""
    if not found:
        return None
    least = min(score.value for score in found.values())
    return next(name for name, score in found.items() if score.value <= least * (1 + TIE))


def rivals(found: Mapping[str, Score], chosen: str) -> tuple[str, ...]:
    """Return the designs that could be better than the chosen, within what is known."""
    worst = found[chosen].worst
    return tuple(
        name
        for name, score in found.items()
        if name != chosen and (score.front or score.open) and score.best * (1 + TIE) < worst
    )


def spans(designs: Sequence[Design], network: Network, scale: Scale) -> tuple[Span, ...]:
    """Return which design is the one to take from which size to which.

    Racks, services and churn grow in proportion; addresses are planned anew.
    """
    fit = [design for design in designs if not any(gate.gates(design, network))]

    @functools.cache
    def best(nodes: int) -> str | None:
        return _best(fit, network, scale.at(nodes))

    def differs(name: str | None, nodes: int) -> bool:
        return best(nodes) != name

    starts, sampled = [1], 1
    for above in sorted({*sizes(MOST_NODES), scale.nodes}):
        while best(starts[-1]) != best(above):
            below = max(starts[-1], sampled)
            starts.append(halved(functools.partial(differs, best(starts[-1])), below, above))
        sampled = above
    return tuple(
        Span(design=best(first), first_nodes=first, last_nodes=after - 1)
        for first, after in pairwise((*starts, MOST_NODES + 1))
    )


def _best(designs: Sequence[Design], network: Network, scale: Scale) -> str | None:
    fit = [each for each in designs if not excess(each, network, scale)[0]]
    figures = {each.name: quantities(each, network, scale) for each in fit}
    return winner(scores(figures, network.weights))
