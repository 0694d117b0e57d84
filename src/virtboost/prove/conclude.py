"""What the runs of an experiment say: of the noise, of each factor, and what to keep."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from virtboost.emit.edit import edits
from virtboost.model.change import Change
from virtboost.model.plan import Plan
from virtboost.prove.comparison import Comparison
from virtboost.prove.result import Decision, Experiment, Noise, Run, SelfLoad, Verdict
from virtboost.prove.sequential import detectable
from virtboost.prove.spec import Spec, trials


def noise(null: Comparison, spec: Spec, *, metrics: int) -> Iterator[Noise]:
    """Yield how much each metric varies where nothing is changed.

    Args:
        null: The host against itself.
        spec: Level, and most blocks of a factor.
        metrics: How many share the level.
    """
    least = detectable(spec.blocks, spec.alpha / metrics)
    for workload, metric, runs, differences in null.figures():
        mean = abs(statistics.fmean(runs)) if len(differences) > 1 else 0
        if mean == 0:
            continue
        spread = statistics.stdev(differences) * 100 / mean
        yield Noise(
            workload=workload,
            metric=metric,
            blocks=len(differences),
            run_percent=statistics.stdev(runs) * 100 / mean,
            block_percent=spread,
            detectable_percent=least * spread,
        )


def decision(trial: str, verdicts: Iterable[Verdict], spec: Spec, published: str) -> Decision:
    """Return whether a trial is kept: something is better, nothing worse, and no run failed.

    A guard must be shown not to be worse by more than the margin.
    """
    mine = [each for each in verdicts if each.comparison == trial]
    bad = [each for each in mine if each.outcome in ("worse", "failed")]
    open_ = [each for each in mine if each.guard and not _is_safe(each, spec)]
    good = [each for each in mine if each.outcome == "better" and not each.guard]
    if bad or (good and open_):
        why = "; ".join(f"{_named(each)}: {_told(each)}" for each in bad or open_)
    elif good:
        why = "; ".join(f"{_named(each)}: better" for each in good)
    elif mine and all(each.outcome == "no difference" for each in mine if not each.guard):
        why = "no difference"
    else:
        why = "nothing is shown to be better"
    kept = bool(good) and not bad and not open_
    return Decision(trial=trial, kept=kept, why=why, published=published)


def _is_safe(guard: Verdict, spec: Spec) -> bool:
    """Tell whether a guard is shown not to be worse by more than the margin."""
    if guard.outcome in ("better", "no difference"):
        return True
    metrics = {(w.name, each.name): each for w in spec.workloads for each in w.metrics}
    higher = metrics[guard.workload, guard.metric].better == "higher"
    end = guard.percent(guard.low if higher else guard.high)
    return end is not None and (-end if higher else end) <= spec.margin_percent


def _named(verdict: Verdict) -> str:
    return f"{verdict.workload} {verdict.metric}{' (guard)' * verdict.guard}"


def _told(verdict: Verdict) -> str:
    if verdict.outcome == "inconclusive":
        return "it cannot be told that it is not worse"
    return verdict.outcome


def winning(found: Experiment) -> Plan:
    """Return the changes of the trials that are kept.

    Of levels of one factor, and of factors that set the same, only the one that brings most.
    """
    decisions = {each.trial: each for each in found.decisions if each.kept}
    kept = [each for each in trials(found.about.spec.factors) if each.name in decisions]
    kept.sort(key=lambda each: -_gain(each.name, found.verdicts))
    taken: set[str] = set()
    changes: list[Change] = []
    for trial in kept:
        sets = {trial.factor.name, *(edit.path for each in trial.changes for edit in edits(each))}
        if taken.isdisjoint(sets):
            taken |= sets
            why = f"experiment {found.about.id}: {decisions[trial.name].why}"
            changes += [replace(change, reason=why) for change in trial.changes]
    return Plan(hostname=found.about.hostname, changes=tuple(changes))


def _gain(trial: str, verdicts: Iterable[Verdict]) -> float:
    """Return the largest effect to the good, in per cent."""
    good = [each for each in verdicts if each.comparison == trial and each.outcome == "better"]
    return max((abs(each.percent(each.effect) or 0) for each in good), default=0)


def self_load(runs: Sequence[Run]) -> SelfLoad | None:
    """Return what virtboost took of the host, on average over the runs that it looked at."""
    costs = [(run.duration_s, run.cost) for run in runs if run.cost is not None]
    duration_s = sum(each for each, _ in costs)
    if duration_s <= 0:
        return None
    told = [cost.context_switches for _, cost in costs if cost.context_switches is not None]
    return SelfLoad(
        cpu_percent=100 * sum(cost.cpu_s for _, cost in costs) / duration_s,
        context_switches_per_s=sum(told) / duration_s if len(told) == len(costs) else None,
        read_bytes_per_s=sum(cost.read_bytes for _, cost in costs) / duration_s,
    )
