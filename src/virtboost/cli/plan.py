"""``virtboost plan``: where guests and containers go on a host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.emit import Emitted, print_emitted
from virtboost.cli.hosts import AsJson, readers
from virtboost.errors import InputError
from virtboost.model.fleet_plan import Objective

if TYPE_CHECKING:
    from virtboost.model.host import Host
    from virtboost.model.plan import Plan
    from virtboost.model.workload import Workload

UNPLACED = 1
"""Exit status where something has no place."""


def plan(
    workload: Annotated[
        Path | None,
        typer.Argument(metavar="WORKLOAD.yaml", help="What is to run there.", show_default=False),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "-H",
            "--host",
            metavar="HOST",
            help="local, ssh://[user@]host[:port], or a recording.",
        ),
    ] = "local",
    *,
    running: Annotated[
        bool, typer.Option("--running", help="Plan what runs there now: what would move.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PLAN.json", help="Write the plan to a file."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a picture of the host as planned."),
    ] = None,
    limit: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long to look for the best placement, in the solver's own deterministic "
            "seconds, so that the same input gives the same plan; 0: the heuristic's.",
        ),
    ] = 1.0,
    script: Annotated[
        bool,
        typer.Option("--script", help="Print the changes as shell commands, and nothing else."),
    ] = False,
    emit: Annotated[
        Emitted | None,
        typer.Option(
            "--emit", help="Print the plan in the words of one program, and nothing else."
        ),
    ] = None,
    domain: Annotated[
        Path | None,
        typer.Option(
            "--domain",
            metavar="FILE.xml",
            help="With --emit libvirt: a guest's definition; print what to edit in it, as a diff.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say of each guest why it is there.")
    ] = False,
    fleet: Annotated[
        Path | None,
        typer.Option(
            "--fleet",
            metavar="SERVERS",
            help="Place --requests on many servers: a table (.csv, .parquet), a YAML or JSON file, "
            "or a folder of recordings.",
        ),
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option("--requests", metavar="FILE", help="What is to run on the fleet."),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Place them one by one, as they come; nobody moves.")
    ] = False,
    headroom: Annotated[
        float, typer.Option(min=0, max=1, help="Share of every node that stays free.")
    ] = 0.0,
    objective: Annotated[
        Objective,
        typer.Option(
            "--objective",
            help="Of a fleet with room for all: few servers, or little that is left where nothing "
            "fits any more, on some more servers.",
        ),
    ] = Objective.SERVERS,
    explain: Annotated[
        str | None,
        typer.Option("--explain", metavar="REQUEST", help="Say where it goes, or why nowhere."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Place guests and containers on a host's CPUs, memory and huge pages; change nothing.

    With --fleet and --requests: on many servers.
    """
    if fleet is not None or requests is not None:
        from virtboost.cli.fleet import plan_fleet

        if fleet is None or requests is None or workload is not None or running:
            raise InputError("plan: --fleet SERVERS goes with --requests FILE, and nothing else")
        return plan_fleet(
            fleet,
            requests,
            online=online,
            headroom=headroom,
            objective=objective,
            explain=explain,
            json=json,
        )
    from virtboost.cli.userfile import write_document
    from virtboost.plan.plan import plan_host
    from virtboost.scan.host import scan

    if domain is not None and emit is not Emitted.LIBVIRT:
        raise InputError("plan: --domain goes with --emit libvirt")
    if sum((json, script, emit is not None)) > 1:
        raise InputError("plan: of --json, --script and --emit one at most")
    asked = None if workload is None else _read(workload)
    if (asked is None) == (not running):
        raise InputError("plan: give a WORKLOAD.yaml, or --running, and not both")
    found = scan(readers([host])[0])
    wanted = asked or _running(found)
    made = plan_host(found, wanted, limit_s=limit)
    if output is not None:
        write_document(output, made)
    if emit is not None:
        print_emitted(emit, made, found, wanted, domain)
    elif script:
        _print_script(made)
    else:
        _print(found, made, verbose=verbose, json=json)
    if html is not None:
        _draw(html, host, found, made, quiet=json or script or emit is not None)
    return UNPLACED if made.unplaced else 0


def _read(path: Path) -> Workload:
    from virtboost.cli.userfile import read_text
    from virtboost.model.userfile import from_yaml
    from virtboost.model.workload import Workload

    return from_yaml(read_text(path), Workload, str(path))


def _running(host: Host) -> Workload:
    from virtboost.plan.running import running_workload

    found = running_workload(host)
    if not found.requests():
        raise InputError("--running: no guest runs, and no container with pCPUs of its own")
    return found


def _draw(path: Path, name: str, host: Host, made: Plan, *, quiet: bool) -> None:
    from virtboost.catalogue.catalogue import ITEMS
    from virtboost.check.judge import check
    from virtboost.cli.reports import page_writer
    from virtboost.plan.planned import planned_host

    write_page = page_writer(path, ITEMS)
    after = planned_host(host, made)
    write_page([name], [(after, check(after, ITEMS, name=f"{name}, as planned"))], quiet=quiet)


def _print_script(made: Plan) -> None:
    from virtboost.emit.commands import commands
    from virtboost.report.printable import printable

    for change in made.changes:
        reason = f"# {change.reason}\n" if change.reason else ""
        lines = "\n".join(printable(line) for line in commands(change))
        sys.stdout.write(f"{printable(reason.strip())}\n{lines}\n".lstrip("\n"))


def _print(host: Host, made: Plan, *, verbose: bool, json: bool) -> None:
    from virtboost.cli.output import print_document
    from virtboost.report.plan import plan_lines

    print_document(
        made, lambda width: plan_lines(host, made, verbose=verbose, width=width), json=json
    )
