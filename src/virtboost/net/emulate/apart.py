"""A stage run apart: by a process that is the first of namespaces which end with it, and with us.

What to run comes on its stdin; messages go to its stdout, a line of JSON each.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, cast

import msgspec
from msgspec import Struct

from virtboost.errors import InputError, TransportError
from virtboost.net.emulate.daemon import DaemonError
from virtboost.net.emulate.space import SpaceError

Tell = Callable[[str], None]
"""Takes a line on how far it is."""

SYSTEM = ("/usr/sbin", "/sbin")
"""Where daemons are, which the paths of many users lack."""

OWN = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork",
       "--kill-child", "--mount-proc")  # fmt: skip
"""Ends when this process does, however that ends, and the kernel ends all in a PID namespace with
its first process."""


class Said(Struct, frozen=True, tag=True):
    """How far it is."""

    text: str


class Done(Struct, frozen=True, tag=True):
    """What came of it."""

    result: msgspec.Raw


class Failed(Struct, frozen=True, tag=True):
    """Why it did not run."""

    problem: str


Message = Said | Done | Failed


def search_path() -> str:
    """Return where programs are looked for."""
    return os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM))


def require_root() -> None:
    """Refuse who cannot make namespaces.

    Raises:
        InputError: Not root.
    """
    if os.geteuid() != 0:
        raise InputError("an emulation makes network namespaces: only root can")


class Apart:
    """A module that runs in namespaces of its own."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        """Take what ``begun`` started."""
        self._process = process
        self._errors = errors

    def give(self, content: bytes) -> None:
        """Give it what to run."""
        given = cast("IO[bytes]", self._process.stdin)
        with contextlib.suppress(BrokenPipeError):
            given.write(content)
            given.close()

    def result(self, tell: Tell) -> bytes:
        """Wait for what comes of it, and return that as JSON.

        Args:
            tell: Takes a line on how far it is.

        Raises:
            TransportError: It failed.
        """
        for line in cast("IO[bytes]", self._process.stdout):
            message = msgspec.json.decode(line, type=Message)
            if isinstance(message, Said):
                tell(message.text)
            elif isinstance(message, Done):
                return bytes(message.result)
            else:
                raise TransportError("emulation", message.problem)
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        raise TransportError("emulation", f"ended early: {''.join(last) or 'no message'}")


@contextlib.contextmanager
def begun(stage: str, content: bytes) -> Iterator[Apart]:
    """Run a module in namespaces of its own, which are gone when this ends.

    Args:
        stage: The module, which calls ``serve``.
        content: What to run.
    """
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            (*OWN, sys.executable, "-m", stage),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env={**os.environ, "PATH": search_path(), "LC_ALL": "C"},
        ) as process,
    ):
        try:
            found = Apart(process, errors)
            found.give(content)
            yield found
        finally:
            process.kill()


def apart(stage: str, content: bytes, tell: Tell) -> bytes:
    """Run a module to its end; see ``begun`` and ``Apart.result``."""
    with begun(stage, content) as found:
        return found.result(tell)


def serve(work: Callable[[bytes, Tell], object]) -> None:
    """Do what a stage is for, as the first process of its namespaces, and write messages."""
    if os.getpid() != 1:
        _write(Failed("a stage is begun by virtboost net, in namespaces of its own"))
        return
    try:
        result = work(sys.stdin.buffer.read(), lambda text: _write(Said(text)))
        _write(Done(msgspec.Raw(msgspec.json.encode(result))))
    except (SpaceError, DaemonError, OSError) as error:
        _write(Failed(str(error)))


def _write(message: Message) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()
