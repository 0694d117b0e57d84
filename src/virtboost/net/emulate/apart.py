"""A stage run apart: by a process that is the first of namespaces which end with it, and with us.

What to run comes on its stdin; messages go to its stdout, a line of JSON each.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
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


def apart(stage: str, content: bytes, tell: Tell) -> bytes:
    """Run a module in namespaces of its own, which are gone when this returns.

    Args:
        stage: The module, which calls ``serve``.
        content: What to run.
        tell: Takes a line on how far it is.

    Returns:
        What came of it, as JSON.

    Raises:
        TransportError: It failed.
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
            return _carry_on(process, content, tell, errors)
        finally:
            process.kill()


def _carry_on(
    process: subprocess.Popen[bytes], content: bytes, tell: Tell, errors: IO[bytes]
) -> bytes:
    given, told = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    with contextlib.suppress(BrokenPipeError):
        given.write(content)
        given.close()
    for line in told:
        message = msgspec.json.decode(line, type=Message)
        if isinstance(message, Said):
            tell(message.text)
        elif isinstance(message, Done):
            return bytes(message.result)
        else:
            raise TransportError("emulation", message.problem)
    errors.seek(0)
    last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
    raise TransportError("emulation", f"ended early: {''.join(last) or 'no message'}")


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
