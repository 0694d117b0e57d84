"""A host over the system's OpenSSH: the user's own configuration, agent, jump hosts, known_hosts.

The target needs a POSIX shell and nothing else.  A whole scan is one script on the shell's
standard input and one answer; nothing is written on the target.  Files are printed by the shell
itself, since a process for each of thousands of them would take minutes on a slow host.
"""

from __future__ import annotations

import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from virtboost.errors import CommandFailed, HostTimeout, InputError, Unreachable
from virtboost.transport.local import SEARCH_PATH
from virtboost.transport.source import (
    COMMAND_LIMIT_S,
    MAX_FILE_BYTES,
    Capture,
    Command,
    Entries,
    Failure,
    Files,
    Links,
    Output,
    Source,
    clean,
)
from virtboost.transport.tree import in_natural_order

_ADDRESS = re.compile(
    r"ssh://(?:[\w.][\w.-]*@)?(?:[\w.][\w.-]*|\[[0-9a-fA-F:.]+(?:%\w+)?\])(?::\d{1,5})?/?"
)

_SSH_FAILED = 255
"""The exit status with which ``ssh`` tells of its own failure, not of the remote program's."""

_PRELUDE = f"""\
LC_ALL=C; export LC_ALL; PATH=$PATH:{SEARCH_PATH}; export PATH; cd / || exit 1
T=; timeout {COMMAND_LIMIT_S} true 2>/dev/null && T='timeout {COMMAND_LIMIT_S}'
f() {{
  d=$1; shift
  for p in "$@"; do for x in "$d"/$p; do
    [ -f "$x" ] || continue
    if [ ! -r "$x" ]; then printf '%s E %s %s\\n' "$N" "$I" "$x"; continue; fi
    printf '%s F %s %s\\n' "$N" "$I" "$x"
    case $x in
      /sys/*) while IFS= read -r l || [ -n "$l" ]; do printf '%s\\n' "$l"; done <"$x" ;;
      *) cat "$x" ;;
    esac
  done; done
}}
l() {{
  d=$1; shift
  for p in "$@"; do for x in "$d"/$p; do
    [ -h "$x" ] && [ -d "$x" ] && cd -P "$x" && printf '%s L %s %s\\n%s\\n' "$N" "$I" "$x" "$PWD"
  done; done
  cd /
}}
r() {{
  {{
    e=$({{ $T "$@" </dev/null; }} 2>&1 1>&3)
    s=$?
  }} 3>&1
  printf '\\n%s S %s %s\\n%s\\n' "$N" "$I" "$s" "$e"
}}
o() {{ printf '%s C %s\\n' "$N" "$I"; r "$@"; }}
"""


class SshReader:
    """Reads a host over SSH, in one round trip."""

    def __init__(
        self,
        address: str,
        *,
        limit_s: float = 120,
        control_directory: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """Read ``address``, giving up after ``limit_s`` seconds.

        Args:
            address: ``ssh://[user@]host[:port]``; ``host`` may be an alias of the user's
                ``~/.ssh/config``.
            limit_s: Time for the whole answer.
            control_directory: Where sockets of shared connections are kept (a private folder); a
                later call within a minute uses the same connection.  None: no sharing.
            options: More arguments for ``ssh``, such as ``-F FILE``.

        Raises:
            InputError: The address is not of that form.
        """
        if not _ADDRESS.fullmatch(address):
            raise InputError(f"{address!r} is not a host: write ssh://[user@]host[:port]")
        self.name = address
        self._limit_s = limit_s
        self._options = (*_OPTIONS, *_shared(control_directory), *options)

    def read(self, sources: Sequence[Source]) -> Capture:
        """Read all ``sources``.

        Raises:
            Unreachable: ``ssh`` could not connect or log in; its own message is told.
            HostTimeout: The answer did not come in time.
            CommandFailed: The shell of the host failed.
        """
        nonce = f"@{secrets.token_hex(12)}"
        answer = self._ask(script(sources, nonce))
        return parse_answer(answer, nonce, sources, self.name)

    def _ask(self, script_text: str) -> bytes:
        argv = ("ssh", *self._options, "-T", "--", self.name, "exec sh -s")
        try:
            done = subprocess.run(
                argv,
                input=script_text.encode(),
                capture_output=True,
                timeout=self._limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise HostTimeout(self.name, f"no answer in {self._limit_s:g} s") from error
        except FileNotFoundError as error:
            raise Unreachable(self.name, "no ssh here; install openssh-client") from error
        stderr = done.stderr.decode("utf-8", "replace")
        if done.returncode == _SSH_FAILED:
            raise Unreachable(self.name, _last_line(stderr) or "ssh failed")
        if done.returncode != 0:
            raise CommandFailed(self.name, ("sh",), done.returncode, stderr)
        return done.stdout


_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=15")
"""No prompt can be answered when many hosts are read side by side."""


def _shared(directory: Path | None) -> tuple[str, ...]:
    if directory is None:
        return ()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = f"ControlPath={directory}/%C"
    return ("-o", "ControlMaster=auto", "-o", path, "-o", "ControlPersist=60")


def script(sources: Sequence[Source], nonce: str) -> str:
    """Return the POSIX shell script that prints all ``sources`` between lines that begin ``nonce``.

    The nonce keeps a hostile file from passing for a frame.
    """
    lines = [f"N={nonce}", _PRELUDE]
    for index, source in enumerate(sources):
        lines.append(f"I={index}; {_statement(source)}")
    return "\n".join((*lines, "printf '%s Z\\n' \"$N\"", "exit 0", ""))


def _statement(source: Source) -> str:
    if isinstance(source, Command):
        return _run_statement(source)
    function = "f" if isinstance(source, Files) else "l"
    names = " ".join(shlex.quote(name) for name in source.names)
    return f'for d in {source.directory}; do {function} "$d" {names}; done'


def _run_statement(command: Command) -> str:
    program = (command.foreach or command.argv)[0]
    present = f"command -v {shlex.quote(program)} >/dev/null 2>&1"
    run = " ".join(_argument(argument, command) for argument in command.argv)
    if not command.foreach:
        return f"{present} && o {run}"
    listing = shlex.join(command.foreach)
    if command.batch:
        each = f"set -f; set -- $ids; set +f; [ $# -eq 0 ] || o {run}"
    else:
        print_ids = "printf '%s\\n' \"$ids\""
        each = f'{print_ids} | while IFS= read -r i; do [ -z "$i" ] || o {run}; done'
    listed = f"ids=$($T {listing} </dev/null 2>/dev/null)"
    return f"{present} && if {listed}; then {each}; else o {listing}; fi"


def _argument(argument: str, command: Command) -> str:
    if not command.foreach or "{}" not in argument:
        return shlex.quote(argument)
    if command.batch:
        return '"$@"'
    return '"$i"'.join(shlex.quote(part) if part else "" for part in argument.split("{}"))


def parse_answer(answer: bytes, nonce: str, sources: Sequence[Source], host: str) -> Capture:
    """Turn what the script printed back into a capture.

    Raises:
        CommandFailed: The end is missing: the connection broke, or the shell stopped.
    """
    entries: dict[Files | Links, Entries] = {s: {} for s in sources if not isinstance(s, Command)}
    outputs: dict[Command, list[Output]] = {}
    failures: list[Failure] = []
    body = ""
    kind = ""
    for kind, words, text in _frames(answer, nonce):
        if kind == "Z":
            break
        source = sources[int(words[0])]
        if isinstance(source, Command):
            if kind == "S":
                output = Output(status=int(words[1]), stdout=body, stderr=text)
                outputs.setdefault(source, []).append(output)
            body = text
        elif kind == "E":
            failures.append(Failure(words[1], "permission denied"))
        elif len(text) > MAX_FILE_BYTES:
            failures.append(Failure(words[1], f"larger than {MAX_FILE_BYTES >> 20} MiB"))
        else:
            directory, _, name = words[1].rpartition("/")
            entries[source].setdefault(directory, {})[name] = text
    if kind != "Z":
        raise CommandFailed(host, ("sh",), 0, "the answer is cut off or is not from a shell")
    in_order = {source: in_natural_order(found) for source, found in entries.items()}
    return Capture(in_order, {c: tuple(o) for c, o in outputs.items()}, failures)


def _frames(answer: bytes, nonce: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield (kind, words, text); what a login shell prints before the first frame is dropped."""
    for part in answer.split(f"{nonce} ".encode())[1:]:
        header, _, body = part.partition(b"\n")
        kind, _, rest = header.decode("utf-8", "replace").partition(" ")
        yield kind, tuple(rest.split(" ", 1)), clean(body)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
