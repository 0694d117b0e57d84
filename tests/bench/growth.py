"""The agent with few connections and with many: learning, CPU and memory, and what packets get."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from bench import load
from bench.direct import composed, installed
from bench.endtoend import accelerated
from bench.measure import Row, table
from bench.path import CLIENT, END, MACS, SERVER, Between, switched
from support.accelerated import Agents
from support.daemon import ask
from support.namespace import inside

TITLE = "Flow growth"

COUNTS = (1, 100, 1_000, 10_000)
"""Connections, two entries each on both hosts."""

OPENING = (("S", False), ("SA", True), ("A", False))
"""Flags, and whether the server sends them."""

PACE = 10_000
"""Packets a second that Open vSwitch takes without loss."""

IN_A_ROW = 10
"""Segments of each end, before another connection's come: the agent hears of a key at the eighth."""

INSTALLED, RUNS = (2, 1_000, 10_000, 100_000), 3
"""Entries of a host, that are put in directly."""

LEARN_S, WATCHED_S = 60, 4

NOTE = f"""
TCP connections opened through both hosts, which then talk in turn, {IN_A_ROW} segments each way, {PACE:,} packets/s in all, until the agent of the client's host has all
entries, two for each, or for {LEARN_S} s; then silence for {WATCHED_S} s. Open: the share of these in which entries were carried out. CPU: of one core in
these, the agent's and ovs-vswitchd's of the same host. 64-byte packets: as in *Flow end to end*, beside these connections. The agent
lets go of entries that save Open vSwitch less time than its own dumps of it take: 10,000 connections with a packet a second each are such.
"""

DIRECT_NOTE = """
Entries put into the data plane of both hosts by the benchmark itself, two of them the datagrams'; no agent, no lease. What the data plane
costs where each packet is of another of 100,000 connections is in *Flow data plane*.
"""


class Grown(Struct, frozen=True, kw_only=True):
    """What the agent does with so many."""

    connections: int
    entries: int
    learned_s: float
    """From the first packet."""
    check_ms: float
    open_share: float
    agent_cpu: float
    switch_cpu: float
    memory_mib: float
    packets_per_s: float


def versions() -> Sequence[str]:
    """Return that of the switch."""
    return (ask("ovs-vswitchd", "--version").splitlines()[0],)


def run() -> str:
    """Return the result as Markdown."""
    return f"{_table(list(_learned()))}\n{NOTE}\n{table(list(_direct()))}\n{DIRECT_NOTE}"


def _learned() -> Iterator[Grown]:
    for count in COUNTS:
        with tempfile.TemporaryDirectory(prefix="virtboost-") as name, ExitStack() as stack:
            path = stack.enter_context(switched(Path(name) / "fast"))
            yield _grown(path, stack.enter_context(accelerated(path)), count)


def _direct() -> Iterator[Row]:
    """Measure with entries put in without an agent, which has no say in how many there are."""
    rates, arrived = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="virtboost-") as name:
        with switched(Path(name) / "fast") as path:
            for _ in range(RUNS):
                arrived[0].append(load.datagrams(path))
                entries = composed(path)
                for count in INSTALLED:
                    with installed(path, entries, count) as rate:
                        arrived[count].append(load.datagrams(path))
                    rates[count].append(rate)
    for count in INSTALLED:
        what = f"64-byte packets, {count:,} entries"
        yield Row(what=what, unit="packets/s", ours=tuple(arrived[count]), peer="stock",
                  peers=tuple(arrived[0]))  # fmt: skip
    most = INSTALLED[-1]
    yield Row(what=f"{most:,} entries put in", unit="entries/s", ours=tuple(rates[most]))


def _grown(path: Between, side: Agents, count: int) -> Grown:
    name = f"{path.hosts[0].number}"
    begin = time.perf_counter()
    entries = _talk(path, side, count)
    learned = time.perf_counter()
    return Grown(
        connections=count,
        entries=entries,
        learned_s=learned - begin,
        **_watched(path, side, name),
        memory_mib=_memory(side.pid(name)),
        packets_per_s=load.datagrams(path),
    )


def _watched(path: Between, side: Agents, name: str) -> dict[str, float]:
    """Watch the agent, and the switch, while nothing happens."""
    pids = side.pid(name), int((path.hosts[0].folder / "ovs-vswitchd.pid").read_text())
    before, begin = [_cpu_s(pid) for pid in pids], time.perf_counter()
    states = []
    while time.perf_counter() < begin + WATCHED_S:
        states.append(side.status(name))
        time.sleep(0.05)
    lasted = time.perf_counter() - begin
    used = [(_cpu_s(pid) - was) / lasted for pid, was in zip(pids, before, strict=True)]
    return {
        "check_ms": max(state.check_ms for state in states),
        "open_share": sum(state.state == "open" for state in states) / len(states),
        "agent_cpu": used[0],
        "switch_cpu": used[1],
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _talk(path: Between, side: Agents, count: int) -> int:
    """Open connections and have them talk until they are learned; return how many entries there are."""
    with _ends_of(path) as ends:
        name = f"{path.hosts[0].number}"
        for segment in OPENING:
            _send(ends, _round(count, segment))
        end = time.perf_counter() + LEARN_S
        while (entries := side.status(name).entries) < 2 * count and time.perf_counter() < end:
            _send(ends, _round(count, *[("A", False)] * IN_A_ROW, *[("A", True)] * IN_A_ROW))
        return entries


@contextmanager
def _ends_of(path: Between) -> Iterator[dict[bool, socket.socket]]:
    """Open raw sockets: the client's, and the server's, which sends replies."""
    with inside(path.client):
        client = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with inside(path.server):
        server = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with client, server:
        client.bind((END, 0))
        server.bind((END, 0))
        yield {False: client, True: server}


def _send(ends: Mapping[bool, socket.socket], frames: Iterable[tuple[bool, bytes]]) -> None:
    begin = time.perf_counter()
    for sent, (reply, frame) in enumerate(frames):
        ends[reply].send(frame)
        if sent % 32 == 0:
            time.sleep(max(0.0, begin + sent / PACE - time.perf_counter()))


def _round(count: int, *segments: tuple[str, bool]) -> Iterator[tuple[bool, bytes]]:
    """Yield segments of each connection, and whether they are the server's."""
    frames = [(reply, _frame(flags, reply=reply)) for flags, reply in segments]
    for number in range(count):
        ends = _ends(number)
        for reply, frame in frames:
            yield reply, frame[:26] + b"".join(ends[::-1] if reply else ends) + frame[34:]


def _frame(flags: str, *, reply: bool) -> bytes:
    macs, ends, ports = [MACS[CLIENT], MACS[SERVER]], ["10.0.0.0", "11.255.255.255"], [1000, 80]
    for pair in (macs, ends, ports) if reply else ():
        pair.reverse()
    network = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1])
    return bytes(network / TCP(sport=ports[0], dport=ports[1], flags=flags, seq=1, ack=1))


def _ends(number: int) -> tuple[bytes, bytes]:
    """Return addresses that are nobody's, and whose sum is the same for all: 10.n and 11.~n."""
    number += 1 << 20
    return (10 << 24 | number).to_bytes(4, "big"), (11 << 24 | ~number & 0xFFFFFF).to_bytes(
        4, "big"
    )


def _table(rows: Sequence[Grown]) -> str:
    lines = [
        "| connections | entries | learned after | longest check | open | agent CPU | ovs-vswitchd CPU | agent memory | 64-byte packets |",
        f"|{'---:|' * 9}",
    ]
    for row in rows:
        cells = (
            f"{row.connections:,}", f"{row.entries:,}", f"{row.learned_s:.1f} s",
            f"{row.check_ms:.1f} ms", f"{row.open_share:.0%}", f"{row.agent_cpu:.1%}",
            f"{row.switch_cpu:.1%}", f"{row.memory_mib:.0f} MiB", f"{row.packets_per_s:,.0f}/s",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
