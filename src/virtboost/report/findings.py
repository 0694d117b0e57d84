"""What a check found of one host, as lines of text for a terminal of 80 columns, or a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.text import Text

from virtboost.catalogue.item import AnyItem
from virtboost.model.finding import SEVERITIES, Report, Result, Severity, Verdict
from virtboost.report.columns import fitted, padded, wrapped
from virtboost.report.printable import printable

COLOURS: dict[Severity, str] = {"critical": "bold red", "warning": "yellow", "advice": "cyan"}
"""Colour of each severity; it stands beside the word and says nothing more."""


def finding_lines(
    report: Report, items: Iterable[AnyItem], *, verbose: bool, width: int
) -> Iterator[Text]:
    """Yield a summary and the findings by severity, one line each.

    Args:
        report: What was found.
        items: The items of the report.
        verbose: Say of each finding why, what it brings, what it risks and how to set it; list what
            cannot be told and what does not apply.
        width: Columns of the terminal, at least 60.
    """
    by_id = {item.id: item for item in items}
    yield from (Text(line, "bold") for line in wrapped(_summary(report), width))
    for severity in SEVERITIES:
        findings = [result for result in report.findings if result.severity == severity]
        if not findings:
            continue
        yield Text()
        yield Text(severity, COLOURS[severity])
        yield from _details(findings, by_id, width) if verbose else _rows(findings, width)
    if verbose:
        yield from _undecided(report, "unknown", "cannot tell", width)
        yield from _undecided(report, "not_applicable", "does not apply", width)


def _summary(report: Report) -> str:
    name = report.hostname or report.host
    place = "" if report.host in ("local", name) else f" ({report.host})"
    wrong = [result.severity for result in report.findings]
    found = [_counted(wrong.count(severity), severity) for severity in SEVERITIES]
    others = (
        (report.count("ok"), "ok"),
        (report.count("unknown"), "cannot tell"),
        (report.count("not_applicable"), "not applicable"),
    )
    counts = ", ".join(f"{count} {word}" for count, word in others if count)
    findings = ", ".join(text for text in found if text) or "nothing wrong"
    return f"{name}{place}: {findings}" + (f"; {counts}" if counts else "")


def _counted(count: int, severity: Severity) -> str:
    plural = "s" if count > 1 and severity == "warning" else ""
    return f"{count} {severity}{plural}" if count else ""


def _rows(findings: Sequence[Result], width: int) -> Iterator[Text]:
    id_width = _widest((result.item for result in findings), width * 3 // 8)
    object_width = _widest((result.object for result in findings), width * 3 // 10)
    for result in findings:
        start = f"  {padded(result.item, id_width)}  {padded(result.object, object_width)}  "
        yield Text(start + _fitted_values(result, width - cell_len(start)))


def _widest(texts: Iterable[str], limit: int) -> int:
    return max(cell_len(fitted(text, limit)) for text in texts)


def _fitted_values(result: Result, width: int) -> str:
    """Cut what is found and what is wanted so that some of both remains."""
    found, wanted = result.found or "", result.wanted or ""
    room = width - len(" -> ")
    wanted = fitted(wanted, max(room // 2, room - cell_len(printable(found, room))))
    return f"{fitted(found, room - cell_len(wanted))} -> {wanted}"


def _details(findings: Iterable[Result], items: dict[str, AnyItem], width: int) -> Iterator[Text]:
    for name, results in groupby(findings, lambda result: result.item):
        item = items[name]
        yield from (
            Text(line, "bold") for line in wrapped(f"{name}: {item.title}", width, indent=2)
        )
        for result in results:
            values = f"{result.object}: {result.found} -> {result.wanted}"
            yield from _body(values, width, indent=4)
            yield from _body(result.reason or "", width, indent=6, hang=0)
        for word, text in _facts(item):
            for line in text.splitlines():
                yield from _body(f"{word}: {line}", width, indent=4)


def _facts(item: AnyItem) -> Iterator[tuple[str, str]]:
    """Yield what an item says to somebody who may carry it out."""
    yield "effect", effect_text(item)
    yield "risk", item.risk
    if item.usage == "poc_only":
        yield "use", "benchmarks and proofs of concept only, not production"
    yield "takes effect", item.takes_effect
    yield "by hand", item.by_hand
    yield "undo", item.undo_by_hand


def effect_text(item: AnyItem) -> str:
    """Return the expected effect of an item with its conditions and its source."""
    effect = item.effect
    behind = "; ".join(part for part in (effect.conditions, effect.source) if part)
    return f"{effect.figure} ({behind})" if behind else effect.figure


def _undecided(report: Report, verdict: Verdict, heading: str, width: int) -> Iterator[Text]:
    results = [result for result in report.results if result.verdict == verdict]
    if results:
        yield Text()
        yield Text(f"{heading}, because", "bold")
    for reason, subjects in _by_reason(results).items():
        yield from _body(f"{reason}: {', '.join(subjects)}", width, indent=2)


def _by_reason(results: Iterable[Result]) -> dict[str, list[str]]:
    """Group by reason; the object is named where it is more than a kind of thing."""
    grouped: dict[str, list[str]] = {}
    for result in results:
        named = f"{result.item} ({result.object})" if " " in result.object else result.item
        grouped.setdefault(result.reason or "", []).append(named)
    return grouped


def _body(text: str, width: int, *, indent: int, hang: int = 2) -> Iterator[Text]:
    return (Text(line) for line in wrapped(text, width, indent=indent, hang=hang))
