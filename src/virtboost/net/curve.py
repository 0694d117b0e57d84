"""What designs cost at other sizes of the same network: the lines of a picture."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from msgspec import Struct

from virtboost.net import gate
from virtboost.net.candidate import excess, quantities
from virtboost.net.compare import Score, scores
from virtboost.net.description import MOST_NODES, Network
from virtboost.net.figure import Figure
from virtboost.net.law import PAGE, Laws
from virtboost.net.plan import DESIGNS
from virtboost.net.scale import Scale, scale_of

A_DECADE = 12
"""Sizes for each factor of ten."""


class Point(Struct, frozen=True, kw_only=True):
    """A design at a size."""

    nodes: int
    value: float
    low: float
    high: float | None
    """None: nobody knows how large it may be."""
    extrapolated: bool
    """Whether a law in it is stretched, or a part of it was not measured."""


class Curve(Struct, frozen=True, kw_only=True):
    """A quantity of a design, at the sizes at which it can be."""

    design: str
    points: tuple[Point, ...]

    @property
    def validated(self) -> tuple[int, int] | None:
        """From which to which size no law in it is stretched and no part of it is missing."""
        known = list(itertools.takewhile(lambda point: not point.extrapolated, self.points))
        return (known[0].nodes, known[-1].nodes) if known else None


class Curves(Struct, frozen=True, kw_only=True):
    """A quantity, or the score, of every design that fits the network."""

    quantity: str
    """Key of ``quantity.QUANTITIES``, or ``score``."""
    curves: tuple[Curve, ...]


def curves(network: Network, keys: tuple[str, ...], laws: Laws = PAGE) -> tuple[Curves, ...]:
    """Return the score and some quantities of the designs that fit, by size.

    Racks, services and churn grow in proportion; addresses are planned anew.
    """
    found: dict[str, dict[str, list[Point]]] = {key: {} for key in ("score", *keys)}
    for nodes in _sizes():
        for key, name, point in _points(network, scale_of(network, laws).at(nodes), keys):
            found[key].setdefault(name, []).append(point)
    return tuple(
        Curves(
            quantity=key,
            curves=tuple(
                Curve(design=name, points=tuple(lines[name])) for name in DESIGNS if name in lines
            ),
        )
        for key, lines in found.items()
    )


def _points(
    network: Network, scale: Scale, keys: tuple[str, ...]
) -> Iterator[tuple[str, str, Point]]:
    fit = [
        design
        for design in DESIGNS.values()
        if not any(gate.gates(design, network)) and not excess(design, network, scale)[0]
    ]
    figures = {design.name: quantities(design, network, scale) for design in fit}
    for name, score in scores(figures, network.weights).items():
        yield "score", name, _scored(scale.nodes, score)
    for name, row in figures.items():
        for key in keys:
            figure = row.get(key)
            if figure is not None:
                yield key, name, _figured(scale.nodes, figure)


def _scored(nodes: int, score: Score) -> Point:
    low, high = sorted((score.best, score.worst))
    return Point(nodes=nodes, value=score.value, low=low, high=high, extrapolated=False)


def _figured(nodes: int, figure: Figure) -> Point:
    guessed = figure.tag == "extrapolated" or figure.high is None
    return Point(
        nodes=nodes, value=figure.value, low=figure.low, high=figure.high, extrapolated=guessed
    )


def _sizes() -> list[int]:
    last = 5 * A_DECADE
    return sorted({round(MOST_NODES ** (step / last)) for step in range(last + 1)})
