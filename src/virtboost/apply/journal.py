"""What was changed, from what, to what: on disk before the first write.

SQLite in WAL mode with ``synchronous=FULL``: a transaction that is committed survives the loss of
power (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Literal

from msgspec import Struct

from virtboost.emit.setting import Setting
from virtboost.errors import InputError

State = Literal["planned", "written", "undone", "conflict"]
"""``planned`` is on disk before the write: after a crash the file says whether it came to it."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS changeset (
    id INTEGER PRIMARY KEY, host TEXT NOT NULL, hostname TEXT, begun_at TEXT NOT NULL,
    key TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS record (
    changeset INTEGER NOT NULL REFERENCES changeset(id), number INTEGER NOT NULL,
    path TEXT NOT NULL, form TEXT NOT NULL, prior TEXT NOT NULL, value TEXT NOT NULL,
    reason TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (changeset, number)
);
CREATE TABLE IF NOT EXISTS purpose (
    changeset INTEGER PRIMARY KEY REFERENCES changeset(id), text TEXT NOT NULL
);
"""


class Record(Struct, frozen=True, kw_only=True):
    """One setting of a changeset."""

    number: int
    """Its place in the changeset, from 0."""
    setting: Setting
    prior: str
    """What to write to have the old value again."""
    reason: str
    state: State


class Changeset(Struct, frozen=True, kw_only=True):
    """What one run changed on one host."""

    id: int
    host: str
    """What the user called the host."""
    hostname: str | None
    """Its own name; None: not told."""
    begun_at: str
    """ISO 8601, in UTC."""
    key: str
    """What its copy on the host is called."""
    records: tuple[Record, ...]

    @property
    def open(self) -> bool:
        """Whether something of it is still to be undone."""
        return any(record.state != "undone" for record in self.records)


class Journal:
    """The journal of this machine, for all hosts."""

    def __init__(self, folder: Path) -> None:
        """Open, or make, the journal in ``folder``.

        Raises:
            InputError: It cannot be written, or is not a journal.
        """
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = sqlite3.connect(folder / "journal.sqlite")
            self._database.executescript(
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}"
            )
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"{folder}: no journal can be kept there: {error}") from error

    def close(self) -> None:
        """Close it."""
        self._database.close()

    @contextmanager
    def lock(self, host: str) -> Iterator[None]:
        """Hold a host: nobody else on this machine changes it meanwhile.

        Raises:
            InputError: Somebody does; the message names who.
        """
        name = hashlib.sha256(host.encode()).hexdigest()[:16]
        try:
            file = (self._folder / f"lock-{name}").open("ab+", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read(20).decode() or "another one"
                raise InputError(f"{host}: process {holder} is at it; wait for it") from None
            self._sign(file)
            yield

    def _sign(self, file: FileIO) -> None:
        try:
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> InputError:
        hosts = "what it says is on each host too, in /var/lib/virtboost"
        return InputError(f"{self._folder}: the journal cannot be used: {error}; {hosts}")

    def begin(
        self,
        host: str,
        hostname: str | None,
        begun_at: str,
        steps: Sequence[Record],
        *,
        purpose: str = "",
    ) -> Changeset:
        """Put everything that is to be written on disk, with what was there before.

        Args:
            host: What the user called the host.
            hostname: Its own name.
            begun_at: ISO 8601, in UTC.
            steps: What is to be written.
            purpose: What it is a part of; empty: somebody asked for it by itself.

        Raises:
            InputError: The disk does not take it.
        """
        key = f"{re.sub('[^0-9T]', '', begun_at)[:15]}-{secrets.token_hex(4)}"
        with self._transaction() as database:
            cursor = database.execute(
                "INSERT INTO changeset (host, hostname, begun_at, key) VALUES (?, ?, ?, ?)",
                (host, hostname, begun_at, key),
            )
            changeset = int(cursor.lastrowid or 0)
            database.executemany(
                "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [_row(changeset, each) for each in steps],
            )
            if purpose:
                database.execute("INSERT INTO purpose VALUES (?, ?)", (changeset, purpose))
        return Changeset(
            id=changeset,
            host=host,
            hostname=hostname,
            begun_at=begun_at,
            key=key,
            records=tuple(steps),
        )

    def mark(self, changeset: int, numbers: Sequence[int], state: State) -> None:
        """Record what came of some writes."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE record SET state = ? WHERE changeset = ? AND number = ?",
                [(state, changeset, number) for number in numbers],
            )

    def changesets(self, host: str | None = None) -> tuple[Changeset, ...]:
        """Return what was changed on a host, or on all, oldest first.

        Raises:
            InputError: The journal cannot be read.
        """
        return self._changesets("? IS NULL OR host = ?", (host, host))

    def left(self, host: str) -> dict[str, Changeset]:
        """Return the changesets of a host that have a purpose and are not undone, by purpose.

        Raises:
            InputError: The journal cannot be read.
        """
        with self._transaction() as database:
            rows = database.execute(
                "SELECT DISTINCT text, id FROM purpose JOIN changeset ON id = purpose.changeset "
                "JOIN record ON id = record.changeset WHERE host = ? AND state != 'undone'",
                (host,),
            ).fetchall()
        return {purpose: self._changesets("id = ?", (number,))[0] for purpose, number in rows}

    def _changesets(
        self, condition: str, values: Sequence[str | int | None]
    ) -> tuple[Changeset, ...]:
        with self._transaction() as database:
            rows = database.execute(
                "SELECT id, host, hostname, begun_at, key FROM changeset "
                f"WHERE {condition} ORDER BY id",
                values,
            ).fetchall()
            return tuple(
                Changeset(
                    id=number,
                    host=name,
                    hostname=own,
                    begun_at=at,
                    key=key,
                    records=tuple(self._records(number)),
                )
                for number, name, own, at, key in rows
            )

    def _records(self, changeset: int) -> Iterator[Record]:
        rows = self._database.execute(
            "SELECT number, path, form, prior, value, reason, state FROM record "
            "WHERE changeset = ? ORDER BY number",
            (changeset,),
        )
        for number, path, form, prior, value, reason, state in rows:
            yield Record(
                number=number,
                setting=Setting(path=path, value=value, form=form),
                prior=prior,
                reason=reason,
                state=state,
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._database:
                yield self._database
        except sqlite3.Error as error:
            raise self._unwritable(error) from error


def _row(changeset: int, record: Record) -> tuple[int | str, ...]:
    setting = record.setting
    values = (setting.path, setting.form, record.prior, setting.value, record.reason)
    return (changeset, record.number, *values, record.state)
