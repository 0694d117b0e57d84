"""What a check prints: findings or the page of an item, as text or as a document."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from virtboost.catalogue.item import AnyItem, item_document
from virtboost.cli.output import print_documents, tell_failures
from virtboost.errors import InputError, VirtboostError
from virtboost.model.document import to_json
from virtboost.model.finding import Report
from virtboost.model.host import Host
from virtboost.report.explain import item_page
from virtboost.report.findings import finding_lines
from virtboost.transport.recorded import write_whole

Checked = tuple[Host, Report]
"""A host and what was found of it."""

NEEDS_JINJA = "--html needs jinja2: pip install 'virtboost[report]'"

_NARROWEST = 60
"""Columns that lines are made for where the terminal has fewer."""


def print_reports(
    names: Sequence[str],
    results: Sequence[Checked | VirtboostError],
    items: Sequence[AnyItem],
    *,
    verbose: bool,
    json: bool,
) -> bool:
    """Print what was found; tell whether some host failed."""
    reports = [one if isinstance(one, VirtboostError) else one[1] for one in results]
    failed = tell_failures(names, reports)
    if json:
        print_documents(names, reports, "virtboost.checks/1", "checks")
        return failed
    console, width = _console(), terminal_width()
    for report in reports:
        if isinstance(report, Report):
            lines = finding_lines(report, items, verbose=verbose, width=width)
            _print_lines(console, (*lines, Text()) if report is not reports[-1] else lines)
    return failed


def page_writer(path: Path, items: Sequence[AnyItem]) -> Callable[..., None]:
    """Return a function that writes what was found as a page of HTML.

    It is made before hosts are read, so that what it lacks is told at once.

    Raises:
        InputError: jinja2 is not installed.
    """
    try:
        from virtboost.report.html import hosts_page
    except ImportError as error:
        raise InputError(NEEDS_JINJA) from error

    def write(
        names: Sequence[str], results: Sequence[Checked | VirtboostError], *, quiet: bool
    ) -> None:
        failed = [
            (name, str(one))
            for name, one in zip(names, results, strict=True)
            if isinstance(one, VirtboostError)
        ]
        checked = [one for one in results if not isinstance(one, VirtboostError)]
        page = hosts_page(checked, failed, items, made_at=datetime.now().astimezone())
        write_page(path.resolve(), page)
        if not quiet:
            sys.stdout.write(f"\nreport: {path}\n")

    return write


def write_page(path: Path, page: str) -> None:
    """Write a page so that it is there whole or not at all.

    Raises:
        InputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page.encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def print_page(item: AnyItem, *, json: bool) -> None:
    """Print everything that the catalogue says of an item."""
    if json:
        sys.stdout.write(to_json(item_document(item)) + "\n")
        return
    _print_lines(_console(), item_page(item, width=terminal_width()))


def terminal_width() -> int:
    """Return the columns that lines are made for."""
    return max(_console().width, _NARROWEST)


def _console() -> Console:
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def _print_lines(console: Console, lines: Iterable[Text]) -> None:
    for line in lines:
        console.print(line)
