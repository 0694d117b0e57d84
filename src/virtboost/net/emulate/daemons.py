"""BIRDs, each in its namespace: started, asked, killed, stopped, and what they cost."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

from virtboost.net.emulate.scene import Speaker
from virtboost.net.emulate.space import SPACES, name

LOG = "log stderr { warning, error, fatal, bug };\n"
"""Instead of the host's log."""

ANSWER_S = 60
"""How long a daemon that is busy may take to answer."""

COUNTED = re.compile(r"(\d+) of \d+ routes")

SHARE = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


class DaemonError(Exception):
    """A daemon does not run."""


class Bird:
    """One speaker's daemon."""

    def __init__(self, place: int, speaker: Speaker) -> None:
        """Write its configuration; nothing starts yet."""
        self.place = place
        self.speaker = speaker
        self._folder = SPACES.parent / name(place)
        self._folder.mkdir()
        (self._folder / "bird.conf").write_text(LOG + speaker.config)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, as after a crash (``-R``) for graceful restart; it is not waited for."""
        argv = (
            "nsenter",
            f"--net={SPACES / name(self.place)}",
            "bird",
            "-f",
            "-R",
            "-c",
            "bird.conf",
        )
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                (*argv, "-s", "control"),
                cwd=self._folder,
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
            last = (self._folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
            raise DaemonError(f"BIRD of {self.speaker.address} ended: {''.join(last)}")
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

    def sessions(self) -> int:
        """Return how many of its sessions are established; 0: it does not answer yet."""
        with contextlib.suppress(FileNotFoundError, ConnectionError, TimeoutError):
            return self._ask("show protocols").count("Established")
        return 0

    def paths(self, pools: tuple[str, ...]) -> int:
        """Return how many paths to blocks of some pools it holds."""
        within = ", ".join(f"{pool}+" for pool in pools)
        found = COUNTED.search(self._ask(f"show route where net ~ [ {within} ] count"))
        if found is None:
            raise DaemonError(f"BIRD of {self.speaker.address} does not count its routes")
        return int(found[1])

    def routes(self, pools: tuple[str, ...]) -> int:
        """Return how many routes to blocks are in the node's kernel, its own among them."""
        return sum(
            len(_shown("ip", "-n", name(self.place), "-o", "route", "show", "root", pool))
            for pool in pools
        )

    def cpu_s(self) -> float:
        """Return the CPU seconds of its threads."""
        tasks = Path(f"/proc/{self.running().pid}/task")
        spent = (int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())
        return sum(spent) / 1e9

    def memory_bytes(self) -> int:
        """Return its memory, with its share of what it has in common with others."""
        told = Path(f"/proc/{self.running().pid}/smaps_rollup").read_text()
        return sum(int(share) << 10 for share in SHARE.findall(told))

    def _ask(self, command: str) -> str:
        """Return the answer on the control socket, which ends with a line of code 0000 or an error.

        Source: BIRD 2.0 programmer's documentation, "Command line interface".
        """
        content = b""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(ANSWER_S)
            control.connect(str(self._folder / "control"))
            control.recv(1 << 16)
            control.sendall(f"{command}\n".encode())
            while not re.search(rb"^(?:0\d|[89]\d)\d\d .*\n\Z", content, re.MULTILINE):
                more = control.recv(1 << 16)
                if not more:
                    break
                content += more
        return content.decode(errors="replace")


def _shown(*argv: str) -> list[str]:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}
    )
    return done.stdout.splitlines()
