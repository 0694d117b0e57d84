"""A speaker's daemon in its namespace: started, killed, stopped, and what it costs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from virtboost.net.emulate.space import RUN, SPACES, name
from virtboost.net.emulate.speaker import Speaker

ANSWER_S = 60
"""How long a daemon that is busy may take to answer."""

OWN = re.compile(r"^Anonymous:\s+(\d+) kB", re.MULTILINE)


class DaemonError(Exception):
    """A daemon does not run, or does not answer."""


class Process:
    """A program in the foreground, its output in a log."""

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        title: str = "",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Start it in a folder; it is not waited for.

        Args:
            argv: The program with its arguments.
            folder: Where it runs, and its log is.
            title: Of its log, and in errors; empty: the program's name.
            environment: What it finds there beside what this process does.
        """
        self._title = title or argv[0]
        self._log = folder / f"{self._title.replace(' ', '-')}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )

    def running(self) -> subprocess.Popen[bytes]:
        """Return the process.

        Raises:
            DaemonError: It ended.
        """
        if self._process.poll() is not None:
            raise self._ended()
        return self._process

    @property
    def pid(self) -> int:
        """Its number, also when it has ended."""
        return self._process.pid

    def succeed(self) -> None:
        """See to it that it did not fail, if it has ended.

        Raises:
            DaemonError: It did.
        """
        if self._process.poll():
            raise self._ended()

    def _ended(self) -> DaemonError:
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
        return DaemonError(f"{self._title} ended: {''.join(last)}")

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
        """Return its CPU seconds, with its children's."""
        return cpu_s(self.running().pid)

    def memory_bytes(self) -> int:
        """Return its own memory: no pages of files, as programs and libraries are."""
        return memory_bytes(self.running().pid)


class Daemon(ABC):
    """One speaker's daemon."""

    title: str
    argv: Sequence[str]
    """Of the daemon in the foreground, in its folder, where its configuration is."""
    head = ""
    """Before its configuration."""
    servants: Sequence[Process] = ()
    """Daemons that it needs."""

    def __init__(self, place: int, speaker: Speaker) -> None:
        """Write its configuration; nothing starts yet."""
        self.place = place
        self.speaker = speaker
        self.folder = RUN / name(place)
        self.folder.mkdir()
        (self.folder / "config").write_text(self.head + speaker.config)
        self._process: Process | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What its programs find in their environment beside what this process does."""
        return {}

    @abstractmethod
    def established(self) -> int:
        """Return how many of its sessions are, or rules; 0: it does not answer yet."""

    def start(self) -> None:
        """Start it; it is not waited for."""
        self._process = self.begin(self.argv, self.title)

    def begin(self, argv: Sequence[str], title: str) -> Process:
        """Start a program in the speaker's namespace and folder."""
        there = ("nsenter", f"--net={SPACES / name(self.place)}")
        title = f"{title} of {self.speaker.address}"
        return Process((*there, *argv), self.folder, title, self.environment)

    def running(self) -> Process:
        """Return the process.

        Raises:
            DaemonError: It ended.
        """
        if self._process is None:
            raise DaemonError(f"{self.title} of {self.speaker.address} was not started")
        self._process.running()
        return self._process

    def check(self) -> None:
        """See to it that it runs, and those that serve it.

        Raises:
            DaemonError: One ended.
        """
        self.running()
        for each in self.servants:
            each.running()

    def kill(self) -> None:
        """Kill it and wait until it is gone."""
        process = self.running().running()
        process.kill()
        process.wait()

    def freeze(self) -> None:
        """Let it stand still."""
        for each in self.speaking():
            each.running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for each in self.speaking():
            each.running().send_signal(signal.SIGCONT)

    def speaking(self) -> Sequence[Process]:
        """Return what speaks with others."""
        return (self.running(),)

    def cpu_s(self) -> float:
        """Return its CPU seconds, and of those that serve it."""
        return sum(each.cpu_s() for each in (self.running(), *self.servants))

    def memory_bytes(self) -> int:
        """Return its own memory: no pages of files, as programs and libraries are."""
        return self.running().memory_bytes()


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, with its children that run or that it waited for.

    Source: proc(5), /proc/pid/stat: cutime and cstime are the 14th and 15th after the name.
    """
    process = Path(f"/proc/{pid}")
    waited = (process / "stat").read_text().rpartition(") ")[2].split()[13:15]
    total = sum(map(int, waited)) / os.sysconf("SC_CLK_TCK")
    for task in (process / "task").iterdir():
        total += int((task / "schedstat").read_text().split()[0]) / 1e9
        for child in (task / "children").read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):
                total += cpu_s(int(child))
    return total


def memory_bytes(pid: int) -> int:
    """Return a process's own memory: no pages of files, as programs and libraries are."""
    told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(found) << 10 for found in OWN.findall(told))


def shown(*argv: str, **environment: str) -> str:
    """Return what a program prints.

    Raises:
        DaemonError: It fails.
    """
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C", **environment},
    )
    if done.returncode:
        raise DaemonError(f"{argv[0]}: {done.stderr.strip()}")
    return done.stdout
