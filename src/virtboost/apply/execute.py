"""Changes carried out: read everything, journal it, write, read back; and taken back exactly."""

from __future__ import annotations

import datetime
from collections.abc import Container, Sequence

from msgspec import Struct, structs

from virtboost.apply.copy import drop, keep, noted
from virtboost.apply.journal import Changeset, Journal, Record
from virtboost.apply.preflight import Step, preflight, read_now
from virtboost.apply.tool import GONE, Found, is_live, value_of, write
from virtboost.emit.setting import ABSENT
from virtboost.errors import ChangeFailed
from virtboost.model.change import Change
from virtboost.model.wording import listed
from virtboost.transport.source import Reader
from virtboost.transport.writer import Write, Writer, Written

_SHOWN = 200


class Conflict(Struct, frozen=True, kw_only=True):
    """A setting that somebody else changed after us."""

    path: str
    ours: str
    theirs: str | None
    """What it says now; None where it is gone."""
    prior: str
    """What it said before us."""


def apply(
    reader: Reader,
    writer: Writer,
    journal: Journal,
    changes: Sequence[Change],
    *,
    hostname: str | None,
    persist: bool = False,
    keep_going: bool = False,
    purpose: str = "",
) -> Changeset | None:
    """Carry out changes; return None where everything is as wanted already.

    What was there before is on disk before the first write.  Where a write fails, or the kernel
    makes another value of it, everything is taken back, unless ``keep_going``.  With ``persist``
    it holds after a reboot too.  ``purpose`` is what the journal says it is a part of.

    Raises:
        InputError: A change cannot be carried out here, or somebody else is at it: nothing was
            written.
        ChangeFailed: A write failed; the message tells both values; the others were undone.
        TransportError: The connection was lost: ``undo`` takes back what was written.
    """
    with journal.lock(writer.name):
        steps = [step for step in preflight(reader, changes, persist=persist) if step.changes]
        if not steps:
            return None
        changeset = journal.begin(writer.name, hostname, _now(), _records(steps), purpose=purpose)
        try:
            results = _write(writer, changeset, steps, keep_going=keep_going)
        except ChangeFailed:
            journal.mark(changeset.id, range(len(steps)), "undone")
            raise
        bad = [_problem(r, record) for r, record in zip(results, changeset.records, strict=False)]
        good = [n for n, problem in enumerate(bad) if problem is None]
        journal.mark(changeset.id, good, "written")
        problems = [problem for problem in bad if problem is not None]
        if problems and not keep_going:
            tried = frozenset(range(len(results)))
            _take_back(reader, writer, journal, changeset, mine=tried - frozenset(good))
            raise ChangeFailed(writer.name, f"{problems[0]}; everything else was undone")
    if problems:
        raise ChangeFailed(writer.name, f"{listed(problems)}; the others hold")
    return changeset


def _write(
    writer: Writer, changeset: Changeset, steps: Sequence[Step], *, keep_going: bool
) -> tuple[Written, ...]:
    """Write all steps, after the copy that can take them back; in one round trip.

    Raises:
        ChangeFailed: The host keeps no copy: nothing was written.
    """
    writes = [
        noted(write(s.setting.path, s.setting.value, s.found.raw), changeset, number)
        for number, s in enumerate(steps)
    ]
    copy = keep(changeset, [step.found.raw for step in steps])
    kept, *results = writer.write([copy, *writes], keep_going=keep_going)
    if kept.error is not None:
        raise ChangeFailed(writer.name, f"{kept.path}: {kept.error}; nothing was changed")
    return tuple(results)


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
    there = {r.number: now[r.setting.path].value for r in left if r.setting.path in now}
    back = [r for r in left if _is_back(r, there.get(r.number), forget=r.number in mine)]
    ours = [
        r for r in left if r not in back and (r.number in mine or _ours(r, there.get(r.number)))
    ]
    others = [r for r in left if r not in back and r not in ours]
    journal.mark(changeset.id, [record.number for record in back], "undone")
    writes = [_write_back(record, now.get(record.setting.path)) for record in ours]
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
        raise ChangeFailed(writer.name, f"undo: {listed(failed)}")
    if not others:
        writer.write([drop(changeset)], keep_going=True)
    return tuple(_conflict(record, there.get(record.number)) for record in others)


def _is_back(record: Record, now: str | None, *, forget: bool) -> bool:
    """Tell whether nothing is left to undo: the old value is there, or what had it is gone."""
    if now is None:  # nothing was said: whether it is gone is not known
        return forget
    if now == GONE or now == ABSENT != record.prior:
        return is_live(record.setting.path)
    return record.setting.same(now, record.prior)


def _write_back(record: Record, now: Found | None) -> Write:
    path = record.setting.path
    return write(path, record.prior, "" if now is None else now.raw)


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
            prior=step.setting.prior(step.found.value),
            reason=step.reason,
            state="planned",
        )
        for number, step in enumerate(steps)
    ]


def _problem(result: Written, record: Record) -> str | None:
    """Return what is wrong with a write: what was said, or what became of the value."""
    setting = record.setting
    if result.error is not None:
        return f"{result.path}: {_short(setting.value)}: {result.error}"
    now = None if result.now is None else value_of(result.path, result.now)
    if not setting.same(now, setting.value):
        return f"{result.path}: wrote {_short(setting.value)}, it says {_short(now)}"
    return None


def _short(value: str | None) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
