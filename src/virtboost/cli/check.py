"""``virtboost check``: what is wrong with a host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from virtboost.cli.hosts import HOST_FAILED, AsJson, Hosts, on_each_host, readers

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


def check(
    host: Hosts = None,
    platforms: For = None,
    item: Items = None,
    explain: Explain = None,
    site: SiteFile = None,
    *,
    verbose: Verbose = False,
    json: AsJson = False,
) -> int:
    """Hold hosts against the catalogue of tuning items; change nothing."""
    from virtboost.check.judge import check as judge
    from virtboost.cli.items import named, select
    from virtboost.cli.reports import print_page, print_reports
    from virtboost.model.finding import Report
    from virtboost.scan.host import scan

    selection = select(platforms or (), item or (), site)
    if explain is not None:
        print_page(named(selection.items, explain), json=json)
        return 0
    chosen = readers(host)
    results = on_each_host(
        chosen,
        lambda reader: judge(
            scan(reader, selection.files),
            selection.items,
            name=reader.name,
            proof_of_concept=bool(item),
        ),
        "check",
    )
    names = [reader.name for reader in chosen]
    if print_reports(names, results, selection.items, verbose=verbose, json=json):
        return HOST_FAILED
    found = any(isinstance(result, Report) and result.findings for result in results)
    return FOUND if found else 0
