"""Open vSwitch of a node in its namespace: database, daemon, and what its controller does."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from virtboost.errors import Unreachable
from virtboost.net.emulate.daemon import Daemon, DaemonError, Process, shown
from virtboost.net.emulate.flows import AWAIT_DATABASE
from virtboost.net.emulate.space import RUN
from virtboost.transport.unixctl import Unixctl

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"

CLIENT_S = 600
"""How long a client may wait for a daemon that is busy; a scene's patience ends before."""

PROGRAMS = ("ethtool", "ovs-appctl", "ovs-ofctl", "ovs-vsctl", "ovs-vswitchd", "ovsdb-server",
            "ovsdb-tool")  # fmt: skip

QUIET = ("-vconsole:warn", "-vsyslog:off", "-vfile:off")

COUNTED = re.compile(r"flow_count=(\d+)")

LEARNED = re.compile(r"Current/maximum MAC entries in the table: (\d+)/")

TUNNELLED = re.compile(r"^(?:tunnel\(.*|.*actions:(?:.*,)?tnl_p(?:op|ush)\(.*)$", re.MULTILINE)
"""A megaflow of packets that come out of a tunnel, are about to, or go into one."""

PUSHED = re.compile(r"tnl_push\(.*?ipv4\(src=[\d.]+,dst=([\d.]+),")


class Switch(Daemon):
    """ovs-vswitchd with the datapath of user space; ovsdb-server goes on when it is killed."""

    title = "ovs-vswitchd"
    argv: Sequence[str] = ("sh", "-c", f'{AWAIT_DATABASE}; exec "$@"', "sh",
            "ovs-vswitchd", "unix:db.sock", "--disable-system", "--pidfile", *QUIET)  # fmt: skip
    fabric: Sequence[tuple[str, str]] = ()
    """Addresses of the other nodes, and their MAC addresses."""
    _controller: Process | None = None
    controller_fd: int | None = None
    """Tells, by being readable, that its script is done: all is programmed."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Where its daemons meet, and how long a client waits."""
        return {"OVS_RUNDIR": str(self.folder), "OVS_CTL_TIMEOUT": str(CLIENT_S)}

    def start(self) -> None:
        """Start the daemons, and the controller that waits for them."""
        if not self.servants:
            shutil.copy(_empty(), self.folder / "conf.db")
            server = ("ovsdb-server", "conf.db", "--remote=punix:db.sock", "--pidfile", *QUIET)
            self.servants = (self.begin(server, "ovsdb-server"),)
        super().start()
        self._controller = self.begin(("sh", "config", *self.arguments()), "controller")
        self.controller_fd = os.pidfd_open(self._controller.pid)

    def arguments(self) -> Sequence[str]:
        """Return the arguments of its script."""
        return (self.speaker.address,)

    def programmed(self) -> None:
        """Take note that the controller is done.

        Raises:
            DaemonError: It failed.
        """
        if self._controller is None or self.controller_fd is None:
            return
        os.close(self.controller_fd)
        self.controller_fd = None
        self._controller.succeed()
        self._meet()

    def _meet(self) -> None:
        """Tell of the other nodes' MAC addresses."""
        try:
            with Unixctl(self.folder / f"ovs-vswitchd.{self.running().pid}.ctl") as control:
                for address, mac in self.fabric:
                    control.ask("tnl/neigh/set", "br-phy", address, mac)
        except Unreachable as error:
            raise DaemonError(f"{self.title} of {self.speaker.address}: {error}") from None

    def established(self) -> int:
        """Return how many rules it has; 0: its controller is not done."""
        return 0 if self.controller_fd is not None else self.rules()

    def rules(self) -> int:
        """Return how many rules pods' packets meet."""
        return self._number(COUNTED, self._ask("ovs-ofctl", "dump-aggregate", "br-int"))

    def learned(self) -> int:
        """Return how many addresses it learned where pods are."""
        return self._number(LEARNED, self._ask("ovs-appctl", "fdb/stats-show", "br-int"))

    def megaflows(self) -> tuple[int, int]:
        """Return how many flows of tunnels its datapath has, and to how many nodes."""
        told = self._ask("ovs-appctl", "dpctl/dump-flows")
        return len(TUNNELLED.findall(told)), len(set(PUSHED.findall(told)))

    def _ask(self, *argv: str) -> str:
        return shown(*argv, **self.environment)

    def _number(self, pattern: re.Pattern[str], told: str) -> int:
        found = pattern.search(told)
        if found is None:
            raise DaemonError(f"Open vSwitch of {self.speaker.address}: {told.strip()}")
        return int(found[1])


@functools.cache
def _empty() -> Path:
    """Return a database without rows, of which each switch has a copy: they start at once."""
    path = RUN / "empty.db"
    shown("ovsdb-tool", "create", str(path), SCHEMA)
    return path
