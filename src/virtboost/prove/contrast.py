"""Two experiments held side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from virtboost.prove.result import Experiment, Verdict

Agreement = Literal["agree", "differ", "cannot tell"]


class Contrast(Struct, frozen=True, kw_only=True):
    """What two experiments say of one metric under one factor."""

    comparison: str
    workload: str
    metric: str
    first: Verdict
    second: Verdict
    agreement: Agreement
    """``differ``: no effect is in both intervals, of the same means."""


def contrasts(first: Experiment, second: Experiment) -> tuple[Contrast, ...]:
    """Return a contrast of every metric that both have measured under the same factor."""
    theirs = {_key(each): each for each in second.verdicts}
    return tuple(
        Contrast(
            comparison=mine.comparison,
            workload=mine.workload,
            metric=mine.metric,
            first=mine,
            second=theirs[_key(mine)],
            agreement=_agreement(mine, theirs[_key(mine)]),
        )
        for mine in first.verdicts
        if _key(mine) in theirs
    )


def _key(verdict: Verdict) -> tuple[str, str, str]:
    return (verdict.comparison, verdict.workload, verdict.metric)


def _agreement(first: Verdict, second: Verdict) -> Agreement:
    ends = list(_ends(first, second))
    if len(ends) < 4:
        return "cannot tell"
    low, high, other_low, other_high = ends
    return "differ" if high < other_low or other_high < low else "agree"


def _ends(*verdicts: Verdict) -> Iterator[float]:
    """Yield the ends of the intervals that were found, in per cent."""
    for verdict in verdicts:
        for end in (verdict.percent(verdict.low), verdict.percent(verdict.high)):
            if end is not None:
                yield end
