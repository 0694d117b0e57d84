"""What can be read from a host, declared, and what was read.

A scan module declares its sources; a transport evaluates all of them in one round trip and returns
one `Capture`; the module's pure ``parse`` takes what it declared out of it.  The sources
themselves are the keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Protocol

import msgspec

MAX_TEXT_BYTES = 16 << 20
"""A larger file or output is not taken: nothing that a scan needs comes near."""

MAX_TOTAL_BYTES = 256 << 20
"""What one read of a host may bring.  A host with 128 CPUs brings 1 MB."""

COMMAND_LIMIT_S = 20
"""A program on a host is stopped after this time: a dead daemon must not stop a scan."""

STOPPED = 124
"""Status of a program that was stopped, as ``timeout`` tells it."""

NOT_RUN = 127
"""Status of a program that could not be run, as the shell tells it."""

TOO_LARGE = f"larger than {MAX_TEXT_BYTES >> 20} MiB"

TOO_MUCH = f"not read on: more than {MAX_TOTAL_BYTES >> 20} MiB in all"

NUMBER = "[0-9]*"
"""What stands for a number in the pattern of a directory: ``cpu[0-9]*``."""

ATTRIBUTES = ("/sys/", "/proc/sys/", "/proc/irq/")
"""Where files are attributes of the kernel: one short text, given at once."""


class Files(msgspec.Struct, frozen=True):
    """Regular files: ``names`` (globs allowed) in each directory that matches ``directory``."""

    directory: str
    names: tuple[str, ...]


class Links(msgspec.Struct, frozen=True):
    """Symbolic links to directories, of which the real path is wanted and not the content."""

    directory: str
    names: tuple[str, ...]


class Command(msgspec.Struct, frozen=True):
    """The output of a program of the host.

    With ``foreach``, that program runs first and ``argv`` runs once for each line that it prints,
    ``{}`` replaced by the line; with ``batch`` too, it runs once with all lines in place of ``{}``.
    """

    name: str
    argv: tuple[str, ...]
    foreach: tuple[str, ...] = ()
    batch: bool = False


Source = Files | Links | Command


class Output(msgspec.Struct, frozen=True):
    """What a program printed, without white space at its ends."""

    status: int
    stdout: str
    stderr: str = ""


class Failure(msgspec.Struct, frozen=True):
    """A path or program that is there and could not be read."""

    path: str
    reason: str


Entries = dict[str, dict[str, str]]


class Capture:
    """Everything that one read of a host brought."""

    def __init__(
        self,
        entries: Mapping[Files | Links, Entries],
        outputs: Mapping[Command, tuple[Output, ...]],
        failures: Sequence[Failure],
        *,
        cpu_s: float | None = None,
    ) -> None:
        """Hold files and links (source -> directory -> name -> text), outputs and failures.

        ``cpu_s`` is the CPU time that a shell on the host took for it; None: not told.
        """
        self._entries = dict(entries)
        self._outputs = dict(outputs)
        self.failures = tuple(failures)
        self.cpu_s = cpu_s

    def entries(self, source: Files | Links) -> Entries:
        """Return directory -> name -> text (a link's real path) of what there was, stripped."""
        return self._entries.get(source, {})

    def matches(self, source: Files | Links) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
        """Yield each directory as the texts that its ``*`` stood for, with its entries."""
        pattern = expression(source.directory)
        for directory, names in self.entries(source).items():
            match = pattern.fullmatch(directory)
            if match:
                yield match.groups(), names

    def text(self, source: Files, name: str) -> str | None:
        """Return one file of a source whose directory has no wildcard, or None."""
        return self.entries(source).get(source.directory, {}).get(name)

    def outputs(self, command: Command) -> tuple[Output, ...]:
        """Return what the program printed: one output, or one for each line with ``foreach``."""
        return self._outputs.get(command, ())

    def stdout(self, command: Command) -> str | None:
        """Return the text of a program that ran once and succeeded, or None."""
        outputs = self.outputs(command)
        return outputs[0].stdout if outputs and outputs[0].status == 0 else None

    def sources(self) -> Iterator[tuple[Files | Links, Entries]]:
        """Yield every file or link source with what it brought."""
        yield from self._entries.items()

    def commands(self) -> Iterator[tuple[Command, tuple[Output, ...]]]:
        """Yield every program with what it printed."""
        yield from self._outputs.items()


class Reader(Protocol):
    """A host, or what was recorded of one, that can be read and not written."""

    @property
    def name(self) -> str:
        """What the user calls this host."""
        ...

    def read(self, sources: Sequence[Source]) -> Capture:
        """Read all ``sources`` in one round trip.

        Raises:
            TransportError: The host cannot be reached or did not answer in time.
            InputError: The recording cannot be used.
        """
        ...


def text_of(path: str, content: bytes) -> str | Failure | None:
    """Return the text of a file, why it is not taken, or None where it says nothing.

    The shell cannot tell an attribute that refuses to be read from one that is empty, so neither
    says anything; a file on disk may well be empty.
    """
    if len(content) > MAX_TEXT_BYTES:
        return Failure(path, TOO_LARGE)
    return clean(content) if content or not path.startswith(ATTRIBUTES) else None


def output_of(status: int, stdout: bytes, stderr: bytes) -> Output:
    """Return what a program printed, within bounds; one that was stopped says so."""
    if len(stdout) > MAX_TEXT_BYTES:
        return Output(status=STOPPED, stdout="", stderr=TOO_LARGE)
    told = clean(stderr) or (f"no answer in {COMMAND_LIMIT_S} s" if status == STOPPED else "")
    return Output(status=status, stdout=clean(stdout), stderr=told)


def clean(content: bytes) -> str:
    """Return a text without the white space, or NUL, around it."""
    return content.decode("utf-8", "replace").strip("\0 \t\r\n")


@cache
def expression(glob: str) -> re.Pattern[str]:
    """Turn a glob into an expression with a group for each ``*``, a number for ``[0-9]*``."""
    groups = {NUMBER: "([0-9]{1,9})", "*": "([^/]*?)"}
    parts = re.split(r"(\[0-9\]\*|\*)", glob)
    return re.compile("".join(groups.get(part) or re.escape(part) for part in parts))
