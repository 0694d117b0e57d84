"""``virtboost undo``: take a changeset back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.hosts import AsJson, Hosts, readers
from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.apply.journal import Changeset

CONFLICTS = 1
"""Exit status where somebody else changed something after us."""


def undo(
    changeset: Annotated[
        int | None,
        typer.Argument(
            metavar="CHANGESET", help="Which; the last one without.", show_default=False
        ),
    ] = None,
    host: Hosts = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Write old values over what somebody else wrote.")
    ] = False,
    print_: Annotated[
        bool, typer.Option("--print", help="Print shell commands that do the same; do nothing.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Write back what was there before, where the host still says what we wrote."""
    from virtboost.cli.changes import journal, teller
    from virtboost.model.document import to_json

    kept = journal()
    names = [reader.name for reader in readers(host)]
    chosen = [_chosen(kept.changesets(name), changeset, name) for name in names]
    if print_:
        for each in chosen:
            _print(each)
        return 0
    done = [_take_back(each, teller(json), force=force) for each in chosen]
    if json:
        sys.stdout.write(to_json({"schema": "virtboost.undone/1", "changesets": done}) + "\n")
    return CONFLICTS if any(each["conflicts"] for each in done) else 0


def _print(changeset: Changeset) -> None:
    from virtboost.apply.tool import command
    from virtboost.cli.changes import say

    for record in reversed(changeset.records):
        say(command(record.setting.path, record.prior))


def _take_back(
    changeset: Changeset, tell: Callable[[str], None], *, force: bool
) -> dict[str, object]:
    """Take one changeset back and tell it; return it for ``--json``."""
    from virtboost.apply.execute import undo as take_back
    from virtboost.cli.changes import conflict_lines, journal, writable

    conflicts = take_back(*writable(changeset.host), journal(), changeset, force=force)
    count = len(changeset.records) - len(conflicts)
    tell(f"{changeset.host}: changeset {changeset.id}: {count} settings are as before")
    sys.stderr.write("".join(f"{line}\n" for line in conflict_lines(conflicts)))
    return {"host": changeset.host, "changeset": changeset.id, "conflicts": conflicts}


def _chosen(changesets: tuple[Changeset, ...], number: int | None, host: str) -> Changeset:
    """Return the changeset of this number, or the last one that is not undone.

    Raises:
        InputError: There is none.
    """
    found = [c for c in changesets if (c.open if number is None else c.id == number)]
    if not found:
        what = "nothing to undo" if number is None else f"no changeset {number}"
        raise InputError(f"{host}: {what}; virtboost status shows what there is")
    return found[-1]
