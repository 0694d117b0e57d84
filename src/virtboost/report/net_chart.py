"""Charts of what designs cost by number of nodes, both scales logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Literal

from msgspec import Struct, structs

from virtboost.net.compare import Span
from virtboost.net.curve import Curve, Curves, Point
from virtboost.net.plan import NetPlan
from virtboost.net.quantity import QUANTITIES, Unit, amount

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

COLOURS = 8
"""Lines that have one; others are grey."""

DECADES = range(6)
"""Of nodes: 1 to 100,000."""

WINDOWS = {
    "score": (1.0, 10.0),
    "node_memory": (64.0 * 2**20, 64.0 * 2**30),
    "restart": (0.01, 10_000.0),
    "central_cpu": (0.01, 100_000.0),
}
"""Least and largest value that is drawn: what no host has, or nobody waits for, is beyond."""

LINE_PX, LETTER_PX = 13, 12
"""Between letters at the end of lines, and how wide one is."""


class Frame(Struct, frozen=True, kw_only=True):
    """The field of a chart, and the values at its bottom and top."""

    width: float
    height: float
    low: float = 1
    high: float = 10

    def x(self, nodes: float) -> float:
        """Return where a number of nodes is."""
        return self.width * math.log10(nodes) / DECADES[-1]

    def y(self, value: float) -> float:
        """Return where a value is; what is below the lowest, at the bottom."""
        place = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.height * (1 - place)


class Line(Struct, frozen=True, kw_only=True):
    """A design in a chart."""

    letter: str
    design: str
    colour: int | None
    """None: grey."""
    measured: str
    """Path of what is measured, published or counted."""
    guessed: str
    """Path of what is extrapolated, or has parts that nobody measured."""
    x: float
    """Where it ends."""
    y: float
    label_y: float
    """Where its letter is, apart from others."""


class Tick(Struct, frozen=True, kw_only=True):
    """A line across a chart."""

    at: float
    label: str


class Break(Struct, frozen=True, kw_only=True):
    """A size from which on another design is the one to take."""

    at: float
    label: str
    label_x: float
    anchor: Literal["start", "end"]
    top: float
    """Of its line; labels of sizes that are close stand above each other."""


class Chart(Struct, frozen=True, kw_only=True):
    """A quantity by size."""

    title: str
    text: str
    """What it shows, in words."""
    frame: Frame
    lines: tuple[Line, ...]
    focus: str
    """The design whose interval is drawn; empty: none."""
    band: str
    """Path around its interval."""
    shade: tuple[float, float] | None
    """Left and right of the sizes at which its law was validated."""
    note: str
    """Whether there are such; empty: that is no question here."""
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    breaks: tuple[Break, ...]
    taken: tuple[tuple[float, float], ...]
    """Left and right of the sizes at which the design in focus is the one to take."""
    here: float
    """Where the described network is."""


BIG = Frame(width=520, height=260)

SMALL = Frame(width=300, height=130)


def letters(plan: NetPlan) -> dict[str, str]:
    """Return a letter for each design, the same in every chart."""
    return dict(zip((each.name for each in plan.candidates), LETTERS, strict=False))


def colours(plan: NetPlan) -> dict[str, int]:
    """Return a colour for the designs that matter most: chosen, taken at some size, rivals."""
    names = [span.design for span in plan.spans if span.design is not None]
    if plan.recommendation is not None:
        names = [plan.recommendation.design, *names, *plan.recommendation.rivals]
    return {name: place for place, name in enumerate(list(dict.fromkeys(names))[:COLOURS])}


def chart(found: Curves, plan: NetPlan, focus: str = "", frame: Frame = BIG) -> Chart:
    """Return a chart of curves, with the interval of one design and where it is validated."""
    frame = _scaled(found, frame)
    kind = QUANTITIES.get(found.quantity)
    title = "score" if kind is None else kind.title
    own = next((each for each in found.curves if each.design == focus), None)
    given, painted = letters(plan), colours(plan)
    lines = [
        _line(curve, given[curve.design], painted.get(curve.design), frame)
        for curve in found.curves
        if curve.points
    ]
    reach = None if own is None or kind is None else own.validated
    return Chart(
        title=title,
        text=_text(title, own, reach),
        frame=frame,
        lines=tuple(sorted(_apart(lines), key=lambda line: _depth(line, focus))),
        focus=focus,
        band="" if own is None else " ".join(_bands(own.points, frame)),
        shade=None if reach is None else (frame.x(reach[0]), frame.x(reach[1])),
        note="" if own is None or kind is None else "validated" if reach else "validated nowhere",
        across=tuple(Tick(at=frame.x(10**power), label=f"{10**power:,}") for power in DECADES),
        up=tuple(_ticks(frame, "" if kind is None else kind.unit)),
        breaks=tuple(_breaks(plan.spans, frame)),
        taken=tuple(
            (frame.x(each.first_nodes), frame.x(each.last_nodes))
            for each in plan.spans
            if each.design == focus
        ),
        here=frame.x(plan.nodes),
    )


def _text(title: str, own: Curve | None, reach: tuple[int, int] | None) -> str:
    if own is None or title == "score":
        return f"{title}, by number of nodes"
    known = "nowhere" if reach is None else f"from {reach[0]:,} to {reach[1]:,} nodes"
    return f"{title}, by number of nodes; {own.design} validated {known}"


def _scaled(found: Curves, frame: Frame) -> Frame:
    values = [point.value for curve in found.curves for point in curve.points if point.value > 0]
    least, most = WINDOWS.get(found.quantity, (0.0, math.inf))
    low, high = (10 ** math.floor(math.log10(min(values))), max(values)) if values else (1, 10)
    low, high = max(low, least), min(high, most)
    return structs.replace(frame, low=low, high=max(high, low * 1.1))


def _line(curve: Curve, letter: str, colour: int | None, frame: Frame) -> Line:
    last = curve.points[-1]
    end = max(0.0, frame.y(last.value))
    return Line(
        letter=letter,
        design=curve.design,
        colour=colour,
        measured=_path(curve.points, frame, extrapolated=False),
        guessed=_path(curve.points, frame, extrapolated=True),
        x=frame.x(last.nodes),
        y=end,
        label_y=end,
    )


def _depth(line: Line, focus: str) -> tuple[bool, bool]:
    """Return what is drawn later: lines in colour, that in focus the last."""
    return line.design == focus, line.colour is not None


def _apart(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield lines with their letters apart: above each other where they end beside each other."""
    placed: list[tuple[float, float]] = []
    for line in sorted(lines, key=lambda each: -each.y):
        at = line.y
        for x, y in placed:
            if abs(x - line.x) < LETTER_PX and y - LINE_PX < at <= y:
                at = y - LINE_PX
        placed.append((line.x, at))
        yield structs.replace(line, label_y=at)


def _path(points: Sequence[Point], frame: Frame, *, extrapolated: bool) -> str:
    """Return the path of the steps with an end that is extrapolated, or of all others."""
    steps = groupby(pairwise(points), key=lambda pair: pair[0].extrapolated or pair[1].extrapolated)
    return " ".join(
        "M" + " L".join(_places(list(pairs), frame))
        for guessed, pairs in steps
        if guessed == extrapolated
    )


def _places(pairs: Sequence[tuple[Point, Point]], frame: Frame) -> Iterator[str]:
    for point in (pairs[0][0], *(after for _, after in pairs)):
        yield f"{frame.x(point.nodes):.1f} {frame.y(point.value):.1f}"


def _bands(points: Sequence[Point], frame: Frame) -> Iterator[str]:
    """Yield a path around each run of intervals that have an end."""
    for known, run in groupby(points, key=lambda point: point.high is not None):
        if known:
            some = list(run)
            highs = [f"{frame.x(each.nodes):.1f} {frame.y(each.high or 0):.1f}" for each in some]
            lows = [f"{frame.x(each.nodes):.1f} {frame.y(each.low):.1f}" for each in some]
            yield "M" + " L".join([*highs, *reversed(lows)]) + " Z"


def _ticks(frame: Frame, unit: Unit) -> Iterator[Tick]:
    """Yield round values within the scale: powers of ten with their parts, of 2 for bytes."""
    wide = frame.high / frame.low >= 100
    base, factors = (4, (1,)) if unit == "B" else (10, (1,) if wide else (1, 2, 5))
    power = math.floor(math.log(frame.low, base))
    while base**power <= frame.high:
        for factor in factors:
            value = factor * float(base) ** power
            if frame.low <= value <= frame.high:
                yield Tick(at=frame.y(value), label=amount(value, unit))
        power += 1


def _breaks(spans: Sequence[Span], frame: Frame) -> Iterator[Break]:
    for place, span in enumerate(spans[1:]):
        at = frame.x(span.first_nodes)
        left = at > 0.85 * frame.width
        yield Break(
            at=at,
            label=f"{span.first_nodes:,}",
            label_x=at - 3 if left else at + 3,
            anchor="end" if left else "start",
            top=-14 if place % 2 else -3,
        )


def panels(found: Curves, plan: NetPlan) -> tuple[Chart, ...]:
    """Return a small chart for each design, with its own interval and validated sizes."""
    return tuple(
        chart(found, plan, curve.design, SMALL) for curve in found.curves if len(curve.points) > 1
    )
