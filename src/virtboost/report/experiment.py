"""What an experiment says, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from virtboost.prove.contrast import Contrast
from virtboost.prove.result import About, Decision, Experiment, Noise, Screened, Verdict
from virtboost.prove.spec import NO_CHANGE
from virtboost.report.columns import wrapped
from virtboost.report.printable import printable

_LONGEST = 200
"""Characters of a line in a list."""

_ALARMS = ("better", "worse", "failed")
"""What is not to be said of a host that is compared with itself."""


def experiment_lines(found: Experiment, *, width: int) -> Iterator[str]:
    """Yield the noise, what each factor does to each metric, and what to keep.

    Args:
        found: What was measured.
        width: Columns of the terminal.
    """
    for noise in found.noise:
        yield from wrapped(_noise(noise), width)
    for verdict in found.verdicts:
        if verdict.comparison == NO_CHANGE and verdict.outcome in _ALARMS:
            yield from wrapped(f"with nothing changed: {_told(verdict)}", width)
    for screened in found.screened:
        yield from wrapped(_screened(screened), width)
    for decision in found.decisions:
        yield from _decision(decision, found.verdicts, width)
    yield from wrapped(_last(found), width)


def list_lines(experiments: Iterable[About]) -> Iterator[str]:
    """Yield a line for each experiment."""
    for each in experiments:
        factors = ", ".join(factor.name for factor in each.spec.factors)
        text = f"{each.id}  {each.began_at}  {each.host}  {factors}: {each.ended}"
        yield printable(text, _LONGEST)


def contrast_lines(found: Iterable[Contrast], *, width: int) -> Iterator[str]:
    """Yield a line or two for each metric that two experiments have measured."""
    told = list(found)
    if not told:
        yield "they have no factor and metric of the same names"
    for each in told:
        text = (
            f"{each.comparison}: {each.workload} {each.metric}: {each.agreement}: "
            f"{outcome(each.first)} and {outcome(each.second)}"
        )
        yield from wrapped(text, width)


def outcome(verdict: Verdict) -> str:
    """Return a verdict with its effect."""
    if verdict.problem is not None:
        return f"failed {verdict.problem}"
    interval = percents(verdict)
    return f"{verdict.outcome}, {interval}" if interval else verdict.outcome


def percents(verdict: Verdict) -> str:
    """Return the effects that are not ruled out, in per cent; empty where there is no mean."""
    low, high = verdict.percent(verdict.low), verdict.percent(verdict.high)
    if verdict.percent(verdict.effect) is None:
        return ""
    lower = "no lower end" if low is None else f"{low:+.1f} %"
    upper = "no upper end" if high is None else f"{high:+.1f} %"
    return f"{lower} to {upper}"


def _noise(noise: Noise) -> str:
    return (
        f"noise of {noise.workload} {noise.metric}: runs vary by {noise.run_percent:.2g} %; an "
        f"effect of {noise.detectable_percent:.2g} % is likely to be found"
    )


def _screened(found: Screened) -> str:
    percent = "" if found.percent is None else f" ({found.percent:+.1f} %)"
    word = "promising" if found.promising else "not promising"
    return (
        f"{found.trial}, with others: {word}: {found.workload} {found.metric} "
        f"{found.effect:+.3g}{percent}, beyond noise from {found.needed:.2g} on"
    )


def _decision(decision: Decision, verdicts: Iterable[Verdict], width: int) -> Iterator[str]:
    mine = [each for each in verdicts if each.comparison == decision.trial]
    head = f"{decision.trial}: {'keep' if decision.kept else 'do not keep'}: {decision.why}"
    yield from wrapped(head, width)
    for verdict in mine:
        yield from wrapped(_told(verdict), width, indent=2)
    if decision.published:
        here = ", ".join(f"{each.metric} {percents(each)}" for each in mine if percents(each))
        text = f"published: {decision.published}" + (f"; here: {here}" if here else "")
        yield from wrapped(text, width, indent=2)


def _told(verdict: Verdict) -> str:
    guard = " (guard)" if verdict.guard else ""
    head = f"{verdict.workload} {verdict.metric}{guard}: {outcome(verdict)}"
    if verdict.before is None or verdict.after is None or verdict.problem is not None:
        return head
    unit = f" {verdict.unit}" if verdict.unit else ""
    return f"{head}: {verdict.before:.6g} -> {verdict.after:.6g}{unit}, {verdict.blocks} blocks"


def _last(found: Experiment) -> str:
    spec, load = found.about.spec, found.self_load
    parts = [f"experiment {found.about.id}: {len(found.runs)} runs"]
    if found.voids:
        parts.append(f"{len(found.voids)} blocks did not count, the last: {found.voids[-1].void}")
    parts.append(
        f"a difference that is none is called one with a chance of at most {spec.alpha:.3g}, over "
        "all factors, figures and looks"
    )
    if load is not None:
        parts.append(f"virtboost itself took {load.cpu_percent:.2g} % of a CPU")
    if found.about.ended != "done":
        parts.append(f"not at its end: {found.about.ended}")
    return "; ".join(parts)
