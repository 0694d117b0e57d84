"""A speaker's daemon in its namespace: started, killed, stopped, and what it costs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from virtboost.net.emulate.space import SPACES, name
from virtboost.net.emulate.speaker import Speaker

SHARE = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


class DaemonError(Exception):
    """A daemon does not run, or does not answer."""


class Daemon(ABC):
    """One speaker's daemon."""

    title: str
    argv: Sequence[str]
    """Of the daemon in the foreground, in its folder, where its configuration is."""
    head = ""
    """Before its configuration."""
    servants: Sequence[subprocess.Popen[bytes]] = ()
    """Daemons that it needs."""

    def __init__(self, place: int, speaker: Speaker) -> None:
        """Write its configuration; nothing starts yet."""
        self.place = place
        self.speaker = speaker
        self.folder = SPACES.parent / name(place)
        self.folder.mkdir()
        (self.folder / "config").write_text(self.head + speaker.config)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What its programs find in their environment beside what this process does."""
        return {}

    @abstractmethod
    def established(self) -> int:
        """Return how many of its sessions are, or rules; 0: it does not answer yet."""

    def start(self) -> None:
        """Start it; it is not waited for."""
        self._process = self.begin(self.argv)

    def begin(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program in the speaker's namespace and folder."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                ("nsenter", f"--net={SPACES / name(self.place)}", *argv),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def running(self) -> subprocess.Popen[bytes]:
        """Return the process.

        Raises:
            DaemonError: It ended.
        """
        if self._process is None or self._process.poll() is not None:
            raise self.ended(self.title)
        return self._process

    def check(self) -> None:
        """See to it that it runs, and those that serve it.

        Raises:
            DaemonError: One ended.
        """
        self.running()
        if any(each.poll() is not None for each in self.servants):
            raise self.ended(f"what {self.title} needs")

    def ended(self, title: str) -> DaemonError:
        """Return the error of a program that is no more, with the last that was logged."""
        return last_words(f"{title} of {self.speaker.address}", self.folder / "log")

    def kill(self) -> None:
        """Kill it and wait until it is gone."""
        process = self.running()
        process.kill()
        process.wait()

    def freeze(self) -> None:
        """Let it stand still."""
        self.running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.running().send_signal(signal.SIGCONT)

    def cpu_s(self) -> float:
        """Return the CPU seconds of its threads, and of those that serve it."""
        return sum(map(cpu_s, self.pids()))

    def pids(self) -> Sequence[int]:
        """Return the processes whose work is its own."""
        return [each.pid for each in (self.running(), *self.servants)]

    def memory_bytes(self) -> int:
        """Return its memory, with its share of what it has in common with others."""
        return memory_bytes(self.running().pid)


def last_words(title: str, log: Path) -> DaemonError:
    """Return the error of something that ended, with the last line that it logged."""
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    return DaemonError(f"{title} ended: {''.join(last)}")


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process's threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def memory_bytes(pid: int) -> int:
    """Return a process's memory, with its share of what it has in common with others."""
    told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(share) << 10 for share in SHARE.findall(told))


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
