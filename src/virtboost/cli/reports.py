"""What a check prints: findings or the page of an item, as text or as a document."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from virtboost.catalogue.item import AnyItem, item_document
from virtboost.cli.output import print_documents, tell_failures
from virtboost.errors import VirtboostError
from virtboost.model.document import to_json
from virtboost.model.finding import Report
from virtboost.report.explain import item_page
from virtboost.report.findings import finding_lines

_NARROWEST = 60
"""Columns that lines are made for where the terminal has fewer."""


def print_reports(
    names: Sequence[str],
    results: Sequence[Report | VirtboostError],
    items: Sequence[AnyItem],
    *,
    verbose: bool,
    json: bool,
) -> bool:
    """Print what was found; tell whether some host failed."""
    failed = tell_failures(names, results)
    if json:
        print_documents(names, results, "virtboost.checks/1", "checks")
        return failed
    console = _console()
    for result in results:
        if isinstance(result, Report):
            lines = finding_lines(
                result, items, verbose=verbose, width=max(console.width, _NARROWEST)
            )
            _print_lines(console, (*lines, Text()) if result is not results[-1] else lines)
    return failed


def print_page(item: AnyItem, *, json: bool) -> None:
    """Print everything that the catalogue says of an item."""
    if json:
        sys.stdout.write(to_json(item_document(item)) + "\n")
        return
    console = _console()
    _print_lines(console, item_page(item, width=max(console.width, _NARROWEST)))


def _console() -> Console:
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def _print_lines(console: Console, lines: Iterable[Text]) -> None:
    for line in lines:
        console.print(line)
