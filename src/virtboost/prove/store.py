"""Experiments and every run of them, on disk as soon as it is made.

SQLite in WAL mode: what was measured before a crash is there after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from virtboost.errors import InputError
from virtboost.model.document import from_json, to_json
from virtboost.prove.result import About, Block, Run
from virtboost.prove.spec import Spec

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS experiment (
    id INTEGER PRIMARY KEY, host TEXT NOT NULL, hostname TEXT, began_at TEXT NOT NULL,
    spec TEXT NOT NULL, published TEXT NOT NULL, ended TEXT NOT NULL, boot TEXT,
    due TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE IF NOT EXISTS run (
    experiment INTEGER NOT NULL REFERENCES experiment(id), document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS block (
    experiment INTEGER NOT NULL REFERENCES experiment(id), document TEXT NOT NULL
);
"""

RUNNING = "running, or killed"
"""What is said of an experiment that has not come to an end by itself."""

WAITING = "waits for a reboot"


class Store:
    """The experiments of this user on this machine."""

    def __init__(self, folder: Path) -> None:
        """Open, or make, the store in ``folder``.

        Raises:
            InputError: It cannot be written, or is no store.
        """
        self._path = folder / "experiments.sqlite"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path)
            self._database.executescript(f"PRAGMA journal_mode=WAL; {_SCHEMA}")
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def begin(
        self,
        host: str,
        hostname: str | None,
        began_at: str,
        spec: Spec,
        published: dict[str, str],
    ) -> About:
        """Keep what is asked, before the first run."""
        with self._transaction() as database:
            cursor = database.execute(
                "INSERT INTO experiment (host, hostname, began_at, spec, published, ended) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (host, hostname, began_at, to_json(spec), to_json(published), RUNNING),
            )
        return self.experiment(int(cursor.lastrowid or 0))

    def end(self, experiment: int, ended: str, boot: str | None = None) -> None:
        """Keep how it ended, or that it waits for the end of a boot."""
        with self._transaction() as database:
            database.execute(
                "UPDATE experiment SET ended = ?, boot = ? WHERE id = ?", (ended, boot, experiment)
            )

    def due(self, experiment: int, trials: Sequence[str]) -> None:
        """Keep of which trials ``activate`` is still to be run."""
        with self._transaction() as database:
            database.execute(
                "UPDATE experiment SET due = ? WHERE id = ?", (to_json(trials), experiment)
            )

    def experiments(self) -> tuple[About, ...]:
        """Return all, oldest first."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT id, host, hostname, began_at, spec, published, ended, boot, due "
                "FROM experiment ORDER BY id"
            ).fetchall()
        return tuple(
            About(
                id=number,
                host=host,
                hostname=hostname,
                began_at=began_at,
                spec=from_json(spec, Spec, str(self._path)),
                published=from_json(published, dict[str, str], str(self._path)),
                ended=ended,
                boot=boot,
                due=from_json(due, tuple[str, ...], str(self._path)),
            )
            for number, host, hostname, began_at, spec, published, ended, boot, due in rows
        )

    def experiment(self, number: int) -> About:
        """Return one.

        Raises:
            InputError: There is none of this number.
        """
        found = [each for each in self.experiments() if each.id == number]
        if not found:
            raise InputError(f"no experiment {number}; virtboost prove list shows what there is")
        return found[0]

    def log(self, experiment: int) -> StoredLog:
        """Return the runs of one, and where more of them go."""
        return StoredLog(experiment, self._transaction)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._database:
                yield self._database
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> InputError:
        return InputError(f"{self._path}: experiments cannot be kept there: {error}")


class StoredLog:
    """The runs of one experiment: what was made before, and what is added."""

    def __init__(
        self, experiment: int, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]]
    ) -> None:
        """Read what there is."""
        self._experiment = experiment
        self._transaction = transaction
        self.runs = self._read("run", Run)
        self.blocks = self._read("block", Block)

    def add(self, run: Run) -> None:
        """Keep a run."""
        self.runs.append(run)
        self._write("run", run)

    def end(self, block: Block) -> None:
        """Keep that a block is at its end."""
        self.blocks.append(block)
        self._write("block", block)

    def _read(self, table: Literal["run", "block"], kind: type[T]) -> list[T]:
        query = f"SELECT document FROM {table} WHERE experiment = ? ORDER BY rowid"
        with self._transaction() as database:
            rows = database.execute(query, (self._experiment,)).fetchall()
        return [from_json(document, kind, table) for (document,) in rows]

    def _write(self, table: Literal["run", "block"], value: Run | Block) -> None:
        with self._transaction() as database:
            database.execute(
                f"INSERT INTO {table} VALUES (?, ?)",
                (self._experiment, to_json(value)),
            )
