"""A network that was run, for a terminal: measured beside expected."""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.net.emulate.outcome import TITLES, Emulation, FaultOutcome, Spread
from virtboost.net.figure import Figure
from virtboost.net.quantity import Unit, amount
from virtboost.report.columns import wrapped


def emulation_lines(run: Emulation, width: int) -> Iterator[str]:
    """Yield what came of an emulation."""
    beside = f", {run.reflectors} of them reflectors" if run.reflectors else ""
    if run.switches:
        beside = f", {run.switches} switches of racks and the fabric"
    yield from wrapped(
        f"{run.design}: {run.nodes:,} of {run.described_nodes:,} nodes{beside}", width
    )
    yield from _table(run)
    if run.converged is not None:
        switched = "openflow_rules" in run.measures
        what = "every rule in a node's switch" if switched else "every route in a node's kernel"
        text = f"{what} after {_range(run.converged, 's')}"
        yield from wrapped(text, width)
    yield from wrapped(
        f"packets from every node's pods to every other node's: {run.reach.arrived:,} of "
        f"{run.reach.sent:,} arrived",
        width,
    )
    cost = run.cost
    yield from wrapped(
        f"until then: {cost.daemon_cpu_s:.2f} CPU seconds of the daemons, "
        f"{cost.harness_cpu_s:.2f} of the emulation; namespaces took {cost.setup_s:.1f} s",
        width,
    )
    for fault in run.faults:
        yield from _fault(fault, width)
    for reason in run.rejected:
        yield from wrapped(f"rejected, seconds are this machine's: {reason}", width)
    for problem in run.problems:
        yield from wrapped(f"not as planned: {problem}", width)


def _table(run: Emulation) -> Iterator[str]:
    rows = [("", "planned", "measured", "")]
    for key, measure in run.measures.items():
        unit = _unit(key)
        seen = _range(measure.measured, unit)
        rows.append(
            (
                TITLES[key],
                _expected(measure.expected, unit),
                seen,
                "" if measure.agrees else "outside",
            )
        )
    rows += ((TITLES[key], "", _range(seen, _unit(key)), "") for key, seen in run.unplanned.items())
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for title, *cells in rows:
        shown = (cell.rjust(columns) for cell, columns in zip(cells, widths[1:], strict=True))
        yield f"  {title.ljust(widths[0])}  {'  '.join(shown)}".rstrip()


def _unit(key: str) -> Unit:
    if key.endswith("memory"):
        return "B"
    return "s" if key.endswith("cpu") else ""


def _fault(found: FaultOutcome, width: int) -> Iterator[str]:
    yield from wrapped(
        f"{found.fault} {found.victim}, undone after {found.repaired_s:.1f} s", width
    )
    if found.noticed is not None:
        text = f"{found.noticed_by:,} nodes took its routes out after {_range(found.noticed, 's')}"
        if found.fault in ("cut", "freeze") and found.expected is not None:
            text += f"; planned: {_expected(found.expected, 's')}"
        yield from wrapped(text, width, indent=2)
    if found.back is not None:
        yield from wrapped(f"they were back {_range(found.back, 's')} later", width, indent=2)
    text = f"packets were lost for {_range(found.lost, 's')}"
    if found.fault in ("kill", "switch-cut") and found.expected is not None:
        text += f"; planned: {_expected(found.expected, 's')}"
    yield from wrapped(text, width, indent=2)


def _range(found: Spread, unit: Unit) -> str:
    ends = [amount(found.least, unit), amount(found.most, unit)]
    middle = amount(found.median, unit)
    return middle if ends[0] == ends[1] else f"{middle} ({ends[0]} to {ends[1]})"


def _expected(figure: Figure, unit: Unit) -> str:
    value, low = amount(figure.value, unit), amount(figure.low, unit)
    high = "?" if figure.high is None else amount(figure.high, unit)
    return value if low == value == high else f"{value} ({low} to {high})"
