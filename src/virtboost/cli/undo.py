"""``virtboost undo``: take a changeset back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.apply import Host_
from virtboost.cli.hosts import AsJson
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
    host: Host_ = "local",
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
    from virtboost.apply.execute import undo as take_back
    from virtboost.apply.tool import command
    from virtboost.cli.changes import conflict_lines, journal, say, writable
    from virtboost.model.document import to_json

    kept = journal()
    chosen = _chosen(kept.changesets(host), changeset, host)
    if print_:
        for record in reversed(chosen.records):
            say(command(record.setting.path, record.prior))
        return 0
    reader, writer = writable(host)
    conflicts = take_back(reader, writer, kept, chosen, force=force)
    sys.stderr.write("".join(f"{line}\n" for line in conflict_lines(conflicts)))
    if json:
        told = {"schema": "virtboost.undone/1", "changeset": chosen.id, "conflicts": conflicts}
        sys.stdout.write(to_json(told) + "\n")
    else:
        say(f"changeset {chosen.id}: {len(chosen.records) - len(conflicts)} settings are as before")
    return CONFLICTS if conflicts else 0


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
