"""What apply, undo and status share: the journal, the host that is written, and what is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from virtboost.cli.hosts import readers
from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.apply.execute import Conflict
    from virtboost.apply.journal import Changeset, Journal
    from virtboost.transport.source import Reader
    from virtboost.transport.writer import Writer


class Both(NamedTuple):
    """A host that can be read and written."""

    reader: Reader
    writer: Writer


def journal() -> Journal:
    """Return the journal of this user on this machine."""
    from virtboost.apply.journal import Journal

    return Journal(state_folder())


def state_folder() -> Path:
    """Return where this user's journal and experiments are kept."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "virtboost"


def writable(host: str) -> Both:
    """Return a host to read and write.

    Raises:
        InputError: It is a recording.
    """
    from virtboost.transport.local import LocalReader
    from virtboost.transport.ssh import SshReader
    from virtboost.transport.writer import local_writer, ssh_writer

    reader = readers([host])[0]
    if isinstance(reader, SshReader):
        return Both(reader, ssh_writer(reader))
    if isinstance(reader, LocalReader):
        return Both(reader, local_writer())
    raise InputError(f"{host}: a recording cannot be changed; --dry-run shows what would be")


def conflict_lines(conflicts: Iterable[Conflict]) -> Iterable[str]:
    """Yield each conflict as a line for stderr."""
    for each in conflicts:
        if each.theirs is None:
            yield f"virtboost: {each.path}: is gone, or cannot be read; --force forgets it"
            continue
        yield (
            f"virtboost: {each.path}: we wrote {each.ours!r}, somebody wrote {each.theirs!r} "
            f"after us, it was {each.prior!r}: left alone; --force writes the old value"
        )


def changeset_document(changeset: Changeset, now: dict[str, str]) -> dict[str, Any]:
    """Return a changeset with what each setting says now, for ``--json``."""
    from virtboost.apply.copy import folder
    from virtboost.apply.tool import waits

    return {
        "id": changeset.id,
        "host": changeset.host,
        "hostname": changeset.hostname,
        "begun_at": changeset.begun_at,
        "copy": folder(changeset),
        "records": [
            {
                "path": record.setting.path,
                "prior": record.prior,
                "value": record.setting.value,
                "now": now.get(record.setting.path),
                "state": record.state,
                "waits": waits(record.setting.path),
                "holds": record.setting.same(now.get(record.setting.path), record.setting.value),
                "reason": record.reason,
            }
            for record in changeset.records
        ],
    }


def say(*lines: str) -> None:
    """Print lines on stdout; what does not print in a terminal is escaped."""
    from virtboost.report.printable import printable

    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))


def teller(json: bool) -> Callable[[str], None]:  # noqa: FBT001 (the verb's own --json)
    """Return what tells a line of progress; with ``--json`` nothing does."""
    return (lambda _: None) if json else say


def said(found: str, wanted: str) -> Iterable[str]:
    """Yield the lines of a diff between two values of a setting."""
    old, new = (text.replace("><", ">\n<").splitlines() for text in (found, wanted))
    if len(old) <= 1 and len(new) <= 1:
        yield from (f"- {found}", f"+ {wanted}")
    else:
        yield from islice(unified_diff(old, new, n=1, lineterm=""), 2, None)
