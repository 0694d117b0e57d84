"""Open vSwitch with DPDK in a network namespace of its own, fed from pcap devices: the peer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scapy.utils import RawPcapWriter

from support.daemon import ask, need, running, succeeds
from support.pipeline import HERE, HERE_MAC, THERE, THERE_MAC, VNI

DAEMON = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"

CONFIGURATION = (
    "other_config:dpdk-init=true",
    'other_config:dpdk-extra="--no-huge --legacy-mem -m 4096 --no-pci"',
    "other_config:pmd-cpu-mask=0x2",
    "other_config:dpdk-lcore-mask=0x1",
)

OUTPUTS = {"encap": 3, "decap": 1}
"""OpenFlow ports where packets leave the bridge: the tunnel's, the guest's."""

FED = {"encap": "v1", "decap": "p0"}
"""Ports where they come."""

SETTLED_S, MEASURED_S = 5, 2


def version() -> str:
    """Return the version of the daemon, and that of DPDK."""
    lines = ask(DAEMON, "--version").splitlines()
    return "; ".join(line for line in lines if "vSwitch" in line or line.startswith("DPDK"))


def here() -> bool:
    """Tell whether it is installed: the package openvswitch-switch-dpdk of Debian."""
    return Path(DAEMON).exists()


class _Switch:
    """Bridge br-int with v1 and a tunnel, which leaves through p0 of br-phy."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder, self._pid = folder, pid

    def vs(self, *words: str) -> str:
        return ask("ovs-vsctl", "--timeout=60", f"--db=unix:{self._folder}/db", *words)

    def app(self, *words: str) -> str:
        return ask("ovs-appctl", "--timeout=60", f"--target={self._folder}/ctl", *words)

    def bridges(self, way: str, files: dict[str, Path]) -> None:
        for bridge in ("br-phy", "br-int"):
            self.vs("add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
        self.vs("set", "bridge", "br-phy", f'other-config:hwaddr="{HERE_MAC}"')
        tunnel = ("type=vxlan", f"options:remote_ip={THERE}", f"options:key={VNI}")
        self.vs(
            "add-port", "br-int", "vx", "--", "set", "interface", "vx", *tunnel, "ofport_request=3"
        )
        for words in (
            ("addr", "add", f"{HERE}/24", "dev", "br-phy"),
            ("link", "set", "br-phy", "up"),
        ):
            ask("nsenter", "--net", "--target", str(self._pid), "ip", *words)
        time.sleep(1)
        self.app("tnl/arp/set", "br-phy", THERE, THERE_MAC)
        self._rules(OUTPUTS[way])
        for bridge, name in sorted(
            (("br-int", "v1"), ("br-phy", "p0")), key=lambda e: e[1] == FED[way]
        ):
            self._port(bridge, name, files[name])

    def _port(self, bridge: str, name: str, file: Path) -> None:
        device = f"net_pcap_{name},rx_pcap={file}" + ",infinite_rx=1" * bool(
            file.stat().st_size > 24
        )
        told = ("type=dpdk", "ofport_request=1", f'options:dpdk-devargs="{device}"')
        self.vs("add-port", bridge, name, "--", "set", "interface", name, *told)
        error = self.vs("get", "interface", name, "error")
        assert error == "[]", f"{name}: {error}"

    def _rules(self, output: int) -> None:
        bridge = f"unix:{self._folder}/br-int.mgmt"
        ask("ovs-ofctl", "del-flows", bridge)
        for rule in (
            "priority=9,ip,ct_state=-trk,actions=ct(table=1,zone=7)",
            f"table=1,ct_state=+new+trk,ip,actions=ct(commit,zone=7),output:{output}",
            f"table=1,ct_state=+est+trk,ip,actions=output:{output}",
        ):
            ask("ovs-ofctl", "add-flow", bridge, rule)

    def came(self, port: str) -> int:
        """Return packets that came from the wire: each once, also if it is taken out of a tunnel."""
        shown = self.app("dpctl/show", "-s").partition(f": {port} ")[2]
        counted = re.search(r"RX packets:(\d+)", shown)
        assert counted is not None, shown
        return int(counted[1])

    def established(self) -> int:
        """Return packets of the megaflows of established connections."""
        found = 0
        for line in self.app("dpctl/dump-flows", "-m").splitlines():
            state = re.search(r"ct_state\((0x[0-9a-f]+)/", line)
            counted = re.search(r"packets:(\d+)", line)
            if state and counted and int(state[1], 16) & 0x02:
                found += int(counted[1])
        return found

    def busy(self) -> float:
        """Return seconds that the PMD thread was busy since its counters were cleared."""
        shown = self.app("dpif-netdev/pmd-perf-show")
        lasted = re.search(r"Measurement duration: ([\d.]+) s", shown)
        share = re.search(r"busy iterations: +\d+ +\( *([\d.]+) % of used", shown)
        assert lasted is not None, shown
        assert share is not None, shown
        return float(lasted[1]) * float(share[1]) / 100


def nanoseconds(folder: Path, way: str, frames: Iterable[bytes], runs: int) -> tuple[float, ...]:
    """Return busy time of the PMD thread by packets on the wire, each run of some seconds.

    Args:
        folder: For files.
        way: ``encap`` or ``decap``.
        frames: Of both directions of every connection; they come again and again.
        runs: How many.
    """
    files = {name: folder / f"{name}.pcap" for name in FED.values()}
    for name, file in files.items():
        with RawPcapWriter(str(file), linktype=1) as writer:
            writer.write_header(None)
            for frame in frames if name == FED[way] else ():
                writer.write_packet(frame)
    with _switch(folder) as switch:
        switch.bridges(way, files)
        time.sleep(SETTLED_S)
        connections = switch.app("dpctl/dump-conntrack").splitlines()
        open_both_ways = sum("state=ESTABLISHED" in line for line in connections)
        assert open_both_ways > 0.9 * len(connections) > 0, connections[:3]
        return tuple(_measured(switch, FED[way]) for _ in range(runs))


def _measured(switch: _Switch, port: str) -> float:
    before, established = switch.came(port), switch.established()
    switch.app("dpif-netdev/pmd-stats-clear")
    time.sleep(MEASURED_S)
    busy_s = switch.busy()
    packets = switch.came(port) - before
    share = (switch.established() - established) / packets
    assert share > 0.9, f"only {share:.0%} of the packets are of established connections"
    return busy_s * 1e9 / packets


@contextmanager
def _switch(folder: Path) -> Iterator[_Switch]:
    need("ovsdb-server", "ovs-vsctl", "ovs-appctl", "ovs-ofctl", "unshare", "nsenter")
    database, control = folder / "conf.db", folder / "ctl"
    database.unlink(missing_ok=True)
    ask("ovsdb-tool", "create", str(database), SCHEMA)
    client = ("ovs-vsctl", "--timeout=10", "--no-wait", f"--db=unix:{folder}/db")
    folders = ("env", f"OVS_RUNDIR={folder}")
    with running(
        (*folders, "ovsdb-server", str(database), f"--remote=punix:{folder}/db"),
        log=folder / "ovsdb-server.log",
        ready=succeeds(*client, "init"),
    ):
        ask(*client, "set", "open_vswitch", ".", *CONFIGURATION)
        with running(
            (*folders, "unshare", "--net", DAEMON, f"unix:{folder}/db", f"--unixctl={control}"),
            log=folder / "ovs-vswitchd.log",
            ready=succeeds("ovs-appctl", f"--target={control}", "version"),
        ) as daemon:
            yield _Switch(folder, daemon.pid)
