"""A real ovs-vswitchd with dummy ports: pipelines in OpenFlow, frames in, frames out."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet
from scapy.utils import RawPcapReader

from support.daemon import ask
from support.switch import APPCTL, VSCTL

PATIENCE_S = 10

HERE_MAC, THERE_MAC = "aa:55:aa:55:00:00", "f8:bc:12:44:34:b6"

HERE, THERE = "1.1.2.88", "1.1.2.92"

VNI = 100

CLIENT, SERVER = "50:54:00:00:00:01", "50:54:00:00:00:02"


class Pipeline:
    """Bridge ``br-int`` with ports 1 ``v1``, 2 ``v2`` and 3 ``vx``, VXLAN through ``p0``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bridge = ("datapath_type=dummy", "protocols=OpenFlow10,OpenFlow14", "fail-mode=secure")
        self._vs("add-br", "br-phy", "--", "set", "bridge", "br-phy", *bridge[:2])
        self._vs("set", "bridge", "br-phy", f'other-config:hwaddr="{HERE_MAC}"')
        self._vs("add-br", "br-int", "--", "set", "bridge", "br-int", *bridge)
        self._port("br-phy", "p0", 1)
        self._port("br-int", "v1", 1)
        self._port("br-int", "v2", 2)
        tunnel = ("type=vxlan", f"options:remote_ip={THERE}", f"options:key={VNI}")
        self._vs(
            "add-port", "br-int", "vx", "--", "set", "interface", "vx", *tunnel, "ofport_request=3"
        )
        self.app("netdev-dummy/ip4addr", "br-phy", f"{HERE}/24")
        self.app("ovs/route/add", f"{THERE}/24", "br-phy")
        self.app("tnl/arp/set", "br-phy", THERE, THERE_MAC)
        ask("ovs-ofctl", "add-flow", "br-phy", "actions=normal")

    def _vs(self, *words: str) -> str:
        return ask(*VSCTL, *words)

    def app(self, *words: str) -> str:
        return ask(*APPCTL, *words)

    def _port(self, bridge: str, name: str, number: int) -> None:
        told = (
            "type=dummy",
            f"ofport_request={number}",
            f"options:tx_pcap={self.folder}/{name}.pcap",
        )
        self._vs("add-port", bridge, name, "--", "set", "interface", name, *told)

    def rules(self, rules: Sequence[str]) -> None:
        """Replace the OpenFlow rules, and forget connections and megaflows."""
        ask("ovs-ofctl", "-O", "OpenFlow14", "del-flows", "br-int")
        for rule in rules:
            ask("ovs-ofctl", "-O", "OpenFlow14", "add-flow", "br-int", rule)
        self.app("dpctl/flush-conntrack")
        self.app("revalidator/purge")

    def send(self, port: str, frame: Packet) -> list[tuple[str, bytes]]:
        """Send a frame to a port; return what leaves, and where."""
        before = {name: len(self._left(name)) for name in ("p0", "v1", "v2")}
        self.app("netdev-dummy/receive", port, bytes(frame).hex())
        end = time.monotonic() + PATIENCE_S
        new: list[tuple[str, bytes]] = []
        while not new and time.monotonic() < end:
            time.sleep(0.02)
            new = [(n, f) for n, count in before.items() for f in self._left(n)[count:]]
        return new

    def _left(self, name: str) -> list[bytes]:
        path = self.folder / f"{name}.pcap"
        if not path.exists() or path.stat().st_size < 24:
            return []
        with RawPcapReader(str(path)) as frames:
            return [bytes(frame) for frame, _ in frames]

    def settle(self, port: str, frame: Packet) -> None:
        """Send a frame until the datapath has a megaflow for it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.app("netdev-dummy/receive", port, bytes(frame).hex())
            time.sleep(0.05)
            if any("actions:" in line for line in self.flows()):
                return

    def flows(self) -> list[str]:
        return self.app("dpctl/dump-flows", "-m").splitlines()

    def connections(self) -> list[str]:
        return self.app("dpctl/dump-conntrack", "-m", "-s").splitlines()


@contextmanager
def pipeline(folder: Path) -> Iterator[Pipeline]:
    """Make the bridges; ovs-vswitchd runs already, and removes them at its end."""
    made = Pipeline(folder)
    yield made
    for bridge in ("br-int", "br-phy"):
        ask(*VSCTL, "del-br", bridge)


def over_vxlan(frame: Packet, *, checksum: int | None = 0) -> Packet:
    """Return a frame as the other end of the tunnel sends it."""
    outer = Ether(src=THERE_MAC, dst=HERE_MAC) / IP(src=THERE, dst=HERE, flags="DF", id=0)
    return outer / UDP(sport=40000, dport=4789, chksum=checksum) / VXLAN(vni=VNI, flags=8) / frame


def segment(
    flags: str, *, reply: bool, data: bytes = b"", seq: int = 1, ack: int = 0, version: int = 4
) -> Packet:
    """Return a TCP segment between a client, port 1000, and a server, port 80."""
    macs = (SERVER, CLIENT) if reply else (CLIENT, SERVER)
    ends = ("10.0.0.1", "10.0.0.2") if version == 4 else ("fd00::1", "fd00::2")
    source, destination = reversed(ends) if reply else ends
    network = IP(src=source, dst=destination) if version == 4 else IPv6(src=source, dst=destination)
    ports = (80, 1000) if reply else (1000, 80)
    transport = TCP(sport=ports[0], dport=ports[1], flags=flags, seq=seq, ack=ack)
    return Ether(src=macs[0], dst=macs[1]) / network / transport / data


class VethBridge:
    """A bridge of the userspace datapath with two ports of the kernel, whose other ends are ours."""

    def __init__(self, ends: dict[int, socket.socket]) -> None:
        self._ends = ends

    @staticmethod
    def port(number: int) -> str:
        return f"vbt-p{number}"

    def rules(self, rules: Sequence[str]) -> None:
        ask("ovs-ofctl", "-O", "OpenFlow14", "del-flows", "vbt-br")
        for rule in rules:
            ask("ovs-ofctl", "-O", "OpenFlow14", "add-flow", "vbt-br", rule)

    def ask(self, *words: str) -> list[str]:
        return ask(*APPCTL, *words).splitlines()

    def pass_on(self, number: int, frame: bytes) -> bytes:
        """Send a frame to one port; return what comes out of the other."""
        other = self._ends[3 - number]
        self._ends[number].send(frame)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = other.recv(2048)
            if found[12:14] == b"\x08\x00":  # and not what the kernel says of itself in IPv6
                return found
        raise TimeoutError


@contextmanager
def veth_bridge() -> Iterator[VethBridge]:
    """Make two pairs of veth and a bridge between them, and remove them."""
    ends: dict[int, socket.socket] = {}
    try:
        ask(*VSCTL, "add-br", "vbt-br", "--", "set", "bridge", "vbt-br", "datapath_type=netdev",
            "protocols=OpenFlow10,OpenFlow14", "fail-mode=secure")  # fmt: skip
        for number in (1, 2):
            port, end = f"vbt-p{number}", f"vbt-e{number}"
            ask("ip", "link", "add", port, "type", "veth", "peer", "name", end)
            for name in (port, end):
                ask("ip", "link", "set", name, "up")
            ask(*VSCTL, "add-port", "vbt-br", port, "--", "set", "interface", port,
                f"ofport_request={number}")  # fmt: skip
            ends[number] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            ends[number].bind((end, 0))
            ends[number].settimeout(PATIENCE_S)
        yield VethBridge(ends)
    finally:
        for each in ends.values():
            each.close()
        ask(*VSCTL, "--if-exists", "del-br", "vbt-br")
        for number in (1, 2):
            subprocess.run(
                ("ip", "link", "del", f"vbt-p{number}"), capture_output=True, check=False
            )
