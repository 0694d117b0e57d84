"""What the data plane costs a packet, beside Open vSwitch with DPDK on the same traffic."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from bench import dpdk
from bench.measure import Row, table
from support.bpf import PORTS, build, sent
from support.pipeline import CLIENT, SERVER, over_vxlan
from support.pipelines import PUSH
from virtboost.flow.compose import compose
from virtboost.flow.datapath import Datapath
from virtboost.flow.dataplane import DataPlane
from virtboost.flow.encode import Encoded, encode
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import packet_from_bytes

TITLE = "Flow data plane"

COUNTS = (1, 1_000, 100_000)

RUNS, PACKETS = 5, 1_000_000

NOTE = """
TCP over VXLAN, one byte of data, each packet of another connection than the one before. Ours: XDP under BPF_PROG_TEST_RUN, the
harness ({floor:.0f} ns) counted, receiving and sending not. Peer: busy time of one PMD thread by packets on the wire, pcap
devices with infinite_rx, one `ct(zone=7)`, over 90 % of the connections ESTABLISHED both ways and of the packets theirs; it
takes 32 packets at a time, and its devices, which only copy, are counted. Both are times of a clock: what other programs took of
the CPU meanwhile is counted too.
"""

COMMON = "packets:1, bytes:1, used:1s, actions:"

INNER = (
    "eth_type(0x0800),ipv4(src=10.0.0.0,dst=11.255.255.255,proto=6,frag=no),tcp(src=1000,dst=80)"
)

FLOWS = {
    "encap": [f"recirc_id(0),in_port(v1),{INNER}, {COMMON}{PUSH},p0"],
    "decap": [
        "recirc_id(0),in_port(p0),eth_type(0x0800),ipv4(dst=1.1.2.88,proto=17,frag=no),udp(dst=4789), "
        f"{COMMON}tnl_pop(vx)",
        "tunnel(tun_id=0x64,src=1.1.2.92,dst=1.1.2.88,flags(+key)),recirc_id(0),in_port(vx),"
        f"{INNER}, {COMMON}v1",
    ],
}


def versions() -> Sequence[str]:
    """Return the version of the peer."""
    return (dpdk.version(),) if dpdk.here() else ()


def run() -> str:
    """Return the result as Markdown."""
    with tempfile.TemporaryDirectory(prefix="virtboost-") as name:
        folder = Path(name)
        floor = min(_ours(folder, "encap", 1, "-DFLOW_FLOOR=1"))
        rows = [_row(folder, way, count) for way in FLOWS for count in COUNTS]
    return table(rows) + "\n" + NOTE.format(floor=floor)


def _row(folder: Path, way: str, count: int) -> Row:
    ours = _ours(folder, way, count, "")
    theirs = dpdk.nanoseconds(folder, way, _frames(way, count), RUNS) if dpdk.here() else ()
    return Row(
        what=f"{way}, {count:,} connections",
        unit="ns",
        ours=ours,
        peer="Open vSwitch with DPDK",
        peers=theirs,
        goal="150 ns, an eighth",
    )


def _frame(way: str, *, reply: bool = False) -> bytes:
    """Return a frame of connection 0."""
    ends, ports, macs = ["10.0.0.0", "11.255.255.255"], [1000, 80], [CLIENT, SERVER]
    numbers = [5000, 9000]
    for pair in (ends, ports, macs, numbers) if reply else ():
        pair.reverse()
    inner = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1])
    segment = TCP(sport=ports[0], dport=ports[1], flags="A", seq=numbers[0], ack=numbers[1])
    frame = inner / segment / b"\0"
    return bytes(over_vxlan(frame) if way == "decap" else frame)


def _ends(number: int) -> tuple[bytes, bytes]:
    """Return the addresses of a connection, 10.n and 11.~n: their sum is the same for all."""
    return (10 << 24 | number).to_bytes(4, "big"), (11 << 24 | ~number & 0xFFFFFF).to_bytes(
        4, "big"
    )


def _frames(way: str, count: int) -> Iterator[bytes]:
    """Yield frames of both directions in a random order: the peer must see answers."""
    at = 76 if way == "decap" else 26
    there, back = _frame(way), _frame(way, reply=True)
    order = list(range(2 * count))
    random.Random(0).shuffle(order)
    for number in order:
        client, server = _ends(number >> 1)
        ends, frame = (server + client, back) if number & 1 else (client + server, there)
        yield frame[:at] + ends + frame[at + 8 :]


def _ours(folder: Path, way: str, count: int, defines: str) -> tuple[float, ...]:
    """Return nanoseconds of a packet, in runs of a million."""
    objects = folder / f"floor{bool(defines)}"
    objects.mkdir(exist_ok=True)
    words = (f"BPF_OBJECTS={objects}/xdp.bpf.o", "BPF_FROM=tests/bench/bpf")
    build(objects, *words, f"BPF_DEFINES={defines}")
    frame = _frame(way)
    entry = compose(
        packet_from_bytes(frame, "v1" if way == "encap" else "p0"),
        Datapath(read_flows(FLOWS[way], "flows")),
    )
    assert isinstance(entry, IntegratedEntry), entry
    with DataPlane("xdp", size=count, objects=objects) as plane:
        plane.control(epoch=1, clock_ns=count)
        made = encode(entry, PORTS, epoch=1, lease_ns=2**63, slot=0, peer=0)
        for number in range(count):
            _install(plane, made, number)
        results = []
        for _ in range(RUNS + 1):
            left = sent(plane, "xdp", frame, repeat=PACKETS)
            assert (left.verdict, dict(plane.passes())) == ("redirect", {})
            results.append(float(left.duration_ns))
    return tuple(results[1:])


def _install(plane: DataPlane, made: Encoded, number: int) -> None:
    """Install an entry as that of another connection."""
    source, destination = _ends(number)
    for each in made:
        each.source[:4] = source
        each.destination[:4] = destination
    made.entry.slot = made.entry.peer = number
    plane.install(*made)
