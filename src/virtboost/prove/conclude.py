"""What the runs of an experiment say: of the noise, of each factor, and what to keep."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from virtboost.model.plan import Plan
from virtboost.prove.comparison import Comparison
from virtboost.prove.result import Decision, Experiment, Noise, Run, SelfLoad, Verdict
from virtboost.prove.sequential import detectable
from virtboost.prove.spec import Spec, Trial, trials


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


def decision(trial: str, verdicts: Iterable[Verdict], published: str) -> Decision:
    """Return whether a trial is kept: something is better, nothing worse, and no run failed."""
    mine = [each for each in verdicts if each.comparison == trial]
    bad = [each for each in mine if each.outcome in ("worse", "failed")]
    good = [each for each in mine if each.outcome == "better" and not each.guard]
    if bad:
        why = "; ".join(f"{_named(each)}{' (guard)' * each.guard}: {each.outcome}" for each in bad)
    elif good:
        why = "; ".join(f"{_named(each)}: better" for each in good)
    elif mine and all(each.outcome == "no difference" for each in mine if not each.guard):
        why = "no difference"
    else:
        why = "nothing is shown to be better"
    return Decision(trial=trial, kept=bool(good) and not bad, why=why, published=published)


def _named(verdict: Verdict) -> str:
    return f"{verdict.workload} {verdict.metric}"


def winning(found: Experiment) -> Plan:
    """Return the changes of all trials that are kept; of several levels of a factor the best."""
    best: dict[str, tuple[float, Trial, Decision]] = {}
    decisions = {each.trial: each for each in found.decisions if each.kept}
    for trial in trials(found.about.spec.factors):
        made = decisions.get(trial.name)
        if made is not None:
            gain = _gain(trial.name, found.verdicts)
            best[trial.factor.name] = max(
                best.get(trial.factor.name, (gain, trial, made)), (gain, trial, made), key=_first
            )
    changes = [
        replace(change, reason=f"experiment {found.about.id}: {made.why}")
        for _, trial, made in best.values()
        for change in trial.changes
    ]
    return Plan(hostname=found.about.hostname, changes=tuple(changes))


def _first(each: tuple[float, Trial, Decision]) -> float:
    return each[0]


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
