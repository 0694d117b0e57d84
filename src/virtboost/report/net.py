"""A network's plan for a terminal: designs side by side, one in detail, what would change it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from virtboost.net.addressing import A_BILLION, AddressPlan
from virtboost.net.candidate import Candidate
from virtboost.net.compare import Span
from virtboost.net.failure import Detection
from virtboost.net.figure import Figure
from virtboost.net.plan import NetPlan
from virtboost.net.quantity import QUANTITIES, amount
from virtboost.report.columns import wrapped

COLUMNS = {
    "node_memory": ("MiB", 1 / (1 << 20)),
    "node_cpu": ("mcore", 1000),
    "central_cpu": ("start", 1),
    "restart": ("restart", 1),
    "overhead": ("wire%", 100),
    "stream": ("Gb/s", 1),
}
"""Head and factor of the columns, by quantity; the ratio to what was tested is told as words."""

DETECTION_HEADS = (
    "", "notices by", "GR", "dead node", "restart", "CPU", "false/day", "lost/day"
)  # fmt: skip
"""Of the ways to notice a failure."""

DECADES = 5
"""Of nodes in the picture: 1 to 100,000."""


def plan_lines(plan: NetPlan, *, verbose: bool, width: int) -> Iterator[str]:
    """Yield what is planned.

    Args:
        plan: Designs compared.
        verbose: Show every figure of every design.
        width: Columns of the terminal.
    """
    found = {each.name: each for each in plan.candidates}
    yield from _head(plan, found, width)
    yield ""
    yield from _comparison([each for each in plan.candidates if not each.excluded], width)
    yield from _excluded(plan.candidates, width, verbose=verbose)
    yield ""
    yield from _picture(plan.spans, width)
    chosen = None if plan.recommendation is None else plan.recommendation.design
    for each in plan.candidates:
        if each.name == chosen or verbose:
            yield ""
            yield from _detail(each, width)
    yield from _failures(plan.detections, width)
    if plan.migration:
        yield ""
        yield "migration, each step after the check of the one before:"
        for number, step in enumerate(plan.migration, 1):
            yield from wrapped(f"{number}. {step.do}", width, indent=2, hang=3)
            yield from wrapped(f"check: {step.check}", width, indent=5)
            yield from wrapped(f"back: {step.back}", width, indent=5)
    for note in plan.notes:
        yield from wrapped(f"note: {note}", width)


def _head(plan: NetPlan, found: dict[str, Candidate], width: int) -> Iterator[str]:
    counted = f"{plan.nodes:,} nodes, {plan.pods:,} pods"
    if plan.recommendation is None:
        yield f"{counted}: no design serves this network"
        return
    chosen = plan.recommendation
    yield from wrapped(f"{counted}: {chosen.design}: {found[chosen.design].title}", width)
    for reason in chosen.reasons:
        yield from wrapped(reason, width, indent=2)
    if chosen.rivals:
        text = "perhaps better, within what is not known: "
        yield from wrapped(text + ", ".join(chosen.rivals), width, indent=2)


def _comparison(fit: Sequence[Candidate], width: int) -> Iterator[str]:
    if not fit:
        return
    heads = ("design", "score", *(head for head, _ in COLUMNS.values()), "ends")
    rows = [_row(each) for each in sorted(fit, key=lambda each: each.score or 0)]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        first, *rest = (cell.rjust(columns) for cell, columns in zip(row, widths, strict=True))
        yield f"  {first.strip().ljust(widths[0])} {' '.join(rest)}"
    yield from wrapped(
        "score: how many times worse than the best of each column, as a weighted mean; * on the "
        "Pareto front. MiB, mcore: memory and CPU of a node. start: CPU seconds of the busiest "
        "central daemon when all starts. restart: seconds until a restarted node reaches every "
        "pod. wire%: bandwidth that is no payload. Gb/s: one TCP stream. ends: nodes of its first "
        "bottleneck. +: at least; parts of it were not measured, and count as the worst known. "
        "~: extrapolated.",
        width,
        indent=2,
    )


def _excluded(candidates: Iterable[Candidate], width: int, *, verbose: bool) -> Iterator[str]:
    """Yield why designs are out, those with the same first reason together."""
    alike: dict[str, list[str]] = {}
    for each in candidates:
        if each.excluded:
            reason = "; ".join(each.excluded if verbose else each.excluded[:1])
            alike.setdefault(reason, []).append(each.name)
    for reason, names in alike.items():
        yield from wrapped(f"ruled out: {', '.join(names)}: {reason}", width, indent=2, hang=4)


def _row(each: Candidate) -> tuple[str, ...]:
    cells = (brief(each.quantities.get(key), factor) for key, (_, factor) in COLUMNS.items())
    end = each.bottleneck.nodes
    name = f"{each.name}{'*' if each.front else ''}"
    return (name, f"{each.score:.2f}", *cells, "-" if end is None else f"{end:,}")


def brief(figure: Figure | None, factor: float) -> str:
    """Return a figure times ``factor`` for a column: ``~`` extrapolated, ``+`` at least."""
    if figure is None:
        return "?"
    value = figure.value * factor
    mark = "~" if figure.tag == "extrapolated" else ""
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
    if 0 < value < 0.001:
        shown = "<.001"
    return f"{mark}{shown}{'+' if figure.high is None else ''}"


def _value(value: float, key: str) -> str:
    return amount(value, QUANTITIES[key].unit)


def _picture(spans: Sequence[Span], width: int) -> Iterator[str]:
    """Yield a line for each design that is the one to take at some size, over a decade scale."""
    names = list(dict.fromkeys(span.design or "none" for span in spans))
    margin = max(map(len, names)) + 4
    columns = max(20, min(60, width - margin - 8))
    yield "which design to take, by nodes (racks, services and churn in proportion):"
    for name in names:
        own = [span for span in spans if (span.design or "none") == name]
        marks = "".join("#" if _inside(own, at, columns) else "." for at in range(columns))
        yield f"  {name.ljust(margin - 4)}  {marks}"
    yield f"  {' ' * (margin - 4)}  {_axis(columns)}"
    for span in spans:
        yield f"  {span.first_nodes:,} to {span.last_nodes:,} nodes: {span.design or 'none'}"


def _inside(spans: Iterable[Span], at: int, columns: int) -> bool:
    nodes = round(10 ** (DECADES * at / (columns - 1)))
    return any(span.first_nodes <= nodes <= span.last_nodes for span in spans)


def _axis(columns: int) -> str:
    line = ""
    for decade in range(DECADES + 1):
        label = f"{10**decade:,}"
        at = round(decade * (columns - 1) / DECADES)
        line = line.ljust(at) + label
    return line


def _detail(each: Candidate, width: int) -> Iterator[str]:
    yield from wrapped(f"{each.name}: {each.title}", width)
    for key, figure in each.quantities.items():
        yield from wrapped(f"{QUANTITIES[key].title}: {_told(figure, key)}", width, indent=2)
    yield from _layout(each, width)
    end = each.bottleneck
    at = "beyond a million nodes" if end.nodes is None else f"at {end.nodes:,} nodes"
    remedy = f"; {end.remedy}" if end.remedy else ""
    source = f" ({end.source})" if end.source else ""
    sure = "" if end.hard else "nobody has shown that it works beyond: "
    text = f"first bottleneck {at}: {sure}{end.what}: {amount(end.limit, end.unit)}{source}{remedy}"
    yield from wrapped(text, width, indent=2)
    for warning in each.warnings:
        yield from wrapped(f"watch: {warning}", width, indent=2)
    for what in each.unknown:
        yield from wrapped(f"not known: {what}", width, indent=2)


def _layout(each: Candidate, width: int) -> Iterator[str]:
    packets = each.mtu
    yield from wrapped(_units(each.addresses), width, indent=2)
    if each.ipv6 is not None:
        yield from wrapped(f"IPv6: {_units(each.ipv6)}", width, indent=2)
    yield from wrapped(
        f"MTU of pods {packets.pod_bytes} on {packets.underlay_bytes} "
        f"({packets.overhead_bytes} bytes in front); payload {packets.payload_ratio:.1%}",
        width,
        indent=2,
    )


def _units(plan: AddressPlan) -> str:
    used = f"{plan.addresses_per_node} addresses in use"
    if plan.used_ratio >= 0.005:
        used += f", {plan.used_ratio:.0%}"
    text = f"each node gets {plan.units_per_node} x /{plan.prefix} ({used})"
    text += f"; room for {plan.capacity:,} nodes"
    if plan.capacity == A_BILLION:
        text += " and more"
    if plan.exhausted_in_days is not None:
        text += f", exhausted in {plan.exhausted_in_days:,.0f} days of this growth"
    return text


def _told(figure: Figure, key: str) -> str:
    value = _value(figure.value, key)
    low = _value(figure.low, key)
    high = None if figure.high is None else _value(figure.high, key)
    keys = f": {', '.join(figure.sources)}" if figure.sources else ""
    words = [f"at least {low}" if high is None else f"{low} to {high}"]
    if low == value == high:
        words = []
    if figure.tag != "exact":
        words.append(f"{figure.tag}{keys}")
    return f"{value} ({', '.join(words)})" if words else value


def _failures(detections: Sequence[Detection], width: int) -> Iterator[str]:
    if not detections:
        return
    yield ""
    yield "a node dies, or a daemon restarts (GR: graceful restart keeps its routes):"
    rows = [DETECTION_HEADS, *map(detection_row, detections)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(columns) for cell, columns in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
    yield from wrapped(
        "dead node: seconds that packets still go there. restart: seconds that a node's pods are "
        "out of reach. CPU: cores of the busiest node. false/day: in the cluster, at the loss "
        "described. lost/day: node-seconds of the cluster. >: least of those within the limits.",
        width,
        indent=2,
    )


def detection_row(each: Detection) -> tuple[str, ...]:
    """Return the cells of a way to notice a failure, as ``DETECTION_HEADS`` has them."""
    seconds = each.interval_ms / 1000
    way = f"hold {seconds:g} s"
    if each.by == "bfd":
        way = f"BFD {each.interval_ms} ms x {each.multiplier}"
    blackhole = f"{each.blackhole.low:.3g}-{each.blackhole.high:.3g}"
    return (
        ">" if each.chosen else "",
        way,
        "on" if each.graceful_restart else "off",
        blackhole,
        f"{each.restart_loss.value:.3g}",
        brief(each.node_cores, 1),
        f"{each.false_alarms_per_day:.1g}",
        f"{each.lost_node_s_per_day:,.0f}",
    )
