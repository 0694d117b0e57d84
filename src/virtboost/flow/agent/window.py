"""The window check of conntrack: off as long as the agent carries TCP, in the journal before that.

It is one switch for a whole datapath; for the kernel's, which asks no window of established
connections, one of the network namespace for RST: e2ef5203c817 ("net: openvswitch: Be liberal in
tcp conntrack.") (in v5.11).  After ``kill -9`` the journal still says that it is to be
turned on again: the next start does it, or ``virtboost undo``, or ``virtboost flow restore``.
"""

from __future__ import annotations

from pathlib import Path

from virtboost.apply.execute import apply, undo
from virtboost.apply.journal import Changeset, Journal
from virtboost.apply.preflight import read_now
from virtboost.flow.agent.link import KERNEL
from virtboost.model.change import OvsTcpWindowCheck, Sysctl
from virtboost.transport.source import Reader
from virtboost.transport.writer import Writer

INVALID_RST = "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst"
"""1: an RST is not held against acknowledgements that conntrack saw (since Linux 5.14)."""

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
        before = left(self._journal, self._reader, self._folder)
        if before:
            setting = before[0].records[0].setting
            now = read_now(self._reader, [setting.path]).get(setting.path)
            if now is not None and setting.same(now.value, setting.value):
                return
            self.restore()
        change = self._change(datapath)
        apply(
            self._reader,
            self._writer,
            self._journal,
            [change],
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

    def restore(self) -> int:
        """Have the switch as it was before; return how many settings were taken back.

        Raises:
            ChangeFailed: Open vSwitch does not take it.
        """
        return restore(self._journal, self._reader, self._writer, self._folder)


def left(journal: Journal, reader: Reader, folder: Path | None = None) -> list[Changeset]:
    """Return what runs changed and did not take back: of one run folder, or of all."""
    purposes = journal.left(reader.name)
    mine = PURPOSE if folder is None else f"{PURPOSE}{folder}"
    return [
        changeset
        for purpose, changeset in purposes.items()
        if purpose == mine or (folder is None and purpose.startswith(mine))
    ]


def restore(journal: Journal, reader: Reader, writer: Writer, folder: Path | None = None) -> int:
    """Take that back; return how many settings.

    Raises:
        ChangeFailed: Open vSwitch does not take it.
    """
    changesets = left(journal, reader, folder)
    for changeset in changesets:
        undo(reader, writer, journal, changeset, force=False)
    return sum(len(changeset.records) for changeset in changesets)
