"""How settings of a host are written: many in one round trip, each read back.

A `Reader` has no such method, so what holds a reader only cannot change a host.  The script needs a
POSIX shell and ``cat``, and the tools that a write names.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
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
    """A file of the kernel, or another name where there are commands."""
    stdin: str
    """What it is to say: what ``put`` reads."""
    put: str = ""
    """Command of a shell that sets it; empty: the file is written."""
    get: str = ""
    """Command of a shell that tells it; empty: the file is read."""
    note: str = ""
    """``FOLDER/NUMBER`` where the host notes what it did, for a copy of the changes there.

    A file of the kernel that is about to be written has its number in ``FOLDER/tried``, and what
    all of them say afterwards, as ``grep -H`` prints it, is ``FOLDER/now``.  What commands tell is
    ``FOLDER/NUMBER.was`` before, and ``.now`` after.
    """
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


_PRELUDE = """\
N={nonce} d=
F() {{ {read_back} }}
a() {{ printf '%s\\n' "$N $1 $s" "$e" "$N"; }}
g() {{ echo "$N R"; F 2>/dev/null </dev/null >&3; echo; echo "$N Z"; }} 3>&1
z() {{ [ "$s" = 0 ] || [ -z "$1" ] || {{ g; exit 0; }}; }}
f() {{
  s=1 e='no room to keep its old value'
  d=${{4%/*}}
  if [ -z "$4" ] || printf '%s\\n' "${{4##*/}}" 2>/dev/null >>"$d/tried"; then
    s=0 e=
    printf '%s\\n' "$3" 2>/dev/null >"$1" ||
      {{ e=$( {{ printf '%s\\n' "$3" | cat >"$1"; }} 2>&1 ); s=$?; }}
  fi
  a "$2"
  echo
  z "$5"
}}
w() {{
  s=1 e='no room to keep its old value'
  if [ -z "$4" ] || (eval "$7") 2>/dev/null </dev/null >"$4.was"; then
    e=$( {{ printf %s "$3" | eval "$6"; }} 2>&1 ); s=$?
  fi
  a "$2"
  x=$(eval "$7" 2>/dev/null </dev/null)
  [ -z "$4" ] || printf '%s\\n' "$x" >"$4.now"
  printf '%s\\n' "$x"
  z "$5"
}}
"""
"""``f`` writes a file and runs no program, for there may be hundreds, and one ``grep`` reads them
all back; ``w`` sets by commands.

``cat`` tells the kernel's own reason; the ``printf`` of dash calls everything an I/O error.
"""

_AT_ONCE = 500
"""Files that one ``grep`` reads: their names are far below the limit of a command line."""


def _script(writes: Sequence[Write], nonce: str, *, keep_going: bool) -> str:
    """Return a script that answers each write with its number, its status and two texts."""
    lines = []
    for number, each in enumerate(writes):
        stop = "" if keep_going and not each.essential else "stop"
        words = ("w" if each.put else "f", each.path, str(number), each.stdin, each.note, stop)
        commands = (each.put, each.get) if each.put else ()
        lines.append(shlex.join((*words, *commands)))
    prelude = _PRELUDE.format(nonce=nonce, read_back=_read_back(writes))
    return "\n".join((prelude, *lines, "g", ""))


def _read_back(writes: Sequence[Write]) -> str:
    """Return the commands that read all files of the kernel, and keep what they say for a copy."""
    files = [each.path for each in writes if not each.put]
    parts = [files[first : first + _AT_ONCE] for first in range(0, len(files), _AT_ONCE)]
    greps = "".join(f"grep -H '' -- {shlex.join(part)}; " for part in parts)
    return f'{{ :; {greps}}} | if [ -n "$d" ]; then tee "$d/now"; else cat; fi;'


def _results(answer: bytes, writes: Sequence[Write], nonce: str, host: str) -> Iterator[Written]:
    text = answer.decode("utf-8", "replace")
    if not text.rstrip().endswith(f"{nonce} Z"):
        raise BadAnswer(host, "the answer is cut off: what was written is not known")
    told, _, rest = text.partition(f"{nonce} R\n")
    files = _by_file(rest.rpartition(f"\n{nonce} Z")[0], {w.path for w in writes if not w.put})
    pattern = re.compile(
        rf"^{nonce} (\d+) (\d+)\n(.*?)^{nonce}\n(.*?)(?=^{nonce} |\Z)", re.DOTALL | re.MULTILINE
    )
    for number, status, error, now in pattern.findall(told):
        made = writes[int(number)]
        yield Written(
            path=made.path,
            error=None if status == "0" else _said(made.path, error) or f"status {status}",
            now=clean((now if made.put else files.get(made.path, "")).encode()) or None,
        )


def _by_file(text: str, paths: Collection[str]) -> dict[str, str]:
    """Return the lines that ``grep -H`` printed, by file; a path may have colons."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        path, colon, rest = line.partition(":")
        while path not in paths and colon:
            more, colon, rest = rest.partition(":")
            path = f"{path}:{more}"
        found[path] = f"{found.get(path, '')}{rest}\n"
    return found


def _said(path: str, error: str) -> str:
    """Return why a write failed: the kernel's own words, or a tool's, in one line."""
    text = clean(error.encode())
    return text.rpartition(": ")[2] if path.startswith("/") else " ".join(text.split())[:300]
