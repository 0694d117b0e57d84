"""The data plane of both hosts with entries put in directly: as many as wanted, and no agent."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from msgspec.structs import replace
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from bench.load import DATAGRAMS
from bench.path import CLIENT, MACS, PORT, SERVER, Between
from support.namespace import inside
from support.vtep import UPLINK, Host
from virtboost.flow.compose import compose_both
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.dataplane import FOREVER_NS, DataPlane
from virtboost.flow.encode import Encoded, Port, encode
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import packet_from_bytes

EPOCH = 1


Entries = Sequence[IntegratedEntry]
"""Both directions of the datagrams, on one host."""


def composed(path: Between) -> tuple[Entries, ...]:
    """Return the entries of each host, of datagrams that passed lately."""
    ends = (CLIENT, SERVER), (SERVER, CLIENT)
    return tuple(_both(*each) for each in zip(path.hosts, ends, strict=True))


@contextmanager
def installed(path: Between, entries: Sequence[Entries], count: int) -> Iterator[float]:
    """Have ``count`` entries on each host, those of the datagrams among them.

    Yields:
        Entries that one process put in in a second.
    """
    with ExitStack() as stack:
        rates = [
            stack.enter_context(_installed(host, both, count))
            for host, both in zip(path.hosts, entries, strict=True)
        ]
        yield sum(rates) / len(rates)


@contextmanager
def _installed(host: Host, both: Entries, count: int) -> Iterator[float]:
    with inside(host.pid):
        ports = {name: Port(socket.if_nametoindex(name), 1500) for name in (PORT, UPLINK)}
    made = [
        encode(entry, ports, epoch=EPOCH, lease_ns=FOREVER_NS, slot=slot, peer=1 - slot)
        for slot, entry in enumerate(both)
    ]
    with DataPlane("xdp", size=count) as plane:
        plane.control(epoch=EPOCH)
        begin = time.perf_counter()
        for each in made:
            plane.install(*each)
        for number in range(2, count):
            _install(plane, made[number % 2], number)
        rate = count / (time.perf_counter() - begin)
        with inside(host.pid):
            for port in ports.values():
                plane.attach(port.ifindex)
        yield rate


def _both(host: Host, ends: tuple[str, str]) -> Entries:
    """Compose both directions of the datagrams, which were answered."""
    source, destination = ends
    ether = Ether(src=MACS[source], dst=MACS[destination])
    frame = ether / IP(src=source, dst=destination) / UDP(sport=DATAGRAMS, dport=DATAGRAMS)
    connections = read_connections(
        host.app("dpctl/dump-conntrack", "-m", "-s").splitlines(), "dump"
    )
    answered = [replace(each, status=frozenset({"SEEN_REPLY"})) for each in connections]
    flows = read_flows(host.app("dpctl/dump-flows", "-m").splitlines(), "dump")
    both = compose_both(packet_from_bytes(bytes(frame), PORT), Datapath(flows, answered))
    found = [each for each in both if isinstance(each, IntegratedEntry)]
    assert len(found) == 2, both
    return found


def _install(plane: DataPlane, like: Encoded, number: int) -> None:
    """Put an entry in that is like another, of addresses that are nobody's."""
    key, entry = (
        type(like.key).from_buffer_copy(like.key),
        type(like.entry).from_buffer_copy(like.entry),
    )
    key.source[:4] = (172 << 24 | number).to_bytes(4, "big")
    entry.slot = entry.peer = number
    plane.install(key, entry)
