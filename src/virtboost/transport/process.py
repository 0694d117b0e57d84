"""Run a program of this machine with a limit on its time and on what it prints."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

import msgspec

_MAX_ERRORS_BYTES = 16 << 20
"""More than this on standard error is read and dropped."""

_CHUNK_BYTES = 1 << 16

_PATIENCE_S = 1.0
"""Time between asking a program to end and killing it."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What a program left behind."""

    status: int
    """Exit status; minus the number of the signal that ended it."""
    stdout: bytes
    stderr: bytes
    timed_out: bool
    """Whether it had to be stopped."""


def run(
    argv: Sequence[str],
    *,
    limit_s: float,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    max_bytes: int,
    group: bool = False,
) -> Finished:
    """Run ``argv`` until it ends, for at most ``limit_s`` seconds or soon after ``max_bytes``.

    With ``group`` what it started ends with it where it has to be stopped.

    Standard output is read to its end, standard error only while the program lives: what ``ssh``
    leaves in the background for a shared connection may keep it open for minutes.

    Raises:
        OSError: The program is missing or cannot be run.
    """
    deadline = time.monotonic() + limit_s
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        start_new_session=group,
    ) as process:
        talk = _Talk(process, stdin)
        try:
            in_time = talk.until(deadline, max_bytes) and _ends(process, deadline)
        finally:
            _end(process, group=group)
        talk.rest_of_errors()
    return Finished(
        status=process.returncode,
        stdout=bytes(talk.stdout),
        stderr=bytes(talk.stderr),
        timed_out=not in_time and len(talk.stdout) <= max_bytes,
    )


class _Talk:
    """What goes through the three pipes of a running program."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes) -> None:
        self._pipes = [pipe for pipe in (process.stdin, process.stdout, process.stderr) if pipe]
        self._unsent = memoryview(stdin)
        self.stdout = bytearray()
        self.stderr = bytearray()
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)

    def until(self, deadline: float, max_bytes: int) -> bool:
        """Send and receive until standard output ends; tell whether that was in time."""
        stdin, stdout, stderr = self._pipes
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE, self._send)
            selector.register(stdout, selectors.EVENT_READ, self._receive)
            selector.register(stderr, selectors.EVENT_READ, self._receive_error)
            while stdout in selector.get_map():
                left_s = deadline - time.monotonic()
                if left_s <= 0 or len(self.stdout) > max_bytes:
                    return False
                for key, _ in selector.select(left_s):
                    if not key.data(key.fd):
                        selector.unregister(key.fileobj)
                        if key.fileobj is stdin:
                            stdin.close()
        return True

    def rest_of_errors(self) -> None:
        """Take what the program wrote on standard error before it ended."""
        stderr = self._pipes[2]
        try:
            while not stderr.closed and self._receive_error(stderr.fileno()):
                pass
        except BlockingIOError:
            return

    def _send(self, pipe: int) -> bool:
        try:
            self._unsent = self._unsent[os.write(pipe, self._unsent[:_CHUNK_BYTES]) :]
        except BrokenPipeError:
            return False
        return len(self._unsent) > 0

    def _receive(self, pipe: int) -> bool:
        chunk = os.read(pipe, _CHUNK_BYTES)
        self.stdout += chunk
        return len(chunk) > 0

    def _receive_error(self, pipe: int) -> bool:
        chunk = os.read(pipe, _CHUNK_BYTES)
        self.stderr += chunk[: _MAX_ERRORS_BYTES - len(self.stderr)]
        return len(chunk) > 0


def _ends(process: subprocess.Popen[bytes], deadline: float) -> bool:
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """Ask the program to end, since ``ssh`` then ends its own helpers, and make sure of it."""
    if process.poll() is not None:
        return
    _send(process, signal.SIGTERM, group=group)
    if not _ends(process, time.monotonic() + _PATIENCE_S):
        _send(process, signal.SIGKILL, group=group)
        process.wait()


def _send(process: subprocess.Popen[bytes], number: signal.Signals, *, group: bool) -> None:
    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
