"""A network's plan as one HTML page: designs side by side, and what they cost by size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby, pairwise

from markupsafe import Markup
from msgspec import Struct

from virtboost import __version__
from virtboost.net.curve import Curve, Curves, Point
from virtboost.net.plan import NetPlan
from virtboost.net.quantity import QUANTITIES, Unit, amount
from virtboost.report.html import environment, source
from virtboost.report.net import COLUMNS, brief

SHOWN = ("node_memory", "restart", "central_cpu")
"""Quantities that are drawn, beside the score."""

WIDTH, HEIGHT = 520, 260
"""Of a chart's field."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

DECADES = range(6)
"""Of nodes: 1 to 100,000."""


class Line(Struct, frozen=True, kw_only=True):
    """A design in a chart."""

    letter: str
    design: str
    measured: str
    """Path of what is measured, published or counted."""
    guessed: str
    """Path of what is extrapolated, or has parts that nobody measured."""
    x: float
    """Where its letter is: at the last point."""
    y: float


class Tick(Struct, frozen=True, kw_only=True):
    """A line across a chart."""

    at: float
    label: str


class Chart(Struct, frozen=True, kw_only=True):
    """A quantity by size, both on logarithmic scales."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    here: float
    """Where the described network is."""


def plan_page(plan: NetPlan, drawn: Sequence[Curves], *, made_at: datetime) -> str:
    """Return a page on a plan."""
    charts = tuple(chart(each, plan) for each in drawn if any(c.points for c in each.curves))
    fit = sorted((each for each in plan.candidates if each.score), key=lambda each: each.score or 0)
    return (
        environment()
        .get_template("net.html")
        .render(
            plan=plan,
            charts=charts,
            heads=[head for head, _ in COLUMNS.values()],
            rows=[
                (each, [brief(each.quantities.get(key), by) for key, (_, by) in COLUMNS.items()])
                for each in fit
            ],
            letters=letters(plan),
            size=(WIDTH, HEIGHT),
            style=Markup(source("style.css")),  # the product's own file
            made_at=made_at.strftime("%Y-%m-%d %H:%M %Z"),
            version=__version__,
        )
    )


def letters(plan: NetPlan) -> dict[str, str]:
    """Return a letter for each design, the same in every chart."""
    return dict(zip((each.name for each in plan.candidates), LETTERS, strict=False))


def chart(found: Curves, plan: NetPlan) -> Chart:
    """Return a chart of curves, on a scale that holds all of them."""
    values = [point.value for curve in found.curves for point in curve.points if point.value > 0]
    low, high = (10 ** math.floor(math.log10(min(values))), max(values)) if values else (1, 10)
    high = max(high, low * 1.1)
    given = letters(plan)
    kind = QUANTITIES.get(found.quantity)
    return Chart(
        title="score" if kind is None else kind.title,
        lines=tuple(
            _line(curve, given[curve.design], low, high) for curve in found.curves if curve.points
        ),
        across=tuple(Tick(at=_x(10**power), label=f"{10**power:,}") for power in DECADES),
        up=tuple(_ticks(low, high, "" if kind is None else kind.unit)),
        here=_x(plan.nodes),
    )


def _line(curve: Curve, letter: str, low: float, high: float) -> Line:
    places = [(_x(point.nodes), _y(point.value, low, high)) for point in curve.points]
    return Line(
        letter=letter,
        design=curve.design,
        measured=_path(curve.points, low, high, extrapolated=False),
        guessed=_path(curve.points, low, high, extrapolated=True),
        x=places[-1][0],
        y=places[-1][1],
    )


def _path(points: Sequence[Point], low: float, high: float, *, extrapolated: bool) -> str:
    """Return the path of the steps with an end that is extrapolated, or of all others."""
    steps = groupby(pairwise(points), key=lambda pair: pair[0].extrapolated or pair[1].extrapolated)
    return " ".join(
        "M" + " L".join(_places(list(pairs), low, high))
        for guessed, pairs in steps
        if guessed == extrapolated
    )


def _places(pairs: Sequence[tuple[Point, Point]], low: float, high: float) -> Iterator[str]:
    for point in (pairs[0][0], *(after for _, after in pairs)):
        yield f"{_x(point.nodes):.1f} {_y(point.value, low, high):.1f}"


def _x(nodes: float) -> float:
    return WIDTH * math.log10(nodes) / DECADES[-1]


def _y(value: float, low: float, high: float) -> float:
    place = math.log(max(value, low) / low) / math.log(high / low)
    return HEIGHT * (1 - place)


def _ticks(low: float, high: float, unit: Unit) -> Iterator[Tick]:
    """Yield round values within the scale: powers of ten with their parts, of 16 for bytes."""
    wide = high / low >= 100
    base, factors = (16, (1,)) if unit == "B" else (10, (1,) if wide else (1, 2, 5))
    power = math.floor(math.log(low, base))
    while base**power <= high:
        for factor in factors:
            value = factor * float(base) ** power
            if low <= value <= high:
                yield Tick(at=_y(value, low, high), label=amount(value, unit))
        power += 1
