"""The simulator against the emulator, side by side, at a size that no cost was fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench import net
from support.networks import described
from virtboost.net.validate.compare import Comparison
from virtboost.net.validate.conclude import conclude
from virtboost.net.validate.conduct import measure
from virtboost.net.validate.machine import this_machine
from virtboost.net.validate.order import order
from virtboost.net.validate.result import Validation
from virtboost.report.net_validation import cells

TITLE = "Simulator against emulator"

DESIGNS = (("calico-mesh", True), ("calico-reflectors", False))
"""With ladders and without."""

SIZES, HOLD_OUT, REPEATS = "10,20,40", 80, 5

HEAD = """\
`virtboost net validate`: costs are fitted to {sizes} nodes and to single BIRDs with synthetic peers; {hold_out} nodes are predicted, then run.
Measured: median (least to most) of the valid runs; of links that were cut, of all nodes in all trials.

| design | | size | predicted | measured | runs | error | goal | |
|---|---|---|---:|---:|---:|---:|---:|---|"""


def versions() -> Sequence[str]:
    """Return the version of BIRD."""
    return net.versions()


def run() -> str:
    """Return the result as Markdown."""
    lines = [HEAD.format(sizes=SIZES, hold_out=HOLD_OUT)]
    notes = []
    for design, ladder in DESIGNS:
        found = _validated(design, ladder=ladder)
        lines += _rows(found)
        notes.append(_note(found))
    return "\n".join((*lines, "", *notes))


def _validated(design: str, *, ladder: bool) -> Validation:
    network = described(nodes=400)
    wanted = order(
        network, design=design, sizes=SIZES, hold_out=HOLD_OUT, repeats=REPEATS, ladder=ladder
    )
    found = conclude(wanted, network, measure(wanted, network, lambda _: None), this_machine(), "")
    if found.problems:
        raise RuntimeError(f"{design}: {found.problems}")
    return found


def _rows(found: Validation) -> Iterator[str]:
    for each in found.comparisons:
        yield f"| {found.design} | {' | '.join(_cells(each))} |"


def _cells(each: Comparison) -> tuple[str, ...]:
    what, size, predicted, measured, error, goal, met = cells(each)
    return what, size, predicted, measured, f"{each.runs}", error, goal, met


def _note(found: Validation) -> str:
    made = found.calibration
    return (
        f"{found.design}: {len(found.rejected)} runs were rejected, and run again; fitted to all sizes, memory is within "
        f"{made.memory_error:.1%} and CPU seconds within {made.cpu_error:.0%}.\n"
    )
