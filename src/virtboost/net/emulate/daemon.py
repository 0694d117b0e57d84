"""A speaker's daemon in its namespace: started, killed, stopped, and what it costs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from virtboost.net.emulate.scene import Speaker
from virtboost.net.emulate.space import RUN, SPACES, name

OWN = re.compile(r"^Anonymous:\s+(\d+) kB", re.MULTILINE)


class DaemonError(Exception):
    """A daemon does not run, or does not answer."""


class Process:
    """A program in the foreground, its output in a log."""

    def __init__(self, argv: Sequence[str], folder: Path, title: str = "") -> None:
        """Start it in a folder; it is not waited for."""
        self._title = title or argv[0]
        self._log = folder / f"{self._title.replace(' ', '-')}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def running(self) -> subprocess.Popen[bytes]:
        """Return the process.

        Raises:
            DaemonError: It ended.
        """
        if self._process.poll() is not None:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise DaemonError(f"{self._title} ended: {''.join(last)}")
        return self._process

    def until(self, ready: Callable[[], bool], patience_s: float) -> None:
        """Wait until something is so.

        Raises:
            DaemonError: It ended, or took too long.
        """
        end = time.monotonic() + patience_s
        while not ready():
            self.running()
            if time.monotonic() > end:
                raise DaemonError(f"{self._title} is not ready after {patience_s} s")
            time.sleep(0.02)

    def cpu_s(self) -> float:
        """Return the CPU seconds of its threads."""
        tasks = Path(f"/proc/{self.running().pid}/task")
        spent = (int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())
        return sum(spent) / 1e9

    def memory_bytes(self) -> int:
        """Return its own memory: no pages of files, as programs and libraries are."""
        told = Path(f"/proc/{self.running().pid}/smaps_rollup").read_text()
        return sum(int(found) << 10 for found in OWN.findall(told))


class Daemon(ABC):
    """One speaker's daemon."""

    title: str
    argv: Sequence[str]
    """Of the daemon in the foreground, in its folder, where its configuration is."""
    head = ""
    """Before its configuration."""

    def __init__(self, place: int, speaker: Speaker) -> None:
        """Write its configuration; nothing starts yet."""
        self.place = place
        self.speaker = speaker
        self.folder = RUN / name(place)
        self.folder.mkdir()
        (self.folder / "config").write_text(self.head + speaker.config)
        self._process: Process | None = None

    @abstractmethod
    def sessions(self) -> int:
        """Return how many of its sessions are established; 0: it does not answer yet."""

    def start(self) -> None:
        """Start it; it is not waited for."""
        there = ("nsenter", f"--net={SPACES / name(self.place)}")
        title = f"{self.title} of {self.speaker.address}"
        self._process = Process((*there, *self.argv), self.folder, title)

    def running(self) -> Process:
        """Return the process.

        Raises:
            DaemonError: It ended.
        """
        if self._process is None:
            raise DaemonError(f"{self.title} of {self.speaker.address} was not started")
        self._process.running()
        return self._process

    def kill(self) -> None:
        """Kill it and wait until it is gone."""
        process = self.running().running()
        process.kill()
        process.wait()

    def freeze(self) -> None:
        """Let it stand still."""
        self.running().running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.running().running().send_signal(signal.SIGCONT)

    def cpu_s(self) -> float:
        """Return the CPU seconds of its threads."""
        return self.running().cpu_s()

    def memory_bytes(self) -> int:
        """Return its own memory: no pages of files, as programs and libraries are."""
        return self.running().memory_bytes()


def shown(*argv: str) -> str:
    """Return what a program prints.

    Raises:
        DaemonError: It fails.
    """
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode:
        raise DaemonError(f"{argv[0]}: {done.stderr.strip()}")
    return done.stdout
