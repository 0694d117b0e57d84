"""``virtboost flow run`` in front of the switches of several hosts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from support.bpf import ROOT
from support.daemon import stop, wait_until
from support.namespace import entering
from support.vtep import Host
from virtboost.errors import Unreachable
from virtboost.flow.agent.control import ask
from virtboost.flow.agent.status import FlowStatus

LEARNED_S = 0.2
"""Entries are as many as they will be when none came for this long."""

PATIENCE_S = 3


class Agents:
    """One agent for each host, started when it is wanted."""

    def __init__(self, hosts: Mapping[str, Host], ports: Mapping[str, Sequence[str]]) -> None:
        self._hosts, self._ports = hosts, ports
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = 0

    def ready(self) -> None:
        """Have one in front of every host, with its gate open."""
        for name in self._hosts.keys() - self._running.keys():
            self._running[name] = self._started(name)
        wait_until(
            lambda: all(self._state(name) == "open" for name in self._hosts),
            30,
            lambda: "\n".join(map(self.log, self._hosts)),
        )

    def _started(self, name: str) -> subprocess.Popen[bytes]:
        host = self._hosts[name]
        words = ("--ovs", str(host.folder), "--ports", ",".join(self._ports[name]),
                 "--socket", str(host.folder / "flow.sock"), "--tcp-window", "liberal")  # fmt: skip
        with (host.folder / "agent.log").open("ab") as log:
            return subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", *entering(host.pid),
                 sys.executable, "-m", "virtboost", "flow", "run", *words),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT / "src"),
                     "XDG_STATE_HOME": str(host.folder / "state")},
            )  # fmt: skip

    def _state(self, name: str) -> str:
        assert self._running[name].poll() is None, self.log(name)
        try:
            found = self.status(name)
        except Unreachable:
            return "starting"
        assert found.state != "quarantined", f"{found.reason}\n{self.log(name)}"
        return found.state

    def status(self, name: str) -> FlowStatus:
        assert self._running[name].poll() is None, self.log(name)
        return msgspec.json.decode(
            ask(self._hosts[name].folder / "flow.sock", "status"), type=FlowStatus
        )

    def flows(self, name: str) -> list[str]:
        """Return the megaflows of a host with what entries took added."""
        return ask(self._hosts[name].folder / "flow.sock", "flows").splitlines()

    def log(self, name: str) -> str:
        return (self._hosts[name].folder / "agent.log").read_text(errors="replace")

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def packets(self) -> int:
        """Return how many packets entries took, as agents counted them a second ago or later."""
        return self._ended + sum(self.status(name).packets for name in self._running)

    def learn(self) -> None:
        """Wait until no more entries come."""
        end = time.monotonic() + PATIENCE_S
        before, since = -1, time.monotonic()
        while time.monotonic() < min(end, since + LEARNED_S):
            entries = sum(self.status(name).entries for name in self._running)
            if entries != before:
                before, since = entries, time.monotonic()
            time.sleep(0.02)

    def kill(self, name: str) -> None:
        self._ended += self.status(name).packets
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def freeze(self, name: str) -> None:
        self._running[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._running[name].send_signal(signal.SIGCONT)

    def close(self) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGCONT)
            stop(process)
        self._running.clear()


@contextmanager
def agents(hosts: Mapping[str, Host], ports: Mapping[str, Sequence[str]]) -> Iterator[Agents]:
    """Have agents until the end; ``ports`` are devices of each host."""
    made = Agents(hosts, ports)
    try:
        yield made
    finally:
        made.close()
