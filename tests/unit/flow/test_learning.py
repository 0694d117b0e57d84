"""What the data plane tells of packets without an entry, and what it does beside redirecting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN

from support.bpf import LOOPBACK, PORTS, build, plane, sent
from support.pipeline import over_vxlan, segment
from virtboost.flow import abi
from virtboost.flow.compose import compose
from virtboost.flow.datapath import Datapath
from virtboost.flow.dataplane import DataPlane
from virtboost.flow.encode import Encoded, encode
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import packet_from_bytes
from virtboost.flow.sample import packet_of

pytestmark = pytest.mark.needs_root

NOW_NS = 1000

V4 = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(
    src="10.0.0.1", dst="10.0.0.2", tos=0x2C, ttl=17
)

V6 = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IPv6(
    src="fd00::1", dst="fd00::2", tc=0x2C, fl=0xABCDE, hlim=17
)

OVER_V6 = (
    Ether()
    / IPv6(src="fd00:1::2", dst="fd00:1::1")
    / UDP(dport=4789, chksum=0)
    / VXLAN(vni=7, flags=8)
)

FRAMES = {
    "tcp": V4 / TCP(sport=1000, dport=80, flags="PA"),
    "udp": V4 / UDP(sport=1000, dport=80),
    "echo": V4 / ICMP(id=5),
    "tcp over ipv6": V6 / TCP(sport=1000, dport=80, flags="A"),
    "echo over ipv6": V6 / ICMPv6EchoRequest(id=5),
    "a tag": Ether(src="02:00:00:00:00:01") / Dot1Q(vlan=42, prio=3) / V4[IP] / TCP(flags="A"),
    "a tunnel": over_vxlan(V4 / TCP(sport=1000, dport=80, flags="A")),
    "a tunnel over ipv6": OVER_V6 / (V6 / UDP(sport=1, dport=2)),
}  # fmt: skip


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bpf")
    build(folder, "BPF_DEFINES=-DFLOW_TEST_CLOCK=1")
    return folder


@pytest.fixture
def loaded(objects: Path) -> Iterator[DataPlane]:
    with plane("xdp", objects) as made:
        made.control(epoch=1, clock_ns=NOW_NS)
        yield made


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_candidate_is_the_packet(loaded: DataPlane, frame: Ether) -> None:
    data = bytes(frame)
    sent(loaded, "xdp", data, repeat=8)
    (told,) = loaded.candidates.take()
    assert (told.packets, told.key.port) == (8, LOOPBACK.ifindex)
    read = packet_from_bytes(data, "v1")
    headers = tuple(dict(each) for each in read.headers)
    headers[-1].pop("tunnel.flags", None)  # is of the outer header of a tunnel
    assert packet_of(told.key, told.seen, "v1").headers == headers


def test_it_is_told_at_powers_of_two_and_anew_when_forgotten(loaded: DataPlane) -> None:
    frame = bytes(FRAMES["tcp"])
    counts = []
    for _ in range(40):
        sent(loaded, "xdp", frame)
        for each in loaded.candidates.take():
            counts.append(each.packets)
    assert counts == [8, 16, 32]
    loaded.forget(each.key)
    sent(loaded, "xdp", frame, repeat=8)
    assert [each.packets for each in loaded.candidates.take()] == [8]


def test_syn_fin_and_rst_are_no_candidates(loaded: DataPlane) -> None:
    for flags in ("S", "SA", "FA", "R"):
        sent(loaded, "xdp", bytes(V4 / TCP(flags=flags)), repeat=20)
    assert loaded.candidates.take() == []


@pytest.mark.parametrize("flags", ["FA", "R", "RA"])
def test_a_key_has_ended_from_a_fin_or_rst_to_a_syn(loaded: DataPlane, flags: str) -> None:
    frame = bytes(V4 / TCP(flags="A"))
    sent(loaded, "xdp", frame, repeat=8)
    (told,) = loaded.candidates.take()
    assert not loaded.ended(told.key)
    sent(loaded, "xdp", bytes(V4 / TCP(flags=flags)))
    sent(loaded, "xdp", frame, repeat=100)
    assert loaded.ended(told.key)
    assert loaded.candidates.take() == []
    sent(loaded, "xdp", bytes(V4 / TCP(flags="S")))
    assert not loaded.ended(told.key)
    sent(loaded, "xdp", frame, repeat=8)
    assert [each.packets for each in loaded.candidates.take()] == [8]


def test_a_key_that_was_never_seen_has_not_ended(loaded: DataPlane) -> None:
    assert not loaded.ended(abi.Key(port=7))


COUNTERS = "packets:1, bytes:1, used:1s, actions:"


def encoded() -> Encoded:
    line = (
        "recirc_id(0),in_port(v1),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,frag=no),"
        f"tcp(src=1000,dst=80), {COUNTERS}v2"
    )
    frame = bytes(segment("A", reply=False))
    entry = compose(packet_from_bytes(frame, "v1"), Datapath(read_flows([line], "flows")))
    assert isinstance(entry, IntegratedEntry)
    return encode(entry, PORTS, epoch=1, lease_ns=2**63, slot=3, peer=3)


def test_one_packet_passes_when_one_is_asked_for(loaded: DataPlane) -> None:
    frame, made = bytes(segment("A", reply=False)), encoded()
    verdicts = []
    for punt in (0, 1, 1, 2):
        made.entry.punt = punt
        loaded.install(*made)
        verdicts.append([sent(loaded, "xdp", frame).verdict for _ in range(2)])
    taken, asked = ["redirect", "redirect"], ["pass", "redirect"]
    assert verdicts == [taken, asked, taken, asked]
    assert (loaded.states(4)[3].packets, dict(loaded.passes())) == (6, {19: 2})


def test_what_is_observed_passes_and_counts(loaded: DataPlane) -> None:
    frame, made = bytes(segment("A", reply=False)), encoded()
    made.entry.changes |= 8  # FLOW_OBSERVE of abi.h
    loaded.install(*made)
    left = sent(loaded, "xdp", frame)
    assert (left.verdict, left.frame) == ("pass", frame)
    assert (loaded.state(3).packets, dict(loaded.passes())) == (1, {20: 1})


def test_one_lease_ends_all(loaded: DataPlane) -> None:
    frame = bytes(segment("A", reply=False))
    loaded.install(*encoded())
    verdicts = []
    for lease_ns in (NOW_NS + 1, NOW_NS):
        loaded.control(epoch=1, lease_ns=lease_ns, clock_ns=NOW_NS)
        verdicts.append(sent(loaded, "xdp", frame).verdict)
    assert (verdicts, dict(loaded.passes())) == (["redirect", "pass"], {12: 1})
