"""Every error is raised by something real, is one line, and says what, where and what to do."""

from __future__ import annotations

import inspect
import lzma
import re
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard

from virtboost import errors
from virtboost.apply.execute import apply
from virtboost.apply.journal import Journal
from virtboost.errors import (
    BadAnswer,
    ChangeFailed,
    CommandFailed,
    HostTimeout,
    InputError,
    ParseError,
    TransportError,
    Unreachable,
    VirtboostError,
)
from virtboost.model.change import Ksm
from virtboost.model.document import from_json
from virtboost.model.host import Host
from virtboost.transport import process, recorded
from virtboost.transport.local import LocalReader
from virtboost.transport.recorded import RecordedReader
from virtboost.transport.shell import parse_answer
from virtboost.transport.source import Command
from virtboost.transport.ssh import SshReader
from virtboost.transport.writer import Write, Written

ROOTS = {VirtboostError, TransportError}
"""Only what is below them is raised."""


def asked(folder: Path, answer: str, limit_s: float = 10) -> None:
    """Read a host through an ``ssh`` that answers as a script does."""
    program = folder / "ssh"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        SshReader("ssh://host", limit_s=limit_s).read(())


def refused(folder: Path) -> None:
    """Change a host whose kernel says no."""

    class No:
        name = "local"

        def write(self, writes: Sequence[Write], *, keep_going: bool) -> tuple[Written, ...]:
            no = "Permission denied"
            return tuple(Written(w.path, None if w.essential else no, "0") for w in writes)

    (folder / "sys/kernel/mm/ksm").mkdir(parents=True)
    (folder / "sys/kernel/mm/ksm/run").write_text("0\n")
    (folder / "sys/devices").mkdir()
    change = Ksm(setting="run", value=1)
    apply(RecordedReader(folder), No(), Journal(folder / "state"), [change], hostname=None)


RAISED: dict[type[VirtboostError], tuple[Callable[[Path], object], int, str]] = {
    InputError: (
        lambda folder: RecordedReader(folder).read(()),
        2,
        r"/.*: not a recording: it holds no sys/devices and no proc/cpuinfo",
    ),
    ParseError: (
        lambda _: from_json('{"schema": 1}', Host, "host.json"),
        2,
        r"host\.json: Expected .* - at `\$\.schema`",
    ),
    Unreachable: (
        lambda folder: asked(folder, "echo 'ssh: connect: Connection refused' >&2; exit 255"),
        3,
        r"ssh://host: ssh: connect: Connection refused; try: ssh ssh://host",
    ),
    HostTimeout: (
        lambda folder: asked(folder, "sleep 60", limit_s=0.2),
        3,
        r"ssh://host: no answer in 0\.2 s",
    ),
    BadAnswer: (
        lambda folder: asked(folder, "echo hello"),
        3,
        r"ssh://host: the answer is cut off or is not from a shell",
    ),
    ChangeFailed: (
        refused,
        3,
        r"local: /sys/kernel/mm/ksm/run: '1': Permission denied; everything else was undone",
    ),
    CommandFailed: (
        lambda folder: asked(folder, "echo no such shell >&2; exit 127"),
        3,
        r"ssh://host: sh failed with status 127: no such shell",
    ),
}
"""How each error comes about, its exit status, and its line."""


def classes() -> list[type[VirtboostError]]:
    found = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    return [each for each in found if issubclass(each, VirtboostError)]


def test_every_error_is_raised_here() -> None:
    assert set(classes()) - ROOTS == set(RAISED)


@pytest.mark.parametrize("kind", RAISED)
def test_line_and_status(kind: type[VirtboostError], tmp_path: Path) -> None:
    provoke, status, line = RAISED[kind]
    with pytest.raises(VirtboostError) as caught:
        provoke(tmp_path)
    assert type(caught.value) is kind
    assert caught.value.exit_status == status
    assert re.fullmatch(line, str(caught.value))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Each class is drawn once, in the order of the file, under the class that it is one of."""
    drawn = re.findall(r"^([ │├└─]*)(\w+)", errors.__doc__.split("::\n")[1], re.MULTILINE)
    above: dict[int, str] = {}
    for indent, name in drawn[: len(classes())]:
        kind = getattr(errors, name)
        parent = next((above[d] for d in sorted(above, reverse=True) if d < len(indent)), None)
        assert kind.__base__.__name__ == (parent or "Exception")
        above = {d: n for d, n in above.items() if d < len(indent)} | {len(indent): name}
    assert {name for _, name in drawn[: len(classes())]} == {each.__name__ for each in classes()}


def test_errors_carry_their_facts() -> None:
    failed = CommandFailed("host", ("virsh", "list"), 1, "error: no\nerror: really no\n")
    assert (failed.host, failed.argv, failed.status) == ("host", ("virsh", "list"), 1)
    assert str(failed) == "host: virsh failed with status 1: error: really no"
    assert (
        str(CommandFailed("host", ("x",), 1, " \n")) == "host: x failed with status 1: no message"
    )
    wrong = ParseError("a.yaml", "no such key", line=3)
    assert (wrong.source, wrong.problem, wrong.line) == ("a.yaml", "no such key", 3)
    assert str(wrong) == "a.yaml:3: no such key"
    assert [kind.transient for kind in (Unreachable, HostTimeout, BadAnswer)] == [True, True, False]


@pytest.mark.parametrize("library", [tarfile, zlib, lzma, zstandard])
def test_every_error_of_the_libraries_of_archives_is_foreseen(library: object) -> None:
    foreseen = (*recorded._DAMAGE, OSError)
    for _, kind in inspect.getmembers(library, inspect.isclass):
        if issubclass(kind, Exception) and not issubclass(kind, Warning):
            assert issubclass(kind, foreseen), kind


OS_ERRORS = (
    FileNotFoundError(2, "No such file or directory", "x"),
    PermissionError(13, "Permission denied", "x"),
    BlockingIOError(11, "Resource temporarily unavailable"),
    OSError(7, "Argument list too long", "x"),
    OSError("no number"),
)


@pytest.mark.parametrize("error", OS_ERRORS, ids=str)
def test_a_program_that_cannot_be_run(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> process.Finished:
        raise error

    monkeypatch.setattr(process, "run", fail)
    with pytest.raises(Unreachable, match=r"^ssh://host: cannot run ssh here: ") as caught:
        SshReader("ssh://host").read(())
    assert "None" not in str(caught.value)
    (output,) = LocalReader().read([Command("x", ("sh",))]).outputs(Command("x", ("sh",)))
    assert output.status == 127
    assert output.stderr == (error.strerror or str(error)).lower()


@pytest.mark.parametrize("error", OS_ERRORS, ids=str)
def test_a_recording_that_cannot_be_read(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    path = tmp_path / "host.tar"
    path.touch()
    monkeypatch.setattr(recorded, "_decompressed", fail)
    with pytest.raises(InputError, match=r"host\.tar: cannot be read: "):
        RecordedReader(path).read(())


def test_a_process_that_outlives_its_limit_is_no_error_of_the_library(tmp_path: Path) -> None:
    try:
        asked(tmp_path, "trap '' TERM; sleep 5", limit_s=0.2)
    except VirtboostError as error:
        assert not isinstance(error.__cause__, subprocess.SubprocessError)


def test_an_answer_of_bytes_that_are_no_text() -> None:
    with pytest.raises(BadAnswer):
        parse_answer(bytes(range(256)), bytes(range(256)), "@N", [], "host")
