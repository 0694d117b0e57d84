"""A running ``virtboost flow run`` in front of an overlay's switch, and what it says of itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from support.bpf import ROOT
from support.daemon import wait_until
from support.overlay import Overlay
from virtboost.flow.agent.control import ask
from virtboost.flow.agent.status import FlowStatus

VIRTBOOST = (sys.executable, "-m", "virtboost")


class RunningAgent:
    """One process."""

    def __init__(self, made: Overlay, process: subprocess.Popen[bytes]) -> None:
        self.overlay = made
        self.process = process
        self.socket = made.folder / "flow.sock"

    @property
    def log(self) -> str:
        return (self.overlay.folder / "agent.log").read_text(errors="replace")

    def status(self) -> FlowStatus:
        return msgspec.json.decode(ask(self.socket, "status"), type=FlowStatus)

    def flows(self) -> list[str]:
        return ask(self.socket, "flows").splitlines()

    def until(self, wanted: Callable[[FlowStatus], bool], limit_s: float = 15) -> FlowStatus:
        """Wait until it says what is wanted."""
        found: list[FlowStatus] = []

        def holds() -> bool:
            found.append(self.status())
            return wanted(found[-1])

        wait_until(holds, limit_s, lambda: f"{found[-1]}\n{self.log}")
        return found[-1]

    def stop(self, number: int = signal.SIGTERM, limit_s: float = 15) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(limit_s)


@contextmanager
def agent(
    made: Overlay, *options: str, program: Sequence[str] = VIRTBOOST
) -> Iterator[RunningAgent]:
    """Run one until the end of the test; its journal is the overlay's."""
    made.environment |= {
        "XDG_STATE_HOME": str(made.folder / "state"),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), os.environ.get("PYTHONPATH", ""))),
    }
    log = made.folder / "agent.log"
    for left in (log, made.folder / "flow.sock"):  # of one that a test killed
        left.unlink(missing_ok=True)
    words = (
        "--ovs",
        str(made.run),
        "--ports",
        "vm,uplink",
        "--socket",
        str(made.folder / "flow.sock"),
    )
    process = made.start("switch", *program, "flow", "run", *words, *options, log=log)
    running = RunningAgent(made, process)
    try:
        wait_until(
            lambda: running.socket.exists() or process.poll() is not None, 30, lambda: running.log
        )
        assert process.poll() is None, running.log
        running.until(lambda now: now.state == "open", 30)
        yield running
    finally:
        if process.poll() is None:
            running.process.send_signal(signal.SIGCONT)
            running.stop()
