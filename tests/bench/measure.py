"""Time, memory and ratios of programs and functions, ours and a peer's in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")


class Used(Struct, frozen=True):
    """What one run of a program used, its children's share included."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Largest resident set of the program itself."""


class Row(Struct, frozen=True, kw_only=True):
    """One line of a result: the same quantity of ours and of a peer, run for run."""

    what: str
    unit: str
    """``ms``, ``MiB``, ``hosts/s``."""
    ours: tuple[float, ...]
    peer: str = ""
    """The peer's name; empty where there is none."""
    peers: tuple[float, ...] = ()
    goal: str = ""


def used(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Used:
    """Run a program to its end and return what it used.

    Python may keep its bytecode, as it does for a user.  The peak is told by GNU time: a child's
    own accounts begin with those of this process.

    Raises:
        subprocess.CalledProcessError: It failed; 1, which means findings, is no failure.
    """
    with tempfile.NamedTemporaryFile("r") as told:
        begin = time.perf_counter()
        process = subprocess.Popen(
            ("time", "--format=%M", f"--output={told.name}", "--quiet", *argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            raise subprocess.CalledProcessError(process.returncode, argv)
        return Used(wall_s, usage.ru_utime + usage.ru_stime, int(told.read()) << 10)


def seconds(function: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def timed(function: Callable[[], T]) -> tuple[float, T]:
    """Return how many seconds a call takes, and its result."""
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def in_turn(count: int, *runs: Callable[[], T]) -> list[list[T]]:
    """Run each ``count`` times, forwards and backwards in turn, after one run that does not count.

    What the machine does meanwhile falls on all alike.
    """
    results: list[list[T]] = [[] for _ in runs]
    for run in runs:
        run()
    for number in range(count):
        order = range(len(runs)) if number % 2 == 0 else reversed(range(len(runs)))
        for index in order:
            results[index].append(runs[index]())
    return results


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table of Markdown: median (least to most), and the median of the ratios."""
    lines = ["| | ours | peer | ours / peer | goal |", "|---|---|---|---|---|"]
    for row in rows:
        peer = f"{row.peer}: {_spread(row.peers, row.unit)}" if row.peers else ""
        ratio = ""
        if row.peers and all(row.peers):
            pairs = zip(row.ours, row.peers, strict=True)
            ratio = f"{statistics.median(ours / theirs for ours, theirs in pairs):.2f}"
        cells = (row.what, _spread(row.ours, row.unit), peer, ratio, row.goal)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float], unit: str) -> str:
    if len(values) == 1:
        return f"{values[0]:.3g} {unit}"
    middle = statistics.median(values)
    return f"{middle:.3g} {unit} ({min(values):.3g} to {max(values):.3g})"
