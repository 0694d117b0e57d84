"""``virtboost check``: what is wrong with a host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.hosts import HOST_FAILED, AsJson, Hosts, on_each_host, readers
from virtboost.cli.redfish import Redfish
from virtboost.errors import InputError, VirtboostError
from virtboost.transport.source import Reader

if TYPE_CHECKING:
    from virtboost.cli.reports import Checked

FOUND = 1
"""Exit status where there are findings."""

For = Annotated[
    list[str] | None,
    typer.Option(
        "--for",
        metavar="PLATFORM",
        help="Only items for kvm, docker, openstack, kubernetes, ovirt or ovs. May be repeated.",
    ),
]

Items = Annotated[
    list[str] | None, typer.Option("--item", metavar="ID", help="Only this item. May be repeated.")
]

Explain = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Print the page of an item: what, why, how; check nothing."),
]

SiteFile = Annotated[
    Path | None,
    typer.Option(
        "--site",
        metavar="FILE",
        help="The site's own severities, wanted values and items [default: ./virtboost.yaml].",
    ),
]

Verbose = Annotated[
    bool,
    typer.Option(
        "-v",
        "--verbose",
        help="Say of each finding why, what it brings, what it risks and how to set it.",
    ),
]

HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write a page of the findings and a picture of each host; it needs no network.",
    ),
]


FixPlan = Annotated[
    Path | None,
    typer.Option(
        "--fix-plan",
        metavar="FILE",
        help="Write the changes that make the findings of the one host ok, for virtboost apply.",
    ),
]


def check(
    host: Hosts = None,
    platforms: For = None,
    item: Items = None,
    explain: Explain = None,
    site: SiteFile = None,
    *,
    html: HtmlFile = None,
    fix_plan: FixPlan = None,
    redfish: Redfish = None,
    verbose: Verbose = False,
    json: AsJson = False,
) -> int:
    """Hold hosts against the catalogue of tuning items; change nothing."""
    from virtboost.check.judge import check as judge
    from virtboost.cli.items import named, select
    from virtboost.cli.reports import page_writer, print_page, print_reports
    from virtboost.scan.host import scan

    selection = select(platforms or (), item or (), site)
    if explain is not None:
        print_page(named(selection.items, explain), json=json)
        return 0
    write_page = None if html is None else page_writer(html, selection.items)

    def read(reader: Reader) -> Checked:
        found = scan(reader, selection.files)
        report = judge(found, selection.items, name=reader.name, proof_of_concept=bool(item))
        return found, report

    chosen = readers(host, redfish)
    names = [reader.name for reader in chosen]
    results = on_each_host(chosen, read, "check")
    failed = print_reports(names, results, selection.items, verbose=verbose, json=json)
    if fix_plan is not None:
        _write_plan(fix_plan, results)
    if write_page is not None:
        write_page(names, results, quiet=json)
    if failed:
        return HOST_FAILED
    return FOUND if any(isinstance(one, tuple) and one[1].findings for one in results) else 0


def _write_plan(path: Path, results: Sequence[Checked | VirtboostError]) -> None:
    from virtboost.cli.userfile import write_document
    from virtboost.model.plan import Plan

    checked = [one for one in results if isinstance(one, tuple)]
    if len(results) != 1 or not checked:
        raise InputError(f"--fix-plan is for one host that can be read; there are {len(checked)}")
    report = checked[0][1]
    changes = tuple(change for finding in report.findings for change in finding.changes)
    write_document(path, Plan(hostname=report.hostname, changes=changes))
