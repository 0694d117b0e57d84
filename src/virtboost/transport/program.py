"""Programs of a host that run for long: a workload, a reboot."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from virtboost.errors import BadAnswer
from virtboost.transport import process
from virtboost.transport.local import SEARCH_PATH
from virtboost.transport.source import MAX_TEXT_BYTES, NOT_RUN, STOPPED
from virtboost.transport.ssh import SshReader

_TERMINATED = 128 + signal.SIGTERM

_SLACK_S = 60
"""Time for the connection, beside that of the program."""


class Ended(Struct, frozen=True, kw_only=True):
    """What a program left behind."""

    status: int
    """Exit status; ``STOPPED``: it took too long; ``NOT_RUN``: there is no such program."""
    stdout: str
    stderr: str


Program = Callable[[Sequence[str], float], Ended]
"""Runs a program (its arguments, its limit in seconds) to its end.

Raises ``TransportError`` where the host is lost meanwhile.
"""


def local_program(argv: Sequence[str], limit_s: float, max_bytes: int = MAX_TEXT_BYTES) -> Ended:
    """Run a program of this machine; one that takes too long ends with all that it started."""
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SEARCH_PATH}"}
    try:
        done = process.run(argv, limit_s=limit_s, max_bytes=max_bytes, env=env, group=True)
    except OSError as error:
        return Ended(status=NOT_RUN, stdout="", stderr=f"{argv[0]}: {error.strerror}")
    return Ended(
        status=STOPPED if done.timed_out else done.status,
        stdout=done.stdout.decode("utf-8", "replace"),
        stderr=done.stderr.decode("utf-8", "replace"),
    )


def ssh_program(
    address: str, control_directory: Path | None = None, config: Path | None = None
) -> Program:
    """Return what runs programs of a host over SSH; arguments as those of ``SshReader``.

    Raises:
        InputError: The address is none.
    """
    SshReader(address)

    def run(argv: Sequence[str], limit_s: float) -> Ended:
        reader = SshReader(
            address,
            limit_s=limit_s + _SLACK_S,
            control_directory=control_directory,
            config=config,
        )
        nonce = f"@{secrets.token_hex(12)}"
        script = _SCRIPT.format(
            path=SEARCH_PATH,
            limit_s=limit_s,
            argv=shlex.join(argv),
            most=MAX_TEXT_BYTES,
            nonce=nonce,
        )
        return _ended(reader.ask(script.encode()).stdout, nonce, address)

    return timed(run)


_SCRIPT = """\
PATH=$PATH:{path}; export PATH; umask 077
d=$(mktemp -d) || exit 1
trap 'rm -rf "$d"' EXIT
trap 'exit 1' HUP INT TERM
T=; timeout 1 true 2>/dev/null && T='timeout {limit_s:g}'
$T {argv} >"$d/1" 2>"$d/2" </dev/null
s=$?
echo {nonce}
head -c {most} "$d/1"
printf '\\n%s %s\\n' {nonce} "$s"
tail -c 4096 "$d/2"
printf '\\n%s\\n' {nonce}
"""
"""What the program prints goes to files: a program that it leaves behind holds no connection."""


def timed(run: Program) -> Program:
    """Return a program runner that tells one that took too long as ``STOPPED``.

    ``timeout`` of busybox tells the signal that it sent.
    """

    def timed_run(argv: Sequence[str], limit_s: float) -> Ended:
        begun = time.monotonic()
        ended = run(argv, limit_s)
        late = time.monotonic() - begun >= limit_s
        return replace(ended, status=STOPPED) if late and ended.status == _TERMINATED else ended

    return timed_run


def _ended(answer: bytes, nonce: str, host: str) -> Ended:
    """Return what came of a program, from what the script printed.

    Raises:
        BadAnswer: It is cut off.
    """
    parts = answer.decode("utf-8", "replace").split(nonce)
    if len(parts) != 4:
        raise BadAnswer(host, "the answer is cut off: what came of the program is not known")
    status, _, stderr = parts[2].partition("\n")
    return Ended(status=int(status), stdout=parts[1][1:-1], stderr=stderr[:-1])
