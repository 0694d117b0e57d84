"""Hosts whose Open vSwitch ends VXLAN tunnels: each a network namespace with a userspace Open vSwitch of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.daemon import ask, need, running, succeeds
from support.namespace import entering, namespace

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"

UPLINK = "u0"


class Host:
    """Bridges ``br-int`` with ports and tunnels, ``br-phy`` with the uplink and an address."""

    def __init__(self, folder: Path, number: int, pid: int) -> None:
        self.folder, self.number, self.pid = folder, number, pid
        self._environment = ("env", f"OVS_RUNDIR={folder}")
        self._daemons = ExitStack()

    @property
    def address(self) -> str:
        """Its end of the tunnels."""
        return f"1.1.2.{self.number}"

    @property
    def mac(self) -> str:
        """That of the address."""
        return f"aa:55:aa:55:00:{self.number:02x}"

    def vs(self, *words: str) -> str:
        return ask("ovs-vsctl", "--timeout=20", f"--db=unix:{self.folder}/db.sock", *words)

    def app(self, *words: str) -> str:
        return ask(*self._environment, "ovs-appctl", "--timeout=20", *words)

    def of(self, command: str, *words: str) -> str:
        """Run ovs-ofctl on ``br-int``."""
        return ask("ovs-ofctl", "-O", "OpenFlow14", command, f"unix:{self.folder}/br-int.mgmt",
                   *words)  # fmt: skip

    def start(self) -> None:
        """Run ovs-vswitchd; the database says what its bridges are."""
        daemon = running(
            (*self._environment, *entering(self.pid), "ovs-vswitchd", "--disable-system", "--pidfile"),
            log=self.folder / "ovs-vswitchd.log",
            ready=succeeds(*self._environment, "ovs-appctl", "version"),
        )  # fmt: skip
        self._daemons.enter_context(daemon)

    def stop(self) -> None:
        self._daemons.close()

    def bridges(self, peer: Host) -> None:
        """Make the bridges, of an uplink that is there."""
        for name in ("br-phy", "br-int"):
            self.vs("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")
        self.vs("set", "bridge", "br-phy", f'other-config:hwaddr="{self.mac}"', "--",
                "set-fail-mode", "br-int", "secure", "--",
                "add-port", "br-phy", UPLINK)  # fmt: skip
        self.reach(peer)

    def reach(self, peer: Host) -> None:
        """Give ``br-phy`` its address, and the tunnels the neighbour's: at each start of the daemon."""
        enter = entering(self.pid)
        ask(*enter, "ip", "addr", "replace", f"{self.address}/24", "dev", "br-phy")
        ask(*enter, "ip", "link", "set", "br-phy", "up")
        self.app("ovs/route/add", f"{peer.address}/24", "br-phy")
        self.app("tnl/arp/set", "br-phy", peer.address, peer.mac)

    def port(self, name: str, number: int) -> None:
        """Add a device of the namespace to ``br-int``."""
        self.vs("add-port", "br-int", name, "--", "set", "interface", name,
                f"ofport_request={number}")  # fmt: skip

    def tunnel(self, name: str, number: int, peer: Host, vni: int) -> None:
        told = ("type=vxlan", f"options:remote_ip={peer.address}", f"options:key={vni}")
        self.vs("add-port", "br-int", name, "--", "set", "interface", name, *told,
                f"ofport_request={number}")  # fmt: skip

    def rules(self, rules: Sequence[str]) -> None:
        """Replace the rules of ``br-int`` at once."""
        path = self.folder / "rules.txt"
        path.write_text("".join(f"{rule}\n" for rule in rules))
        self.of("replace-flows", str(path))


@contextmanager
def host(folder: Path, number: int) -> Iterator[Host]:
    """Run the daemons of a host, which has no bridges yet.

    Args:
        folder: For files and sockets; made.
        number: The last byte of its address.
    """
    need("ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-appctl", "ovs-ofctl", "ethtool")
    folder.mkdir()
    database = str(folder / "conf.db")
    ask("ovsdb-tool", "create", database, SCHEMA)
    with (
        namespace() as pid,
        running(
            (
                "env",
                f"OVS_RUNDIR={folder}",
                "ovsdb-server",
                database,
                f"--remote=punix:{folder}/db.sock",
            ),
            log=folder / "ovsdb-server.log",
            ready=succeeds("ovs-vsctl", "--no-wait", f"--db=unix:{folder}/db.sock", "init"),
        ),
    ):
        made = Host(folder, number, pid)
        made.start()
        try:
            yield made
        finally:
            made.stop()
