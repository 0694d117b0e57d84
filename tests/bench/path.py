"""The same devices three times: behind two switches, and with none.

    client eth0 = v1 host u0 = u0 host v1 = eth0 server

A host has an Open vSwitch that puts packets into VXLAN and tracks connections, or a program of one line
that hands each frame from one device to the other.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from support.bpf import build
from support.daemon import ask
from support.namespace import entering, inside, namespace, pair
from support.vtep import UPLINK, Host, host

PORT = "v1"

END = "eth0"

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"

MACS = {CLIENT: "02:00:00:00:00:01", SERVER: "02:00:00:00:00:02"}

MTU = 1450
"""Of the ends: what fits into the tunnel."""

CHANGED = 0x77
"""Cookie of the rule that is changed while packets pass."""

RULES = (
    "priority=100,ip,ct_state=-trk,actions=ct(table=1,zone=7)",
    "table=1,ct_state=+new+trk,ip,in_port=1,actions=ct(commit,zone=7),output:10",
    "table=1,ct_state=+new+trk,ip,in_port=10,actions=ct(commit,zone=7),output:1",
    "table=1,ct_state=+est+trk,ip,in_port=1,actions=output:10",
    f"cookie={CHANGED:#x},table=1,ct_state=+est+trk,ip,in_port=10,actions=output:1",
)


class Between(NamedTuple):
    """One of the three."""

    client: int
    """The process in the client's namespace."""
    server: int
    hosts: tuple[Host, ...] = ()
    """None where there is no switch."""


def _ends(first: int, second: int, stack: ExitStack) -> tuple[int, int]:
    """Make client and server, and the devices of two hosts."""
    found = []
    for each, own, other in ((first, CLIENT, SERVER), (second, SERVER, CLIENT)):
        end = stack.enter_context(namespace())
        pair(each, PORT, end, END)
        enter = entering(end)
        ask(*enter, "ip", "link", "set", END, "mtu", str(MTU), "address", MACS[own])
        ask(*enter, "ip", "addr", "add", f"{own}/24", "dev", END)
        ask(*enter, "ip", "neigh", "replace", other, "lladdr", MACS[other], "dev", END,
            "nud", "permanent")  # fmt: skip
        found.append(end)
    pair(first, UPLINK, second, UPLINK)
    return found[0], found[1]


@contextmanager
def switched(folder: Path) -> Iterator[Between]:
    """Have two hosts with Open vSwitch.  TCP windows are not checked: a fast path needs that."""
    folder.mkdir()
    with ExitStack() as stack:
        hosts = tuple(stack.enter_context(host(folder / f"{n}", n)) for n in (88, 92))
        ends = _ends(hosts[0].pid, hosts[1].pid, stack)
        for each, peer in (hosts, hosts[::-1]):
            ask(*entering(each.pid), "ethtool", "-K", UPLINK, "gro", "off")
            each.bridges(peer)
            each.port(PORT, 1)
            each.tunnel("vx", 10, peer, 100)
            each.rules(RULES)
            each.app("dpctl/ct-disable-tcp-seq-chk")
        yield Between(*ends, hosts)


@contextmanager
def bare(folder: Path) -> Iterator[Between]:
    """Have no switch."""
    folder.mkdir()
    with ExitStack() as stack:
        first, second = (stack.enter_context(namespace()) for _ in range(2))
        ends = _ends(first, second, stack)
        (total,) = {_sum_of_numbers(pid) for pid in (first, second)}
        build(folder, f"BPF_OBJECTS={folder}/plain.bpf.o", "BPF_FROM=tests/bench/bpf",
              f"BPF_DEFINES=-DPLAIN_SUM={total}")  # fmt: skip
        for pid in (first, second):
            for device in (PORT, UPLINK):
                ask(*entering(pid), "ip", "link", "set", device, "xdp", "obj",
                    f"{folder}/plain.bpf.o", "sec", "xdp")  # fmt: skip
        yield Between(*ends)


def _sum_of_numbers(pid: int) -> int:
    """Return the sum of the ifindex of both devices; made in one order, they are the same everywhere."""
    with inside(pid):
        return socket.if_nametoindex(PORT) + socket.if_nametoindex(UPLINK)
