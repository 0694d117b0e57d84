"""The simulator against the emulator, side by side, at a size that no cost was fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench import net, overlays
from support.networks import described
from virtboost.net.validate.compare import Comparison
from virtboost.net.validate.conclude import conclude
from virtboost.net.validate.conduct import measure
from virtboost.net.validate.machine import this_machine
from virtboost.net.validate.order import order
from virtboost.net.validate.result import Validation
from virtboost.report.net_validation import cells

TITLE = "Simulator against emulator"

RUNS = (
    ("calico-mesh", "10,20,40", 80, 5, True),
    ("calico-reflectors", "10,20,40", 80, 5, False),
    ("calico-vxlan", "10,20,40", 80, 3, False),
    ("ovs-vxlan", "5,10,20", 30, 3, False),
    ("ovn-central", "4,8,12", 20, 3, False),
)
"""Designs, sizes, the one that is held out, how often each is run, whether with ladders."""

HEAD = """\
`virtboost net validate`: costs are fitted to the smaller sizes, for BGP also to single BIRDs with synthetic peers; the largest is predicted, then run.
Measured: median (least to most) of the valid runs; of links that were cut, of all nodes in all trials.

| design | | size | predicted | measured | runs | error | goal | |
|---|---|---|---:|---:|---:|---:|---:|---|"""


def versions() -> Sequence[str]:
    """Return the versions of BIRD, Open vSwitch, OVN and etcd."""
    return (*net.versions(), *overlays.versions())


def run() -> str:
    """Return the result as Markdown."""
    lines, notes = [HEAD], []
    for design, sizes, hold_out, repeats, ladder in RUNS:
        found = _validated(design, sizes, hold_out, repeats, ladder=ladder)
        lines += _rows(found)
        notes.append(_note(found))
    return "\n".join((*lines, "", *notes))


def _validated(design: str, sizes: str, hold_out: int, repeats: int, *, ladder: bool) -> Validation:
    network = described(nodes=400)
    wanted = order(
        network, design=design, sizes=sizes, hold_out=hold_out, repeats=repeats, ladder=ladder
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
    reach = made.tunnels.get(found.design, made)
    memory = "" if reach.memory_error is None else f"memory is within {reach.memory_error:.1%} and "
    sizes = ", ".join(map(str, found.sizes))
    return (
        f"{found.design}: fitted to {sizes} nodes; {len(found.rejected)} runs were rejected, and run again; fitted to all sizes, "
        f"{memory}CPU seconds are within {reach.cpu_error:.0%}.\n"
    )
