"""Host x items -> results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from virtboost.catalogue.item import AnyItem, NotApplicable, Ok, Outcome, Unknown, Wrong
from virtboost.model.finding import Report, Result, Verdict
from virtboost.model.host import Host


def check(host: Host, items: Iterable[AnyItem], *, name: str) -> Report:
    """Judge every object of ``host`` by every item.

    Args:
        host: What was scanned.
        items: The items, in the order of the results.
        name: What the user calls the host.
    """
    results = tuple(result for item in items for result in _results(host, item))
    return Report(host=name, hostname=host.hostname, results=results)


def _results(host: Host, item: AnyItem) -> Iterator[Result]:
    subjects = item.subjects.select(host)
    for name, subject in subjects:
        outcome = item.judge(host, subject, item.wanted)
        yield _result(item, f"{item.subjects.kind} {name}".strip(), outcome)
    if not subjects:
        yield _result(item, item.subjects.kind, _without_subjects(host, item))


def _without_subjects(host: Host, item: AnyItem) -> Outcome:
    gap = host.gap(item.subjects.gap) if item.subjects.gap else None
    if gap is None:
        return NotApplicable(item.subjects.none)
    return Unknown(f"{gap.what} ({gap.path}: {gap.reason})")


def _result(item: AnyItem, subject: str, outcome: Outcome) -> Result:
    match outcome:
        case Ok(found):
            return _of(item, subject, "ok", found=found)
        case Wrong(found, wanted, reason, changes):
            return Result(
                item=item.id,
                object=subject,
                verdict="finding",
                severity=item.severity,
                found=found,
                wanted=wanted,
                reason=reason,
                changes=changes,
            )
        case NotApplicable(why):
            return _of(item, subject, "not_applicable", reason=why)
        case Unknown(missing):
            return _of(item, subject, "unknown", reason=missing)


def _of(
    item: AnyItem,
    subject: str,
    verdict: Verdict,
    *,
    found: str | None = None,
    reason: str | None = None,
) -> Result:
    return Result(
        item=item.id,
        object=subject,
        verdict=verdict,
        severity=item.severity,
        found=found,
        reason=reason,
    )
