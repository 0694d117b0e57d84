"""The window check of conntrack: off as long as the agent carries TCP, in the journal before that.

It is one switch for a whole datapath.  After ``kill -9`` the journal still says that it is to be
turned on again: the next start does it, or ``virtboost undo``, or ``virtboost flow restore``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from virtboost.apply.execute import apply, undo
from virtboost.apply.journal import Journal
from virtboost.apply.preflight import read_now
from virtboost.model.change import OvsTcpWindowCheck
from virtboost.transport.source import Reader
from virtboost.transport.writer import Writer

PURPOSE = "flow run: "
"""What the journal calls it, before the run folder."""


class Window:
    """The switch of one daemon."""

    def __init__(self, journal: Journal, reader: Reader, writer: Writer, folder: Path) -> None:
        """Touch nothing yet."""
        self._journal = journal
        self._reader = reader
        self._writer = writer
        self._folder = folder

    def turn_off(self, datapath: str) -> None:
        """Turn the check off; where a run that was killed left it so, that change is taken over.

        Raises:
            ChangeFailed: Open vSwitch does not take it.
            InputError: It tells of no such switch.
        """
        left = self._journal.left(self._writer.name).get(f"{PURPOSE}{self._folder}")
        if left is not None:
            setting = left.records[0].setting
            now = read_now(self._reader, [setting.path]).get(setting.path)
            if now is not None and setting.same(now.value, setting.value):
                return
            self.restore()
        change = OvsTcpWindowCheck(
            folder=str(self._folder),
            datapath=datapath,
            enabled=False,
            reason="flow run --tcp-window liberal",
        )
        apply(
            self._reader,
            self._writer,
            self._journal,
            [change],
            hostname=None,
            purpose=f"{PURPOSE}{self._folder}",
        )

    def restore(self) -> int:
        """Have the switch as it was before; return how many changes were taken back.

        Raises:
            ChangeFailed: Open vSwitch does not take it.
        """
        return restore(self._journal, self._reader, self._writer, [f"{PURPOSE}{self._folder}"])


def restore(journal: Journal, reader: Reader, writer: Writer, purposes: Iterable[str] = ()) -> int:
    """Take back what runs left, of these purposes or of all; return how many changes."""
    left = journal.left(writer.name)
    chosen = [
        changeset
        for purpose, changeset in left.items()
        if purpose in purposes or (not purposes and purpose.startswith(PURPOSE))
    ]
    for changeset in chosen:
        undo(reader, writer, journal, changeset, force=False)
    return len(chosen)
