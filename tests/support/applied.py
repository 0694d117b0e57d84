"""Changes of this machine carried out and taken back, as processes that are killed do it too."""

from __future__ import annotations

import os
import subprocess
import traceback
from collections.abc import Callable, Sequence

from support.kernel import changes
from virtboost.apply.copy import folder
from virtboost.apply.execute import Conflict, apply, undo
from virtboost.apply.journal import Changeset, Journal
from virtboost.transport.local import LocalReader
from virtboost.transport.writer import Write, Writer, Written, local_writer


def carried_out(journal: Journal, writer: Writer | None = None) -> Changeset:
    made = apply(LocalReader(), writer or local_writer(), journal, changes(), hostname="vm")
    assert made is not None
    return made


def taken_back(journal: Journal, *, force: bool = False) -> tuple[Conflict, ...]:
    """Undo as a new process would: by what is on disk."""
    (changeset,) = journal.changesets("local")
    return undo(LocalReader(), local_writer(), journal, changeset, force=force)


def undone_there(changeset: Changeset, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the copy on the host, which has no virtboost."""
    return subprocess.run(
        ["/bin/sh", f"{folder(changeset)}/undo", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


COPY = 1
"""Writes before the first setting: the copy on the host."""


class Dying:
    """A writer whose process is killed after some writes."""

    name = "local"

    def __init__(self, after: int) -> None:
        self._after = after

    def write(self, writes: Sequence[Write], *, keep_going: bool) -> tuple[Written, ...]:
        local_writer().write(writes[: self._after], keep_going=keep_going)
        os.kill(os.getpid(), 9)
        raise AssertionError("a process that is killed goes on")


def in_a_child(act: Callable[[], object]) -> int:
    """Run something in a process of its own; return the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException:  # noqa: BLE001 (whatever it is, the child must not go on as a test)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
