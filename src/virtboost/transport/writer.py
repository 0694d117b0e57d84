"""How settings of a host are written: many in one round trip, each read back.

A `Reader` has no such method, so what holds a reader only cannot change a host.  The script needs a
POSIX shell and ``cat``, and the tools that a write names.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from virtboost.errors import BadAnswer
from virtboost.transport import process
from virtboost.transport.local import SEARCH_PATH
from virtboost.transport.source import MAX_TOTAL_BYTES, clean
from virtboost.transport.ssh import SshReader

LIMIT_S = 120
"""Filling a pool of huge pages takes the kernel a while: it moves what is in the way."""


class Write(Struct, frozen=True, kw_only=True):
    """One setting to be written and read back."""

    path: str
    put: str
    """Command of a shell that sets it."""
    stdin: str
    """What that command reads."""
    get: str
    """Command of a shell that tells it."""
    essential: bool = False
    """Whether nothing is written after it where it fails."""


class Written(Struct, frozen=True):
    """What came of a write."""

    path: str
    error: str | None
    """What the kernel said; None where it took the value."""
    now: str | None
    """What the file says afterwards; None where it cannot be read."""


class Writer(Protocol):
    """A host whose settings can be written."""

    @property
    def name(self) -> str:
        """What the user calls this host."""
        ...

    def write(self, writes: Sequence[Write], *, keep_going: bool) -> tuple[Written, ...]:
        """Write in order, and stop after the first that fails unless ``keep_going``.

        Returns:
            A result for each write that was tried.

        Raises:
            TransportError: The host cannot be reached, or its answer is cut off; what was written
                by then is not known.
        """
        ...


class ShellWriter:
    """Writes by a script on the standard input of a shell."""

    def __init__(self, name: str, run: Callable[[bytes], bytes]) -> None:
        """Run scripts with ``run``, which returns their output."""
        self.name = name
        self._run = run

    def write(self, writes: Sequence[Write], *, keep_going: bool) -> tuple[Written, ...]:
        """Write in order, and stop after the first that fails unless ``keep_going``."""
        if not writes:
            return ()
        nonce = f"@{secrets.token_hex(12)}"
        answer = self._run(_script(writes, nonce, keep_going=keep_going).encode())
        return tuple(_results(answer, writes, nonce, self.name))


def local_writer() -> ShellWriter:
    """Return the writer of this machine."""

    def run(script: bytes) -> bytes:
        env = {"LC_ALL": "C", "PATH": SEARCH_PATH}
        done = process.run(
            ("sh", "-s"), stdin=script, limit_s=LIMIT_S, max_bytes=MAX_TOTAL_BYTES, env=env
        )
        return done.stdout

    return ShellWriter("local", run)


def ssh_writer(reader: SshReader) -> ShellWriter:
    """Return the writer of a host that is read over SSH, through the same connection."""
    return ShellWriter(reader.name, lambda script: reader.ask(script).stdout)


def _script(writes: Sequence[Write], nonce: str, *, keep_going: bool) -> str:
    """Return a script that answers each write with its number, its status and two texts.

    ``cat`` tells the kernel's own reason; the ``printf`` of dash calls everything an I/O error.
    """
    lines = [
        'w() { e=$( { printf "%s" "$3" | eval "$1"; } 2>&1 ); s=$?; '
        f'printf "%s\\n%s\\n" "{nonce} $4 $s" "$e"; echo {nonce}; '
        f'(eval "$2") 2>/dev/null </dev/null; echo; '
        f'[ "$s" = 0 ] || [ -z "${{5:-}}" ] || {{ echo {nonce} Z; exit 0; }}; }}'
    ]
    lines += [
        f"w {shlex.join((each.put, each.get, each.stdin, str(number)))}"
        f"{'' if keep_going and not each.essential else ' stop'}"
        for number, each in enumerate(writes)
    ]
    return "\n".join((*lines, f"echo {nonce} Z", ""))


def _results(answer: bytes, writes: Sequence[Write], nonce: str, host: str) -> Iterator[Written]:
    text = answer.decode("utf-8", "replace")
    if not text.rstrip().endswith(f"{nonce} Z"):
        raise BadAnswer(host, "the answer is cut off: what was written is not known")
    pattern = re.compile(
        rf"^{nonce} (\d+) (\d+)\n(.*?)^{nonce}\n(.*?)(?=^{nonce} )", re.DOTALL | re.MULTILINE
    )
    for number, status, error, now in pattern.findall(text):
        path = writes[int(number)].path
        yield Written(
            path=path,
            error=None if status == "0" else _said(path, error) or f"status {status}",
            now=clean(now.encode()) or None,
        )


def _said(path: str, error: str) -> str:
    """Return why a write failed: the kernel's own words, or a tool's, in one line."""
    text = clean(error.encode())
    return text.rpartition(": ")[2] if path.startswith("/") else " ".join(text.split())[:300]
