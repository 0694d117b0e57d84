"""OVN: its central databases and northd on the bridge of the nodes, an ovn-controller on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtboost.net.emulate import chassis
from virtboost.net.emulate.daemon import Process, memory_bytes, shown
from virtboost.net.emulate.space import RUN
from virtboost.net.emulate.speaker import DATASTORE
from virtboost.net.emulate.switch import CLIENT_S, QUIET, Switch
from virtboost.net.emulate.switched import Switched

PROGRAMS = ("ovn-controller", "ovn-nbctl", "ovn-northd", "ovn-sbctl")

SCHEMAS = "/usr/share/ovn"

AGAIN = 'until "$@"; do sleep 0.1; done'
"""Debian's ovn-controller 23.03.1 crashes in one of a hundred starts.  OVS's own monitor would wait
for 10 s, which would be taken for the network's."""

AWAIT_DATABASE = "until ovn-nbctl init 2>/dev/null; do sleep 0.02; done"
"""ovn-nbctl fails where nobody listens yet."""

PORT = 6642
"""Of the southbound database, as it is emitted."""


class Central:
    """Both databases, northd, and the script that fills them."""

    def __init__(self, script: str) -> None:
        """Start all; nothing is waited for."""
        self._folder = RUN / "central"
        self._folder.mkdir()
        (self._folder / "script").write_text(f"{AWAIT_DATABASE}\n{script}")
        self._environment = {
            "OVN_RUNDIR": str(self._folder),
            "OVS_RUNDIR": str(self._folder),
            "OVS_CTL_TIMEOUT": f"{CLIENT_S}",
        }
        argv = ("ovn-northd", *QUIET)
        self.northd = Process(argv, self._folder, environment=self._environment)
        southbound = self._database("sb", f"--remote=ptcp:{PORT}:{DATASTORE}")
        self.daemons = [self._database("nb"), southbound, self.northd]
        title = "what fills OVN's databases"
        self._script = Process(("sh", "script"), self._folder, title, self._environment)

    def check(self) -> None:
        """See to it that nothing ended that must not.

        Raises:
            DaemonError: It did.
        """
        self._script.succeed()
        for each in self.daemons:
            each.running()

    def rows(self) -> int:
        """Return how many logical flows there are."""
        asked = ("ovn-sbctl", "--bare", "--columns=priority", "list", "Logical_Flow")
        return len(self.ask(*asked).split())

    def ask(self, *argv: str) -> str:
        """Return what a client of the databases prints.

        Raises:
            DaemonError: It fails.
        """
        return shown(*argv, **self._environment)

    def _database(self, which: str, *remotes: str) -> Process:
        schema = f"{SCHEMAS}/ovn-{which}.ovsschema"
        shown("ovsdb-tool", "create", str(self._folder / f"{which}.db"), schema)
        own = (f"--remote=punix:ovn{which}_db.sock", f"--unixctl=ovn{which}_db.ctl")
        argv = ("ovsdb-server", f"{which}.db", *own, *remotes, *QUIET)
        return Process(argv, self._folder, f"{which} ovsdb-server", self._environment)


class Chassis(Switch):
    """A switch with an ovn-controller; dummy ports stand for pods that have no namespace."""

    argv = (*Switch.argv, "--enable-dummy")

    @property
    def environment(self) -> Mapping[str, str]:
        """Where its daemons meet, and where the central ones are."""
        return {**super().environment, "OVN_RUNDIR": str(self.folder), "CENTRAL": DATASTORE}

    def arguments(self) -> Sequence[str]:
        """Return the arguments of its script."""
        return (chassis.name(self.place), self.speaker.address)

    def start(self) -> None:
        """Start the daemons, and the script that waits for them."""
        super().start()
        if len(self.servants) == 1:
            waiting = ("sh", "-c", f"{chassis.AWAIT_PORTS}; {AGAIN}", "sh")
            controller = ("ovn-controller", "unix:db.sock", "--pidfile", *QUIET)
            begun = self.begin((*waiting, *controller), "ovn-controller")
            self.servants = (*self.servants, begun)

    def controller_memory_bytes(self) -> int:
        """Return the memory of ovn-controller."""
        return memory_bytes(int((self.folder / "ovn-controller.pid").read_text()))


class Logical(Switched):
    """OVN on each node."""

    settling = ("megaflows", "tunnels_per_node", "openflow_rules", "logical_flows")

    def cast(self) -> Sequence[Chassis]:
        """Return the nodes, by place; the central databases are being filled."""
        self._central = Central(self.scene.central)
        self._chassis = self.joined(Chassis)
        self._switches = self._chassis
        return self._chassis

    def check(self) -> None:
        """See to it that all daemons run."""
        super().check()
        self._central.check()

    def central_cpu_s(self) -> float:
        """Return the CPU seconds of both databases and of northd."""
        return sum(each.cpu_s() for each in self._central.daemons)

    def counted(self) -> dict[str, list[float]]:
        """Return the counts of each node, and the rows of logical flows."""
        return {**super().counted(), "logical_flows": [self._central.rows()]}

    def weighed(self) -> dict[str, list[float]]:
        """Return memory."""
        controllers = [each.controller_memory_bytes() for each in self._chassis]
        return {**super().weighed(), "controller_memory": [*controllers]}
