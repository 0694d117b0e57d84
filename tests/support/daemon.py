"""Daemons of a test: one at a time on this machine, in a mount namespace, stopped by their PIDs."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

LOCKS = Path("/run/lock")


def need(*programs: str) -> None:
    """Skip the test where it cannot run a daemon."""
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("daemons of the system need root")


def ask(*argv: str) -> str:
    """Return what a program prints; its failure is the test's."""
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "LC_ALL": "C", "PATH": PATH},
    )
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout.strip()


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Wait until no other run of the tests on this machine has the daemons of this name."""
    with (LOCKS / f"virtboost-test-{name}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def running(
    argv: Sequence[str],
    *,
    log: Path,
    ready: Callable[[], bool],
    prepare: str = "",
    beside: int | None = None,
    limit_s: float = 60,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon in the foreground, in a mount namespace that ``prepare`` (shell) fills.

    The namespace is a new one, or that of the process ``beside``.  Mounts of the daemon go away
    with it.  It gets SIGTERM at the end, and SIGKILL if that is not enough.
    """
    script = f'set -e\n{prepare}\nexec "$@"'
    there = ("unshare", "--mount", "--propagation", "private")
    if beside is not None:
        there = ("nsenter", "--mount", "--target", str(beside))
    with log.open("wb") as out:
        process = subprocess.Popen(
            (*there, "sh", "-c", script, "sh", *argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "LC_ALL": "C", "PATH": PATH},
        )
    try:
        wait_until(ready, limit_s, lambda: _state(process, log))
        yield process
    finally:
        stop(process)


def wait_until(ready: Callable[[], bool], limit_s: float, state: Callable[[], str]) -> None:
    end = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < end, state()
        time.sleep(0.05)


def _state(process: subprocess.Popen[bytes], log: Path) -> str:
    return f"{process.args!r}: status {process.poll()}\n{log.read_text(errors='replace')[-2000:]}"


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end(pid: int) -> None:
    """Kill a process that is not our child and wait until it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_until(lambda: gone(pid), 10, lambda: f"process {pid} does not end")


def gone(pid: int) -> bool:
    """Tell whether a process has ended, waited for by its parent or not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status == "Z"


def succeeds(*argv: str) -> Callable[[], bool]:
    """Return a question: does this program end with success by now?"""

    def asked() -> bool:
        done = subprocess.run(
            argv, capture_output=True, timeout=60, check=False, env={**os.environ, "PATH": PATH}
        )
        return done.returncode == 0

    return asked


@contextmanager
def groups_removed(*names: str) -> Iterator[None]:
    """Remove the control groups of these names that were not there before, empty as they are."""
    before = set(_groups(names))
    try:
        yield
    finally:
        for group in set(_groups(names)) - before:
            for directory, _, _ in os.walk(group, topdown=False):
                Path(directory).rmdir()


def _groups(names: Sequence[str]) -> Iterator[Path]:
    """Yield the groups of every hierarchy of version 1, and of version 2."""
    root = Path("/sys/fs/cgroup")
    for name in names:
        yield from (*root.glob(name), *root.glob(f"*/{name}"))


@contextmanager
def huge_pages(count: int) -> Iterator[None]:
    """Have ``count`` more huge pages of 2 MB, and give them back."""
    pool = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    if not pool.exists():
        pytest.skip("the kernel has no huge pages of 2 MB")
    before = int(pool.read_text())
    pool.write_text(str(before + count))
    try:
        assert int(pool.read_text()) == before + count, "there is no room for huge pages"
        yield
    finally:
        pool.write_text(str(before))
