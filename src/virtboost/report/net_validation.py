"""A validation for a terminal: what was predicted beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.net.quantity import amount
from virtboost.net.validate.compare import WALL_NODES, Comparison
from virtboost.net.validate.result import Validation
from virtboost.report.columns import wrapped

HEADS = ("", "", "predicted", "measured", "error", "goal", "")


def validation_lines(found: Validation, width: int) -> Iterator[str]:
    """Yield what came of a validation."""
    sizes = ", ".join(f"{size}" for size in found.sizes)
    yield from wrapped(
        f"{found.design}: fitted to {sizes} nodes, held out: {found.hold_out}; "
        f"{found.repeats} runs each",
        width,
    )
    yield from _table(found)
    if found.hold_out > WALL_NODES:
        yield from wrapped(
            f"beyond {WALL_NODES} nodes seconds of the clock are the machine's, and not compared",
            width,
        )
    yield from wrapped(f"costs fitted to all of it: {_fitted(found)}", width)
    if found.stretch > 1:
        yield from wrapped(
            f"the {found.described_nodes:,} nodes described are {found.stretch:,.3g} times the "
            "largest network that was run: what is said of them is extrapolated",
            width,
        )
    for text in found.rejected:
        yield from wrapped(f"rejected, and run again: {text}", width)
    for problem in found.problems:
        yield from wrapped(f"not as planned: {problem}", width)


def _fitted(found: Validation) -> str:
    made = found.calibration
    reach = made.tunnels.get(found.design)
    if reach is None:
        return (
            f"memory of a BIRD within {made.memory_error:.1%}, CPU seconds within "
            f"{made.cpu_error:.0%}; {made.nodes:,} nodes, {made.peers:,} peers of one BIRD"
        )
    memory = "" if reach.memory_error is None else f"memory within {reach.memory_error:.1%}, "
    cpu = f"CPU seconds of nodes and of what they share within {reach.cpu_error:.0%}"
    return f"{memory}{cpu}; {reach.nodes:,} nodes"


def _table(found: Validation) -> Iterator[str]:
    rows = [HEADS, *map(cells, found.comparisons)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for what, size, *others in rows:
        shown = (cell.rjust(columns) for cell, columns in zip(others, widths[2:], strict=True))
        titles = f"{what.ljust(widths[0])}  {size.ljust(widths[1])}"
        yield f"  {titles}  {'  '.join(shown)}".rstrip()


def cells(each: Comparison) -> tuple[str, ...]:
    """Return a row: what, size, predicted, measured, error, goal, whether it is missed."""
    return (
        each.what,
        each.size,
        amount(each.predicted, each.unit),
        _seen(each),
        "?" if each.error is None else f"{each.error:+.1%}" if each.error else "0",
        f"{each.goal:.0%}" if each.goal else "exact",
        "" if each.met else "missed",
    )


def _seen(each: Comparison) -> str:
    middle, least, most = (
        amount(value, each.unit)
        for value in (each.measured.median, each.measured.least, each.measured.most)
    )
    return middle if least == most else f"{middle} ({least} to {most})"
