"""A speaker's daemon in its namespace: started, killed, stopped, and what it costs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from virtboost.net.emulate.scene import Speaker
from virtboost.net.emulate.space import SPACES, name

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

    def __init__(self, place: int, speaker: Speaker) -> None:
        """Write its configuration; nothing starts yet."""
        self.place = place
        self.speaker = speaker
        self.folder = SPACES.parent / name(place)
        self.folder.mkdir()
        (self.folder / "config").write_text(self.head + speaker.config)
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def sessions(self) -> int:
        """Return how many of its sessions are established; 0: it does not answer yet."""

    def start(self) -> None:
        """Start it; it is not waited for."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ("nsenter", f"--net={SPACES / name(self.place)}", *self.argv),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def running(self) -> subprocess.Popen[bytes]:
        """Return the process.

        Raises:
            DaemonError: It ended.
        """
        if self._process is None or self._process.poll() is not None:
            last = (self.folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
            raise DaemonError(f"{self.title} of {self.speaker.address} ended: {''.join(last)}")
        return self._process

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
        """Return the CPU seconds of its threads."""
        tasks = Path(f"/proc/{self.running().pid}/task")
        spent = (int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())
        return sum(spent) / 1e9

    def memory_bytes(self) -> int:
        """Return its memory, with its share of what it has in common with others."""
        told = Path(f"/proc/{self.running().pid}/smaps_rollup").read_text()
        return sum(int(share) << 10 for share in SHARE.findall(told))


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
