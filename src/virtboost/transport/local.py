"""This machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from virtboost.transport.source import (
    COMMAND_LIMIT_S,
    Capture,
    Command,
    Failure,
    Output,
    Source,
    clean,
)
from virtboost.transport.tree import FileTree, read_entries

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for after the user's own PATH; ordinary users often lack ``sbin``."""


class LocalReader:
    """Reads this machine's files and runs its programs."""

    name = "local"

    def read(self, sources: Sequence[Source]) -> Capture:
        """Read all ``sources``; programs run side by side."""
        failures: list[Failure] = []
        entries = read_entries(FileTree(), sources, failures)
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
    lines = [line for line in listed.stdout.splitlines() if line]
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
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C", "PATH": _path()},
        )
    except subprocess.TimeoutExpired:
        return Output(status=124, stdout="", stderr=f"no answer in {COMMAND_LIMIT_S} s")
    except OSError as error:
        return Output(status=127, stdout="", stderr=str(error.strerror))
    return Output(
        status=done.returncode,
        stdout=clean(done.stdout),
        stderr=clean(done.stderr),
    )


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{SEARCH_PATH}"
