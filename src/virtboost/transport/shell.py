"""All sources as one POSIX shell script, and its answer as a capture.

A process for each of thousands of files would take minutes on a slow host, so ``grep`` prints the
attributes of the kernel, many at a time, each line after its path.  The shell cannot do it
alone: ``read`` of dash and busybox takes a byte at a time, and since Linux 5.16 a CPU mask says
nothing to whoever asks for one byte (bb9ec13d156e, "topology: use bin_attribute to break the size
limitation of cpumap ABI").

What the script prints is framed by lines that begin with a nonce, so that neither a file, a program
nor a login message can pass for a frame.  Each frame is followed by its text:

=====================  =======================================================
``N F SOURCE PATH``    the content of a file
``N L SOURCE PATH``    the real path of a symbolic link
``N E SOURCE PATH``    nothing: the path is there and may not be read
``N A SOURCE``         attributes, as ``grep`` prints them
``N C SOURCE``         standard output of a program
``N S SOURCE STATUS``  its exit status, and its standard error
``N Z``                the end, with what ``times`` says
=====================  =======================================================
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from virtboost.errors import BadAnswer
from virtboost.transport.local import SEARCH_PATH
from virtboost.transport.source import (
    ATTRIBUTES,
    COMMAND_LIMIT_S,
    NUMBER,
    Capture,
    Command,
    Entries,
    Failure,
    Files,
    Links,
    Output,
    Source,
    expression,
    output_of,
    text_of,
)
from virtboost.transport.tree import in_natural_order

_PRELUDE = rf"""LC_ALL=C; export LC_ALL; PATH=$PATH:{SEARCH_PATH}; export PATH; cd / || exit 1
unset IFS; LF='
'
T=; timeout {COMMAND_LIMIT_S} true 2>/dev/null && T='timeout {COMMAND_LIMIT_S}'
e() {{ printf '%s E %s %s\n' "$N" "$I" "$1"; return 1; }}
d() {{
  if [ -d "$1" ]; then [ "-$2" "$1" ] && [ -x "$1" ] && return; e "$1"; return; fi
  p=${{1%/*}}
  while [ -n "$p" ] && [ ! -d "$p" ]; do p=${{p%/*}}; done
  [ -x "$p/" ] || e "$1"
  return 1
}}
f() {{
  for x in "$@"; do
    [ -f "$x" ] || continue
    [ -r "$x" ] || {{ e "$x"; continue; }}
    printf '%s F %s %s\n' "$N" "$I" "$x"
    cat "$x" || e "$x"
  done
}}
l() {{
  for x in "$@"; do
    [ -h "$x" ] && [ -d "$x" ] && cd -P "$x" && printf '%s L %s %s\n%s\n' "$N" "$I" "$x" "$PWD"
  done
  cd /
}}
g() {{
  [ $# -gt 1 ] || [ -e "$1" ] || return
  printf '%s A %s\n' "$N" "$I"
  grep -a '' /dev/null "$@" </dev/null
}}
o() {{
  printf '%s C %s\n' "$N" "$I"
  {{ E=$({{ $T "$@" </dev/null 3>&-; }} 2>&1 1>&3); S=$?; }} 3>&1
  printf '\n%s S %s %s\n%s\n' "$N" "$I" "$S" "$E"
}}
"""
"""``e`` tells a path that may not be read; ``d`` whether a directory may be entered and, with
``r``, listed; ``f`` prints files, ``l`` links, ``g`` attributes; ``o`` runs a program, without
descriptor 3: a daemon that it starts would keep the answer open."""

_NO_VALUE = {
    "no such file or directory",
    "not a directory",
    "is a directory",
    "invalid argument",
    "operation not supported",
    "not supported",
    "no data available",
}
"""What ``grep`` says, in glibc's and musl's words, of an attribute that a device does not have."""


def script(sources: Sequence[Source], nonce: str) -> str:
    """Return the script that prints all ``sources``, framed with ``nonce``."""
    lines = [f"N={nonce}", _PRELUDE]
    for index, source in enumerate(sources):
        statement = _program(source) if isinstance(source, Command) else _entries(source)
        lines.append(f"I={index}; {statement}")
    return "\n".join((*lines, "printf '%s Z\\n' \"$N\"", "times", "exit 0", ""))


def _entries(source: Files | Links) -> str:
    patterns = [_quoted(f"{source.directory}/{name}") for name in source.names]
    if isinstance(source, Links):
        prints = f"l {' '.join(patterns)}"
    elif not f"{source.directory}/".startswith(ATTRIBUTES):
        prints = f"f {' '.join(patterns)}"
    elif "*" in source.directory:  # one name at a time, for the kernel's limit on arguments
        prints = "{ " + "".join(f"g {pattern}; " for pattern in patterns) + "}"
    else:
        prints = f"g {' '.join(patterns)}"
    above = source.directory.partition("*")[0].rpartition("/")[0]
    if "*" not in source.directory:
        above = source.directory
    listed = "r" if any("*" in pattern for pattern in patterns) else "x"
    return f"d {shlex.quote(above)} {listed} && {prints}"


def _quoted(glob: str) -> str:
    """Quote everything of a glob that the shell must not see but its wildcards."""
    parts = re.split(r"(\[0-9\]\*|\*)", glob)
    return "".join(part if part in ("*", NUMBER) else shlex.quote(part) for part in parts if part)


def _program(command: Command) -> str:
    program = (command.foreach or command.argv)[0]
    present = f"command -v {shlex.quote(program)} >/dev/null 2>&1"
    run = " ".join(_argument(argument, command) for argument in command.argv)
    if not command.foreach:
        return f"{present} && o {run}"
    listing = shlex.join(command.foreach)
    each = "IFS=$LF; set -f; set -- $ids; set +f; unset IFS"
    if command.batch:
        each = f"{each}; [ $# -eq 0 ] || o {run}"
    else:
        each = f'{each}; for i in "$@"; do o {run}; done'
    listed = f"ids=$($T {listing} </dev/null 2>/dev/null)"
    return f"{present} && if {listed}; then {each}; else o {listing}; fi"


def _argument(argument: str, command: Command) -> str:
    if not command.foreach or "{}" not in argument:
        return shlex.quote(argument)
    if command.batch:
        return '"$@"'
    return '"$i"'.join(shlex.quote(part) if part else "" for part in argument.split("{}"))


def parse_answer(
    answer: bytes, errors: bytes, nonce: str, sources: Sequence[Source], host: str
) -> Capture:
    """Turn what the script printed, on both outputs, back into a capture.

    Raises:
        BadAnswer: The end is missing, or it is not what the script prints: the connection broke,
            the shell stopped, or the host makes it up.
    """
    gathered = _Gathered(sources, _complaints(errors))
    try:
        for kind, words, body in _frames(answer, nonce):
            if kind == "Z":
                return gathered.capture(_cpu_s(body.decode("ascii", "replace")))
            gathered.take(kind, int(words[0]), words[1:], body)
    except (ValueError, IndexError, KeyError) as error:
        raise BadAnswer(host, f"the answer is not in order: {error}") from error
    raise BadAnswer(host, "the answer is cut off or is not from a shell")


def _frames(answer: bytes, nonce: str) -> Iterator[tuple[str, list[str], bytes]]:
    """Yield (kind, words, text); what a login shell prints before the first frame is dropped."""
    for part in answer.split(f"{nonce} ".encode())[1:]:
        header, _, body = part.partition(b"\n")
        kind, *words = header.decode("utf-8", "replace").split(" ", 2)
        yield kind, words, body


class _Gathered:
    """What the frames of one answer have brought so far."""

    def __init__(self, sources: Sequence[Source], failures: Iterable[Failure]) -> None:
        self._sources = sources
        self._entries: dict[Files | Links, Entries] = {}
        self._outputs: dict[Command, list[Output]] = {}
        self._failures = list(failures)
        self._stdout = b""

    def take(self, kind: str, index: int, words: Sequence[str], body: bytes) -> None:
        """Take one frame.

        Raises:
            ValueError, IndexError, KeyError: The script prints no such frame.
        """
        source = self._sources[index]
        if kind == "E":
            self._failures.append(Failure(words[0], "permission denied"))
        elif kind == "C":
            self._stdout = body
        elif isinstance(source, Command):
            output = output_of(int(words[0]), self._stdout, body)
            self._outputs.setdefault(source, []).append(output)
        elif kind == "A":
            for path, content in _grepped(source, body):
                self._entry(source, path, content)
        else:
            self._entry(source, words[0], body)

    def _entry(self, source: Files | Links, path: str, body: bytes) -> None:
        text = text_of(path, body)
        directory, _, name = path.rpartition("/")
        if isinstance(text, Failure):
            self._failures.append(text)
        elif text is not None and path.isprintable():
            self._entries.setdefault(source, {}).setdefault(directory, {})[name] = text

    def capture(self, cpu_s: float | None) -> Capture:
        """Return everything, sources and directories in the order in which they were asked for."""
        entries = {
            source: in_natural_order(source, self._entries[source])
            for source in self._sources
            if not isinstance(source, Command) and source in self._entries
        }
        outputs = {command: tuple(outputs) for command, outputs in self._outputs.items()}
        return Capture(entries, outputs, self._failures, cpu_s=cpu_s)


def _cpu_s(times: str) -> float | None:
    """Return the sum of what ``times`` prints: of the shell and its children, user and system.

    It counts whole hundredths of a second, and leaves the rest out.
    """
    found = re.findall(r"(\d+)m(\d+(?:\.\d+)?)s", times)
    return sum(60 * int(minutes) + float(s) for minutes, s in found) if len(found) == 4 else None


def _grepped(source: Files | Links, printed: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of what ``grep`` printed, each line after its path and a colon."""
    names = "|".join(expression(name).pattern for name in source.names)
    line_of = re.compile(f"({expression(source.directory).pattern}/(?:{names})):".encode())
    contents: dict[bytes, list[bytes]] = {}
    for line in printed.split(b"\n"):
        match = line_of.match(line)
        if match:
            contents.setdefault(match[1], []).append(line[match.end() :])
    for path, lines in contents.items():
        yield path.decode("utf-8", "replace"), b"\n".join(lines) + b"\n"


def _complaints(stderr: bytes) -> Iterator[Failure]:
    """Yield what ``grep`` could not read: ``grep: PATH: Permission denied``."""
    for line in stderr.decode("utf-8", "replace").split("\n"):
        path, _, reason = line.removeprefix("grep: ").rpartition(": ")
        if path.startswith(ATTRIBUTES) and path.isprintable() and reason.lower() not in _NO_VALUE:
            yield Failure(path, reason.lower())
