"""Host x items -> results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from virtboost.catalogue.item import AnyItem, NotApplicable, Ok, Outcome, Unknown, Wrong
from virtboost.catalogue.wanted import FROM_HOST
from virtboost.model.change import Change
from virtboost.model.finding import Report, Result, Verdict
from virtboost.model.host import Host


def check(
    host: Host, items: Iterable[AnyItem], *, name: str, proof_of_concept: bool = False
) -> Report:
    """Judge every object of ``host`` by every item.

    Args:
        host: What was scanned.
        items: The items, in the order of the results.
        name: What the user calls the host.
        proof_of_concept: Judge ``poc_only`` items as well.  They trade one workload against
            another and contradict the commercial items: nobody gets them unasked.
    """
    results = tuple(
        result for item in items for result in _results(host, item, poc=proof_of_concept)
    )
    return Report(host=name, hostname=host.hostname, results=results)


_POC_ONLY = NotApplicable("only for a proof of concept; --item asks for it by name")


def _results(host: Host, item: AnyItem, *, poc: bool) -> Iterator[Result]:
    if item.usage == "poc_only" and not poc:
        yield _result(item, item.subjects.kind, _POC_ONLY)
        return
    failing = next((one for one in item.applies if not one.holds(host)), None)
    if failing is not None:
        yield _result(item, item.subjects.kind, _without(host, failing.gap, failing.otherwise))
        return
    subjects = item.subjects.select(host)
    for name, subject in subjects:
        outcome = item.judge(host, subject, item.wanted or FROM_HOST)
        yield _result(item, f"{item.subjects.kind} {name}".strip(), outcome)
    if not subjects:
        without = _without(host, item.subjects.gap, item.subjects.none)
        yield _result(item, item.subjects.kind, without)


def _without(host: Host, gap_name: str | None, why: str) -> Outcome:
    gap = host.gap(gap_name) if gap_name else None
    if gap is None:
        return NotApplicable(why)
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
                changes=tuple(_reasoned(change, item.title) for change in changes),
            )
        case NotApplicable(why):
            return _of(item, subject, "not_applicable", reason=why)
        case Unknown(missing):
            return _of(item, subject, "unknown", reason=missing)


def _reasoned(change: Change, reason: str) -> Change:
    return change if change.reason else replace(change, reason=reason)


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
