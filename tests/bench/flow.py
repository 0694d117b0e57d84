"""How fast dumps are read, beside Open vSwitch's own library, and traversals composed."""

from __future__ import annotations

import importlib.metadata
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ovs.flow.odp import ODPFlow

from bench.measure import Row, in_turn, table, used
from support.pipelines import random_case
from virtboost.flow.compose import compose
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import Packet

TITLE = "OVS datapath flows"

RUNS = 5

FLOWS = 100_000

SOME = 3_000
"""Lines that the peer reads too: it would need minutes for all."""

CASES = 400


def versions() -> Sequence[str]:
    """Return the version of the peer."""
    return (f"ovs {importlib.metadata.version('ovs')}",)


def run() -> str:
    """Return the result as Markdown."""
    with tempfile.TemporaryDirectory(prefix="virtboost-") as folder:
        path = Path(folder) / "flows.txt"
        with path.open("w") as file:
            file.writelines(_line(number) for number in range(FLOWS))
        return table([*_reading(path), *_whole(path), *_composing()])


def _line(number: int) -> str:
    octets = (number >> 16 & 255, number >> 8 & 255, number & 255)
    mac = ":".join(f"{octet:02x}" for octet in octets)
    address = ".".join(map(str, octets))
    return (
        f"ufid:{number:08x}-0000-4000-8000-{number:012x}, skb_priority(0/0),skb_mark(0/0),"
        "ct_state(0x22/0x33),ct_zone(0x7/0),ct_mark(0/0),ct_label(0/0),"
        f"recirc_id({number % 50:#x}),dp_hash(0/0),in_port(tap{number % 300}),"
        f"packet_type(ns=0,id=0),eth(src=aa:bb:cc:{mac},dst=01:02:03:04:05:{octets[2]:02x}),"
        f"eth_type(0x0800),ipv4(src=10.{address}/0.0.0.0,dst=10.9.{number % 250}.1/255.255.255.0,"
        f"proto=6/0,tos=0/0x3,ttl=64/0,frag=no),tcp(src={number % 60000}/0,dst=80/0),"
        f"tcp_flags(0/0), packets:{number % 1000}, bytes:{number * 3}, used:{number % 10}.5s, "
        f"flags:SP., dp:ovs, actions:ct(zone=7),recirc({number % 7 + 1:#x})\n"
    )


def _reading(path: Path) -> Iterator[Row]:
    with path.open() as file:
        lines = [line.strip() for _, line in zip(range(SOME), file, strict=False)]

    def ours() -> float:
        begin = time.perf_counter()
        for _ in read_flows(lines, "dump"):
            pass
        return SOME / (time.perf_counter() - begin)

    def theirs() -> float:
        begin = time.perf_counter()
        for line in lines:
            flow = ODPFlow(line)
            assert flow.match is not None
            assert flow.actions is not None
        return SOME / (time.perf_counter() - begin)

    mine, others = in_turn(RUNS, ours, theirs)
    yield Row(
        what=f"{SOME:,} megaflows, matches and actions",
        unit="flows/s",
        ours=tuple(mine),
        peer="ovs.flow.odp",
        peers=tuple(others),
    )


def _whole(path: Path) -> Iterator[Row]:
    kept = "flows = list(read_flows(open(sys.argv[1]), 'dump')); assert len(flows) == 100000"
    streamed = "assert sum(1 for _ in read_flows(open(sys.argv[1]), 'dump')) == 100000"
    for what, text, goal in (
        ("kept", kept, ("under 3 s", "under 300 MiB")),
        ("streamed", streamed, ("", "")),
    ):
        program = f"import sys\nfrom virtboost.flow.megaflow import read_flows\n{text}"
        (runs,) = in_turn(RUNS, lambda p=program: used((sys.executable, "-c", p, str(path))))  # type: ignore[misc]
        yield Row(
            what=f"{FLOWS:,} megaflows, {what}",
            unit="s",
            ours=tuple(each.wall_s for each in runs),
            goal=goal[0],
        )
        yield Row(
            what=f"{FLOWS:,} megaflows, {what}, memory",
            unit="MiB",
            ours=tuple(each.peak_bytes / (1 << 20) for each in runs),
            goal=goal[1],
        )


def _composing() -> Iterator[Row]:
    asked = []
    for seed in range(CASES):
        case = random_case(random.Random(seed))
        datapath = Datapath(
            read_flows(case.flows, "flows"), read_connections(case.connections, "connections")
        )
        packet = Packet(in_port=case.in_port, headers=tuple(case.stack))
        if isinstance(compose(packet, datapath), IntegratedEntry):
            asked.append((packet, datapath))

    def rate() -> float:
        begin = time.perf_counter()
        for packet, datapath in asked:
            compose(packet, datapath)
        return len(asked) / (time.perf_counter() - begin)

    (rates,) = in_turn(RUNS, rate)
    yield Row(
        what="random traversals composed, one core",
        unit="entries/s",
        ours=tuple(rates),
        goal="over 5,000 entries/s",
    )
