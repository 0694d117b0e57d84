"""A client, a real ovs-vswitchd with a tunnel, and a server at the tunnel's other end.

Each is in a network namespace of its own; the switch has its own run folder, so that many can run::

    client 10.0.0.1 -- vm | br-int (conntrack) -- VXLAN -- br-phy | uplink -- server 10.0.0.2
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.daemon import PATH, ask, need, running, stop, succeeds, wait_until

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"

VNI, HERE, THERE = 100, "1.1.2.88", "1.1.2.92"

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"

RULES = (
    "priority=10,arp,actions=normal",
    "priority=100,ip,ct_state=-trk,actions=ct(table=1,zone=7)",
    "table=1,ct_state=+new+trk,ip,in_port=1,actions=ct(commit,zone=7),output:3",
    "table=1,ct_state=+est+trk,ip,in_port=1,actions=output:3",
    "table=1,ct_state=+est+trk,ip,in_port=3,actions=output:1",
)


class Overlay:
    """What runs, and how to ask it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.run = folder / "run"
        self.folder = folder
        self.spaces = {who: f"{name}-{who}" for who in ("client", "switch", "server")}
        self.environment = {
            **os.environ, "LC_ALL": "C", "PATH": PATH, "OVS_RUNDIR": str(self.run),
            "OVS_LOGDIR": str(folder), "OVS_DBDIR": str(folder),
        }  # fmt: skip
        self.restarted = ExitStack()
        """A daemon that a test started in place of the first."""
        self.run.mkdir()

    def inside(self, who: str, *argv: str) -> tuple[str, ...]:
        """Return a command that runs in a namespace."""
        return ("nsenter", f"--net=/run/netns/{self.spaces[who]}", *argv)

    def start(self, who: str, *argv: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a program in a namespace; whoever starts it stops it."""
        with (log or Path(os.devnull)).open("ab") as out:
            return subprocess.Popen(
                self.inside(who, *argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=self.environment,
            )  # fmt: skip

    def ask(self, who: str, *argv: str, timeout_s: float = 60) -> str:
        """Return what a program in a namespace prints; its failure is the test's."""
        done = subprocess.run(
            self.inside(who, *argv), capture_output=True, text=True, timeout=timeout_s, check=False,
            env=self.environment,
        )  # fmt: skip
        assert done.returncode == 0, f"{argv}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def vs(self, *words: str) -> str:
        return self.ask("switch", "ovs-vsctl", "--timeout=20", *words)

    def app(self, *words: str) -> str:
        return self.ask("switch", "ovs-appctl", "--timeout=20", *words)

    def rules(self, rules: Sequence[str], bridge: str = "br-int") -> None:
        """Replace the OpenFlow rules."""
        self.ask("switch", "ovs-ofctl", "del-flows", bridge)
        for rule in rules:
            self.ask("switch", "ovs-ofctl", "add-flow", bridge, rule)

    def rule(self, change: str, rule: str, bridge: str = "br-int") -> None:
        self.ask("switch", "ovs-ofctl", change, bridge, rule)


@contextmanager
def overlay(folder: Path) -> Iterator[Overlay]:
    """Make it, and take it away."""
    need(
        "ovsdb-server",
        "ovs-vswitchd",
        "ovs-vsctl",
        "ovs-ofctl",
        "ovsdb-tool",
        "ip",
        "nsenter",
        "ethtool",
        "setpriv",
    )
    made = Overlay(folder, f"vbt{os.getpid()}")
    with ExitStack() as stack:
        for space in made.spaces.values():
            ask("ip", "netns", "add", space)
            stack.callback(subprocess.run, ("ip", "netns", "del", space), check=False)
            quiet = "ip link set lo up; for i in all default; do echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; done"
            ask("nsenter", f"--net=/run/netns/{space}", "sh", "-c", quiet)
        _wire(made)
        database = str(folder / "conf.db")
        ask("ovsdb-tool", "create", database, SCHEMA)
        stack.enter_context(_database(made, database))
        stack.enter_context(daemon(made))
        stack.enter_context(made.restarted)
        _bridges(made)
        _tunnel_end(made)
        yield made


@contextmanager
def _database(made: Overlay, database: str) -> Iterator[None]:
    remote = f"--remote=punix:{made.run}/db.sock"
    control = f"--unixctl={made.run}/ovsdb-server.ctl"
    with running(
        made.inside(
            "switch", "env", f"OVS_RUNDIR={made.run}", "ovsdb-server", database, remote, control
        ),
        log=made.folder / "ovsdb-server.log",
        ready=succeeds("ovs-vsctl", f"--db=unix:{made.run}/db.sock", "--no-wait", "init"),
    ):
        yield


@contextmanager
def daemon(made: Overlay) -> Iterator[subprocess.Popen[bytes]]:
    """Run ovs-vswitchd; a test may stop and start it."""
    process = made.start(
        "switch", "ovs-vswitchd", f"unix:{made.run}/db.sock", "--pidfile", "--disable-system",
        log=made.folder / "ovs-vswitchd.log",
    )  # fmt: skip
    try:
        ask(
            "sh",
            "-c",
            f"for i in $(seq 600); do test -e {made.run}/ovs-vswitchd.pid && exit; sleep .05; done; exit 1",
        )
        yield process
    finally:
        stop(process)


def _wire(made: Overlay) -> None:
    client, switch, server = made.spaces.values()
    for here, there, space in (("vm", "eth0", client), ("uplink", "wire", server)):
        ask(
            "ip",
            "-n",
            switch,
            "link",
            "add",
            here,
            "type",
            "veth",
            "peer",
            "name",
            there,
            "netns",
            space,
        )
        ask("ip", "-n", switch, "link", "set", here, "up")
        ask("ip", "-n", space, "link", "set", there, "up")
    made.ask("client", "ethtool", "-K", "eth0", "tx", "off", "gro", "on")
    made.ask("server", "ethtool", "-K", "wire", "tx", "off", "gro", "on")
    ask("ip", "-n", client, "link", "set", "eth0", "mtu", "1450", "address", "02:00:00:00:00:01")
    ask("ip", "-n", client, "addr", "add", f"{CLIENT}/24", "dev", "eth0")


def _bridges(made: Overlay) -> None:
    for bridge in ("br-phy", "br-int"):
        made.vs("add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev",
                "protocols=OpenFlow10,OpenFlow13,OpenFlow14")  # fmt: skip
    made.vs("set-fail-mode", "br-int", "secure")
    made.vs("add-port", "br-phy", "uplink")
    made.vs("add-port", "br-int", "vm", "--", "set", "interface", "vm", "ofport_request=1")
    made.vs("add-port", "br-int", "vx", "--", "set", "interface", "vx", "type=vxlan", "ofport_request=3",
            f"options:remote_ip={THERE}", f"options:key={VNI}")  # fmt: skip
    addressed(made)
    made.rules(RULES)


def addressed(made: Overlay) -> None:
    """Give the tunnel its address, when the bridges are there."""
    switch = made.spaces["switch"]
    there = [made.run / f"{bridge}.mgmt" for bridge in ("br-int", "br-phy")]
    wait_until(lambda: all(path.exists() for path in there), 20, lambda: "no bridge")
    ask("ip", "-n", switch, "addr", "replace", f"{HERE}/24", "dev", "br-phy")
    ask("ip", "-n", switch, "link", "set", "br-phy", "up")


def _tunnel_end(made: Overlay) -> None:
    space = made.spaces["server"]
    ask("ip", "-n", space, "addr", "add", f"{THERE}/24", "dev", "wire")
    ask("ip", "-n", space, "link", "add", "vx", "type", "vxlan", "id", str(VNI), "remote", HERE,
        "dstport", "4789", "dev", "wire", "noudpcsum")  # fmt: skip
    ask("ip", "-n", space, "link", "set", "vx", "up", "mtu", "1450", "address", "02:00:00:00:00:02")
    made.ask("server", "ethtool", "-K", "vx", "tx", "off")
    ask("ip", "-n", space, "addr", "add", f"{SERVER}/24", "dev", "vx")
    for here, device, there, mac in (
        (space, "vx", CLIENT, "02:00:00:00:00:01"),
        (made.spaces["client"], "eth0", SERVER, "02:00:00:00:00:02"),
    ):  # no ARP among what is counted
        ask("ip", "-n", here, "neigh", "replace", there, "lladdr", mac, "dev", device)
