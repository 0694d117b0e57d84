"""The window check of conntrack: off as long as the agent carries TCP, in the journal before that.

It is one switch for a whole datapath; for the kernel's, which asks no window of established
connections, one of the network namespace for RST: e2ef5203c817 ("net: openvswitch: Be liberal in
tcp conntrack.") (in v5.11).  After ``kill -9`` the journal still says that it is to be
turned on again: the next start does it, or ``virtboost undo``, or ``virtboost flow restore``.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, suppress
from pathlib import Path

from virtboost.apply.execute import apply, undo
from virtboost.apply.journal import Changeset, Journal
from virtboost.apply.preflight import read_now
from virtboost.errors import ChangeFailed, InputError
from virtboost.flow.agent.link import INVALID_RST, KERNEL, Link
from virtboost.model.change import OvsTcpWindowCheck, Sysctl
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
        self._holding = ExitStack()
        self._mine = False

    @property
    def left(self) -> Changeset | None:
        """What a run changed and did not take back."""
        return self._journal.left(self._reader.name).get(f"{PURPOSE}{self._folder}")

    def hold(self) -> None:
        """Have the switch to oneself until ``restore``, or the end of the process.

        Raises:
            InputError: An agent needs it off.
        """
        self._holding.close()  # the folder may be another by now
        with suppress(FileNotFoundError):  # then its daemon is gone too
            place = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            self._holding.callback(os.close, place)
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                problem = "an agent with --tcp-window liberal runs in front of it"
                raise InputError(f"{self._folder}: {problem}") from None
        self._mine = True

    def keep_off(self, link: Link) -> bool:
        """Turn the check off again if somebody turned it on; tell whether it was.

        Entries of TCP are there, of which conntrack does not know where they are.

        Raises:
            ChangeFailed: Open vSwitch does not take it.
            Unreachable: The daemon is gone.
        """
        checked = link.checks_windows()
        if checked:
            self.turn_off(link.name)
        return checked

    def turn_off(self, datapath: str) -> None:
        """Turn the check off; where a run that was killed left it so, that change is taken over.

        Raises:
            ChangeFailed: Open vSwitch does not take it.
            InputError: It tells of no such switch, or another agent needs it off.
        """
        self.hold()
        before = self.left
        if before is not None:
            setting = before.records[0].setting
            now = read_now(self._reader, [setting.path]).get(setting.path)
            if now is not None and setting.same(now.value, setting.value):
                return
            self._undo(before)
        apply(
            self._reader,
            self._writer,
            self._journal,
            [self._change(datapath)],
            hostname=None,
            purpose=f"{PURPOSE}{self._folder}",
        )

    def _change(self, datapath: str) -> Sysctl | OvsTcpWindowCheck:
        reason = "flow run --tcp-window liberal"
        if datapath.startswith(KERNEL):
            return Sysctl(name=INVALID_RST, value="1", reason=reason)
        return OvsTcpWindowCheck(
            folder=str(self._folder), datapath=datapath, enabled=False, reason=reason
        )

    def restore(self) -> None:
        """Have the switch as it was before, if this holds it.

        Raises:
            ChangeFailed: Open vSwitch does not take it.
        """
        before = self.left
        if self._mine and before is not None:
            self._undo(before)
        self._holding.close()

    def _undo(self, changeset: Changeset) -> None:
        for left in undo(self._reader, self._writer, self._journal, changeset, force=False):
            raise ChangeFailed(self._writer.name, f"undo: {left.path}: cannot be read; it stays")


def folders_left(journal: Journal, reader: Reader) -> list[Path]:
    """Return the run folders whose switch a run turned, and did not turn back."""
    purposes = (each.partition(PURPOSE) for each in journal.left(reader.name))
    return [Path(folder) for before, found, folder in purposes if found and not before]
