"""``virtboost apply``: carry out changes, each with an exact undo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.hosts import AsJson, readers
from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.apply.preflight import Step
    from virtboost.model.change import Change
    from virtboost.model.host import Host

Host_ = Annotated[
    str, typer.Option("-H", "--host", metavar="HOST", help="local or ssh://[user@]host[:port].")
]

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def apply(
    plan: Annotated[
        Path | None,
        typer.Argument(metavar="PLAN.json", help="What to change.", show_default=False),
    ] = None,
    host: Host_ = "local",
    item: Annotated[
        list[str] | None,
        typer.Option("--item", metavar="ID", help="What makes this item ok. May be repeated."),
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; write nothing.")
    ] = False,
    keep_going: Annotated[
        bool,
        typer.Option("--keep-going", help="Keep what could be changed where something could not."),
    ] = False,
    yes: Yes = False,
    json: AsJson = False,
) -> int:
    """Change a host: settings of the kernel, journalled before each write."""
    from virtboost.apply.preflight import preflight
    from virtboost.scan.host import scan

    reader = readers([host])[0]
    found = scan(reader)
    changes = _changes(plan, item or (), found)
    steps = [step for step in preflight(reader, changes) if step.changes]
    if not json:
        _show(steps)
    if dry_run or not steps:
        return _done(json, None)
    if not yes and not _agreed(host, len(steps)):
        return 1
    return _carry_out(host, changes, found, keep_going=keep_going, json=json)


def _carry_out(
    host: str, changes: Sequence[Change], found: Host, *, keep_going: bool, json: bool
) -> int:
    from virtboost.apply.execute import apply as carry_out
    from virtboost.cli.changes import journal, say, writable

    reader, writer = writable(host)
    changeset = carry_out(
        reader, writer, journal(), changes, hostname=found.hostname, keep_going=keep_going
    )
    number = None if changeset is None else changeset.id
    if not json and number is not None:
        say(f"done; virtboost undo {number} takes it back")
    return _done(json, number)


def _done(json: bool, changeset: int | None) -> int:  # noqa: FBT001 (two cases of one end)
    from virtboost.model.document import to_json

    if json:
        sys.stdout.write(to_json({"schema": "virtboost.applied/1", "changeset": changeset}) + "\n")
    return 0


def _changes(plan: Path | None, items: Sequence[str], host: Host) -> Sequence[Change]:
    """Return the changes of a plan for this host, or those of findings of some items.

    Raises:
        InputError: Neither or both are given, or the plan is for another host.
    """
    if (plan is None) == (not items):
        raise InputError("apply: give a PLAN.json, or --item ID, and not both")
    if plan is None:
        return _of_items(items, host)
    from virtboost.model.document import from_json
    from virtboost.model.plan import Plan

    try:
        made = from_json(plan.read_bytes(), Plan, str(plan))
    except OSError as error:
        raise InputError(f"{plan}: cannot be read: {error.strerror}") from error
    if made.hostname != host.hostname:
        raise InputError(f"{plan}: made for host {made.hostname}, and this is {host.hostname}")
    return made.changes


def _of_items(items: Sequence[str], host: Host) -> Sequence[Change]:
    from virtboost.check.judge import check
    from virtboost.cli.items import select

    chosen = select((), items, None).items
    report = check(host, chosen, name="", proof_of_concept=True)
    return [change for finding in report.findings for change in finding.changes]


def _show(steps: Sequence[Step]) -> None:
    from virtboost.apply.tool import waits
    from virtboost.cli.changes import said, say

    if not steps:
        say("nothing to change: everything is as wanted")
    for step in steps:
        path = step.setting.path
        later = waits(path)
        say(f"{path}, takes effect {later}" if later else path)
        say(*(f"  {line}" for line in said(step.found.value, step.setting.value)))
        if step.reason:
            say(f"    {step.reason}")


def _agreed(host: str, count: int) -> bool:
    if not sys.stdin.isatty():
        raise InputError("apply: there is no terminal to ask on; --yes carries it out")
    return typer.confirm(f"change {count} settings of {host}?", err=True)
