"""This machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from virtboost.transport import process
from virtboost.transport.source import (
    COMMAND_LIMIT_S,
    MAX_TEXT_BYTES,
    NOT_RUN,
    STOPPED,
    Capture,
    Command,
    Failure,
    Output,
    Source,
    output_of,
)
from virtboost.transport.tree import LiveTree, read_entries

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for after the user's own PATH; ordinary users often lack ``sbin``."""


class LocalReader:
    """Reads this machine's files and runs its programs."""

    name = "local"

    def read(self, sources: Sequence[Source]) -> Capture:
        """Read all ``sources``; programs run side by side."""
        failures: list[Failure] = []
        entries = read_entries(LiveTree(), sources, failures)
        commands = [source for source in sources if isinstance(source, Command)]
        present = [c for c in commands if shutil.which((c.foreach or c.argv)[0], path=_path())]
        outputs: dict[Command, tuple[Output, ...]] = {}
        if present:
            with ThreadPoolExecutor(max_workers=8) as pool:
                outputs = dict(zip(present, pool.map(_outputs, present), strict=True))
        return Capture(entries, outputs, failures)


def _outputs(command: Command) -> tuple[Output, ...]:
    if not command.foreach:
        return (_run(command.argv),)
    listed = _run(command.foreach)
    lines = [line for line in listed.stdout.split("\n") if line]
    if listed.status != 0:
        return (listed,)
    if command.batch:
        return (_run(_spread(command.argv, lines)),) if lines else ()
    return tuple(_run(tuple(a.replace("{}", line) for a in command.argv)) for line in lines)


def _spread(argv: Sequence[str], lines: Sequence[str]) -> tuple[str, ...]:
    spread: list[str] = []
    for argument in argv:
        spread.extend(lines if argument == "{}" else (argument,))
    return tuple(spread)


def _run(argv: Sequence[str]) -> Output:
    env = {**os.environ, "LC_ALL": "C", "PATH": _path()}
    try:
        done = process.run(argv, limit_s=COMMAND_LIMIT_S, max_bytes=MAX_TEXT_BYTES, env=env)
    except OSError as error:
        return Output(status=NOT_RUN, stdout="", stderr=(error.strerror or str(error)).lower())
    return output_of(STOPPED if done.timed_out else done.status, done.stdout, done.stderr)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{SEARCH_PATH}"
