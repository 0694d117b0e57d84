"""Changes carried out: read everything, journal it, write, read back; and taken back exactly."""

from __future__ import annotations

import datetime
from collections.abc import Container, Sequence

from msgspec import Struct, structs

from virtboost.apply.journal import Changeset, Journal, Record
from virtboost.emit.commands import commands
from virtboost.emit.setting import Setting, is_kernel_file, settings
from virtboost.errors import ChangeFailed, InputError
from virtboost.model.change import Change
from virtboost.transport.source import Files, Reader
from virtboost.transport.writer import Write, Writer, Written


class Step(Struct, frozen=True, kw_only=True):
    """One file: what it says now, and what it is to say."""

    setting: Setting
    found: str
    reason: str

    @property
    def changes(self) -> bool:
        """Whether the file has another value now."""
        return not self.setting.same(self.found, self.setting.value)


class Conflict(Struct, frozen=True, kw_only=True):
    """A file that somebody else changed after us."""

    path: str
    ours: str
    theirs: str | None
    """What it says now; None where it is gone."""
    prior: str
    """What it said before us."""


def preflight(reader: Reader, changes: Sequence[Change]) -> tuple[Step, ...]:
    """Read every file that some changes set; nothing is written.

    Raises:
        InputError: A change cannot be carried out here: nothing was written.
        TransportError: The host could not be read.
    """
    by_hand = [change for change in changes if not is_kernel_file(change)]
    if by_hand:
        raise InputError(f"apply changes files of the kernel only; by hand: {_told(by_hand[0])}")
    wanted = [(setting, change.reason) for change in changes for setting in settings(change)]
    by_path: dict[str, Setting] = {}
    for setting, _ in wanted:
        other = by_path.setdefault(setting.path, setting)
        if other.value != setting.value:
            raise InputError(f"{setting.path}: two values, {other.value!r} and {setting.value!r}")
    found = read_now(reader, list(by_path))
    missing = [path for path in by_path if path not in found]
    if missing:
        raise InputError(f"{reader.name}: {missing[0]}: is not there, or says nothing")
    steps = {s.path: Step(setting=s, found=found[s.path], reason=reason) for s, reason in wanted}
    return tuple(steps.values())


def _told(change: Change) -> str:
    return "; ".join(commands(change))


def read_now(reader: Reader, paths: Sequence[str]) -> dict[str, str]:
    """Return what files say, by path, in one round trip; those that are missing are not there."""
    sources = [Files(path.rpartition("/")[0], (path.rpartition("/")[2],)) for path in paths]
    capture = reader.read(sources)
    told = {
        source.directory + "/" + source.names[0]: capture.text(source, source.names[0])
        for source in sources
    }
    return {path: text for path, text in told.items() if text is not None}


def apply(
    reader: Reader,
    writer: Writer,
    journal: Journal,
    changes: Sequence[Change],
    *,
    hostname: str | None,
    keep_going: bool = False,
) -> Changeset | None:
    """Carry out changes; return None where everything is as wanted already.

    What was there before is on disk before the first write.  Where a write fails, or the kernel
    makes another value of it, everything is taken back, unless ``keep_going``.

    Raises:
        InputError: A change cannot be carried out here, or somebody else is at it: nothing was
            written.
        ChangeFailed: A write failed; the message tells both values; the others were undone.
        TransportError: The connection was lost: ``undo`` takes back what was written.
    """
    with journal.lock(writer.name):
        steps = [step for step in preflight(reader, changes) if step.changes]
        if not steps:
            return None
        changeset = journal.begin(writer.name, hostname, _now(), _records(steps))
        writes = [Write(step.setting.path, step.setting.value) for step in steps]
        results = writer.write(writes, keep_going=keep_going)
        bad = [_problem(r, record) for r, record in zip(results, changeset.records, strict=False)]
        good = [n for n, problem in enumerate(bad) if problem is None]
        journal.mark(changeset.id, good, "written")
        problems = [problem for problem in bad if problem is not None]
        if problems and not keep_going:
            tried = frozenset(range(len(results)))
            _take_back(reader, writer, journal, changeset, mine=tried - frozenset(good))
            raise ChangeFailed(writer.name, f"{problems[0]}; everything else was undone")
    if problems:
        raise ChangeFailed(writer.name, f"{'; '.join(problems)}; the others hold")
    return changeset


def undo(
    reader: Reader, writer: Writer, journal: Journal, changeset: Changeset, *, force: bool
) -> tuple[Conflict, ...]:
    """Take a changeset back, last write first, where the files still say what we wrote.

    Returns:
        Files that somebody else changed; they are left alone, unless ``force``.

    Raises:
        ChangeFailed: The kernel does not take an old value back.
        TransportError: The host could not be reached.
    """
    with journal.lock(writer.name):
        mine = frozenset(record.number for record in changeset.records if force)
        return _take_back(reader, writer, journal, changeset, mine=mine)


def _take_back(
    reader: Reader,
    writer: Writer,
    journal: Journal,
    changeset: Changeset,
    *,
    mine: Container[int],
) -> tuple[Conflict, ...]:
    """Write old values back; of the records in ``mine`` whatever their files say now."""
    left = [record for record in reversed(changeset.records) if record.state != "undone"]
    now = read_now(reader, [record.setting.path for record in left])
    there = {record.number: now.get(record.setting.path) for record in left}
    back = [r for r in left if r.setting.same(there[r.number], r.prior)]
    ours = [r for r in left if r not in back and (r.number in mine or _ours(r, there[r.number]))]
    others = [r for r in left if r not in back and r not in ours]
    journal.mark(changeset.id, [record.number for record in back], "undone")
    writes = [Write(record.setting.path, record.prior) for record in ours]
    results = writer.write(writes, keep_going=True)
    problems = {}
    for record, result in zip(ours, results, strict=True):
        wanted = structs.replace(record.setting, value=record.prior)
        problems[record.number] = _problem(result, structs.replace(record, setting=wanted))
    done = [number for number, problem in problems.items() if problem is None]
    journal.mark(changeset.id, done, "undone")
    journal.mark(changeset.id, [record.number for record in others], "conflict")
    failed = [problem for problem in problems.values() if problem is not None]
    if failed:
        raise ChangeFailed(writer.name, f"undo: {'; '.join(failed)}")
    return tuple(_conflict(record, there[record.number]) for record in others)


def _ours(record: Record, now: str | None) -> bool:
    return record.setting.same(now, record.setting.value)


def _conflict(record: Record, now: str | None) -> Conflict:
    setting = record.setting
    return Conflict(path=setting.path, ours=setting.value, theirs=now, prior=record.prior)


def _records(steps: Sequence[Step]) -> list[Record]:
    return [
        Record(
            number=number,
            setting=step.setting,
            prior=step.setting.prior(step.found),
            reason=step.reason,
            state="planned",
        )
        for number, step in enumerate(steps)
    ]


def _problem(result: Written, record: Record) -> str | None:
    """Return what is wrong with a write: what the kernel said, or what it made of the value."""
    if result.error is not None:
        return f"{result.path}: {record.setting.value!r}: {result.error}"
    if not record.setting.same(result.now, record.setting.value):
        return f"{result.path}: wrote {record.setting.value!r}, it says {result.now!r}"
    return None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
