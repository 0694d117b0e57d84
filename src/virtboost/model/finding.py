"""What a check says of one item and one object."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.model.change import Change

Verdict = Literal["ok", "finding", "not_applicable", "unknown"]

Severity = Literal["critical", "warning", "advice"]

SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "advice")
"""Most severe first."""


class Result(Struct, frozen=True, kw_only=True):
    """What one item says of one object of a host."""

    item: str
    """Id of the item."""
    object: str
    """``host``, ``node 1``, ``interface eth0``, ``guest web1``."""
    verdict: Verdict
    """``unknown`` is *cannot tell*: ``reason`` says what is missing."""
    severity: Severity
    """How bad a finding of this item is; it is there for the other verdicts as well."""
    found: str | None = None
    """The value as found; None where nothing was looked at."""
    wanted: str | None = None
    """The value that would be ok; None where the item does not apply."""
    reason: str | None = None
    """Why it is a finding, why the item does not apply, or what is missing; None for ok."""
    changes: tuple[Change, ...] = ()
    """What would make it ok; empty where only a person or the BIOS can."""


class Report(Struct, frozen=True, kw_only=True):
    """Everything that a check says of one host."""

    schema: Literal["virtboost.check/1"] = "virtboost.check/1"
    host: str
    """What the user called the host."""
    hostname: str | None
    """The host's own name; None: not told."""
    results: tuple[Result, ...]

    @property
    def findings(self) -> tuple[Result, ...]:
        """The findings, most severe first, then in the order of the catalogue."""
        wrong = (result for result in self.results if result.verdict == "finding")
        return tuple(sorted(wrong, key=lambda result: SEVERITIES.index(result.severity)))

    def count(self, verdict: Verdict) -> int:
        """Return how many results have this verdict."""
        return sum(result.verdict == verdict for result in self.results)
