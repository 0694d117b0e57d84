"""``virtboost apply``: carry out changes, each with an exact undo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from virtboost.cli.hosts import AsJson, Hosts, on_each_host, readers
from virtboost.errors import InputError, VirtboostError

if TYPE_CHECKING:
    from virtboost.apply.preflight import Step
    from virtboost.model.change import Change
    from virtboost.transport.source import Reader

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class Prepared(NamedTuple):
    """What is to be done to one host."""

    name: str
    hostname: str | None
    changes: Sequence[Change]
    steps: Sequence[Step]


def apply(
    plan: Annotated[
        Path | None,
        typer.Argument(metavar="PLAN.json", help="What to change.", show_default=False),
    ] = None,
    host: Hosts = None,
    item: Annotated[
        list[str] | None,
        typer.Option("--item", metavar="ID", help="What makes this item ok. May be repeated."),
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; write nothing.")
    ] = False,
    persist: Annotated[
        bool, typer.Option("--persist", help="Make it hold after a reboot too.")
    ] = False,
    keep_going: Annotated[
        bool,
        typer.Option("--keep-going", help="Keep what could be changed where something could not."),
    ] = False,
    yes: Yes = False,
    json: AsJson = False,
) -> int:
    """Change hosts, one after the other, each setting journalled before it is written."""
    from virtboost.cli.changes import teller

    made = prepare(readers(host), plan, item or (), dry_run=dry_run, persist=persist)
    tell = teller(json)
    if not json:
        show(made, persist=persist)
    waiting = [each for each in made if each.steps and not dry_run]
    if waiting and not yes and not agreed(waiting):
        return 1
    done: list[tuple[str, int]] = []
    for each in waiting:
        changeset = _carry_out(each, persist=persist, keep_going=keep_going)
        if changeset is not None:
            done.append((each.name, changeset))
            tell(f"{each.name}: done; virtboost undo {changeset} -H {each.name} undoes it")
    if json:
        _document(done)
    return 0


def prepare(
    chosen: Sequence[Reader],
    plan: Path | None,
    items: Sequence[str],
    *,
    dry_run: bool,
    persist: bool,
) -> list[Prepared]:
    """Return what is to be done to each host; nothing is written.

    Raises:
        VirtboostError: It cannot be done to one of them.
    """
    from virtboost.cli.changes import writable

    for reader in () if dry_run else chosen:
        writable(reader.name)
    made = on_each_host(
        chosen, lambda reader: _prepared(reader, plan, items, persist=persist), "reading"
    )
    for each in made:
        if isinstance(each, VirtboostError):
            raise each
    return [each for each in made if isinstance(each, Prepared)]


def _prepared(
    reader: Reader, plan: Path | None, items: Sequence[str], *, persist: bool
) -> Prepared:
    """Return what is to be done to a host; nothing is written.

    Raises:
        VirtboostError: It cannot be done there, or the host cannot be read.
    """
    hostname, changes = changes_of(reader, plan, items)
    return prepared(reader, hostname, changes, persist=persist)


def prepared(
    reader: Reader, hostname: str | None, changes: Sequence[Change], *, persist: bool
) -> Prepared:
    """Return what some changes are to do to a host; nothing is written.

    Raises:
        VirtboostError: They cannot be carried out there, or the host cannot be read.
    """
    from virtboost.apply.preflight import preflight

    steps = preflight(reader, changes, persist=persist)
    return Prepared(reader.name, hostname, changes, [step for step in steps if step.changes])


def _carry_out(each: Prepared, *, persist: bool, keep_going: bool) -> int | None:
    """Change one host; return the number of the changeset, None where nothing was to be changed.

    Raises:
        VirtboostError: It failed; the hosts after this one are not touched.
    """
    from virtboost.apply.execute import apply as carry_out
    from virtboost.cli.changes import journal, writable

    changeset = carry_out(
        *writable(each.name),
        journal(),
        each.changes,
        hostname=each.hostname,
        persist=persist,
        keep_going=keep_going,
    )
    return None if changeset is None else changeset.id


def _document(changesets: Sequence[tuple[str, int]]) -> None:
    from virtboost.model.document import to_json

    made = [{"host": host, "changeset": number} for host, number in changesets]
    sys.stdout.write(to_json({"schema": "virtboost.applied/1", "changesets": made}) + "\n")


def changes_of(
    reader: Reader, plan: Path | None, items: Sequence[str]
) -> tuple[str | None, Sequence[Change]]:
    """Return a host's name, and the changes of a plan for it or those of findings of some items.

    Raises:
        InputError: Neither or both are given, or the plan is for another host.
    """
    if (plan is None) == (not items):
        raise InputError("apply: give a PLAN.json, or --item ID, and not both")
    if plan is None:
        return _of_items(reader, items)
    from virtboost.model.document import from_json
    from virtboost.model.plan import Plan
    from virtboost.scan.kernel import NAME, parse_hostname

    try:
        made = from_json(plan.read_bytes(), Plan, str(plan))
    except OSError as error:
        raise InputError(f"{plan}: cannot be read: {error.strerror}") from error
    hostname = parse_hostname(reader.read(NAME))
    if made.hostname != hostname:
        raise InputError(f"{plan}: made for host {made.hostname}, and this is {hostname}")
    return hostname, made.changes


def _of_items(reader: Reader, items: Sequence[str]) -> tuple[str | None, Sequence[Change]]:
    from virtboost.check.judge import check
    from virtboost.cli.items import select
    from virtboost.scan.host import scan

    host = scan(reader)
    chosen = select((), items, None).items
    report = check(host, chosen, name="", proof_of_concept=True)
    return host.hostname, [change for finding in report.findings for change in finding.changes]


def show(made: Sequence[Prepared], *, persist: bool) -> None:
    """Print what is to be changed, old value and new."""
    from virtboost.cli.changes import say
    from virtboost.emit.persist import forgotten

    for name, _, changes, steps in made:
        if len(made) > 1 or not steps:
            say(f"{name}:" if steps else f"{name}: nothing to change: everything is as wanted")
        for step in steps:
            _show_step(step)
        if persist and any(forgotten(change) for change in changes):
            say("the affinity of interrupts holds until a reboot, which numbers them anew")


def _show_step(step: Step) -> None:
    from virtboost.apply.tool import waits
    from virtboost.cli.changes import said, say

    path = step.setting.path
    later = waits(path)
    say(f"{path}, takes effect {later}" if later else path)
    say(*(f"  {line}" for line in said(step.found.value, step.setting.value)))
    if step.reason:
        say(f"    {step.reason}")


def agreed(waiting: Sequence[Prepared]) -> bool:
    """Ask whether to go on.

    Raises:
        InputError: There is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise InputError("apply: there is no terminal to ask on; --yes carries it out")
    count = sum(len(each.steps) for each in waiting)
    return typer.confirm(
        f"change {count} settings of {', '.join(each.name for each in waiting)}?", err=True
    )
