"""The verdicts of an experiment for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.prove.experiment import Experiment, Verdict
from virtboost.report.columns import wrapped


def experiment_lines(found: Experiment, *, width: int) -> Iterator[str]:
    """Yield a line or two for each workload.

    Args:
        found: What was measured.
        width: Columns of the terminal.
    """
    for verdict in found.verdicts:
        yield from wrapped(_told(verdict), width, hang=2)
    yield from wrapped(
        f"{len(found.runs)} runs; a difference that is none is called one with a chance of at most "
        f"{found.alpha:.0%}, over all workloads and looks",
        width,
    )


def _told(verdict: Verdict) -> str:
    head = f"{verdict.workload}: {verdict.outcome}"
    if verdict.problem is not None:
        return f"{head}: {verdict.problem}"
    if verdict.before is None or verdict.after is None or verdict.effect is None:
        return head
    unit = f" {verdict.unit}" if verdict.unit else ""
    percent = f", {verdict.effect / verdict.before:+.1%}" if verdict.before else ""
    return (
        f"{head}: {verdict.before:.4g} -> {verdict.after:.4g}{unit}: "
        f"{verdict.effect:+.3g}{unit} ({_interval(verdict)}){percent}; {verdict.blocks} blocks"
    )


def _interval(verdict: Verdict) -> str:
    low = "no lower end" if verdict.low is None else f"{verdict.low:+.3g}"
    high = "no upper end" if verdict.high is None else f"{verdict.high:+.3g}"
    return f"{low} to {high}"
