"""The data plane: its layout, what it lets pass and why, and its frames beside the software model's."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN

from support.bpf import LOOPBACK, PORTS, Left, build, frame_of, plane, sent
from support.daemon import need
from support.pipelines import PUSH, random_case
from virtboost.flow import abi
from virtboost.flow.compose import accepts, compose
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.dataplane import HOOKS, DataPlane, NotLoaded
from virtboost.flow.encode import Encoded, Port, encode, source_port
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import Packet, packet_from_bytes
from virtboost.flow.refusal import Refused
from virtboost.flow.transpose import internet_checksum, transposed

NOW_NS, LEASE_NS, EPOCH = 1000, 2000, 7


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects whose clock is the test's."""
    folder = tmp_path_factory.mktemp("bpf")
    build(folder, "BPF_DEFINES=-DFLOW_TEST_CLOCK=1")
    return folder


@pytest.fixture(params=["xdp", "tc"])
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def loaded(hook: str, objects: Path) -> Iterator[DataPlane]:
    with plane(hook, objects) as made:
        made.control(epoch=EPOCH, clock_ns=NOW_NS)
        yield made


COUNTERS = "packets:1, bytes:1, used:1s, actions:"

PLAIN = "recirc_id(0),in_port(v1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),"

V4 = "eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,ttl=64,frag=no),tcp(src=1000,dst=80)"

V6 = "eth_type(0x86dd),ipv6(src=fd00::1,dst=fd00::2,proto=6,hlimit=64,frag=no),tcp(src=1000,dst=80)"

PUSH6 = (
    "tnl_push(tnl_port(vx),header(size=70,type=4,eth(dst=f8:bc:12:44:34:b6,src=aa:55:aa:55:00:00,"
    "dl_type=0x86dd),ipv6(src=fd00:1::1,dst=fd00:1::2,label=0,proto=17,tclass=0x0,hlimit=64),"
    "udp(src=0,dst=4789,csum=0x0),vxlan(flags=0x8000000,vni=0x64)),out_port(br))"
)

NAT4 = "set(ipv4(src=10.9.8.7,ttl=63)),set(tcp(src=2000)),v2"

NAT6 = "set(ipv6(src=fd00::99,hlimit=63)),set(tcp(dst=81)),v2"


def flow(match: str, actions: str) -> str:
    return f"{match}, {COUNTERS}{actions}"


def composed(flows: Sequence[str], frame: bytes, port: str = "v1") -> IntegratedEntry:
    found = compose(packet_from_bytes(frame, port), Datapath(read_flows(flows, "flows")))
    assert isinstance(found, IntegratedEntry), found
    return found


def encoded(entry: IntegratedEntry, slot: int = 0, peer: int = 0) -> Encoded:
    return encode(entry, PORTS, epoch=EPOCH, lease_ns=LEASE_NS, slot=slot, peer=peer)


def tcp(flags: str = "A", version: int = 4, size: int = 20) -> bytes:
    return bytes(segment(flags, version, size))


def segment(flags: str = "A", version: int = 4, size: int = 20) -> Ether:
    network = (
        IP(src="10.0.0.1", dst="10.0.0.2")
        if version == 4
        else IPv6(src="fd00::1", dst="fd00::2", hlim=64)
    )
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    return ether / network / TCP(sport=1000, dport=80, flags=flags) / (b"x" * size)


def tunnelled(frame: bytes, version: int = 4, *, vni: int = 100, checksum: int = 0) -> bytes:
    network = (
        IP(src="1.1.2.92", dst="1.1.2.88")
        if version == 4
        else IPv6(src="fd00:1::2", dst="fd00:1::1", hlim=64)
    )
    ether = Ether(src="f8:bc:12:44:34:b6", dst="aa:55:aa:55:00:00")
    return bytes(
        ether
        / network
        / UDP(sport=40000, dport=4789, chksum=checksum)
        / VXLAN(vni=vni, flags=8)
        / frame
    )


def outer(version: int) -> str:
    name, ends = ("ipv4", "dst=1.1.2.88") if version == 4 else ("ipv6", "dst=fd00:1::1")
    kind = "0x0800" if version == 4 else "0x86dd"
    return (
        f"recirc_id(0),in_port(p0),eth_type({kind}),{name}({ends},proto=17,frag=no),udp(dst=4789)"
    )


def from_tunnel(inner: str, version: int) -> str:
    ends = "src=1.1.2.92,dst=1.1.2.88" if version == 4 else "ipv6_src=fd00:1::2,ipv6_dst=fd00:1::1"
    return f"tunnel(tun_id=0x64,{ends},flags(+key)),recirc_id(0),in_port(vx),{inner}"


ALIKE = {
    "nat": ([flow(PLAIN + V4, NAT4)], tcp(), "v1"),
    "nat ipv6": ([flow(PLAIN + V6, NAT6)], tcp(version=6), "v1"),
    "encap": ([flow(PLAIN + V4, f"{PUSH},p0")], tcp(), "v1"),
    "encap and nat": ([flow(PLAIN + V4, NAT4.replace("v2", f"{PUSH},p0"))], tcp(), "v1"),
    "encap of ipv6": ([flow(PLAIN + V6, f"{PUSH},p0")], tcp(version=6), "v1"),
    "encap in ipv6": ([flow(PLAIN + V4, f"{PUSH6},p0")], tcp(), "v1"),
    "encap of ipv6 in ipv6": ([flow(PLAIN + V6, f"{PUSH6},p0")], tcp(version=6), "v1"),
    "decap": ([flow(outer(4), "tnl_pop(vx)"), flow(from_tunnel(V4, 4), NAT4)], tunnelled(tcp()), "p0"),
    "decap of ipv6": ([flow(outer(4), "tnl_pop(vx)"), flow(from_tunnel(V6, 4), NAT6)], tunnelled(tcp(version=6)), "p0"),
    "decap from ipv6": ([flow(outer(6), "tnl_pop(vx)"), flow(from_tunnel(V4, 6), NAT4)], tunnelled(tcp(), 6), "p0"),
    "decap of ipv6 from ipv6": ([flow(outer(6), "tnl_pop(vx)"), flow(from_tunnel(V6, 6), NAT6)], tunnelled(tcp(version=6), 6), "p0"),
    "echo": (
        [flow(PLAIN + "eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=1,ttl=64,frag=no),icmp(type=8,code=0)", "set(ipv4(dst=10.0.0.9,ttl=63)),v2")],
        bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(id=5) / b"ping"), "v1",
    ),
    "echo ipv6": (
        [flow(PLAIN + "eth_type(0x86dd),ipv6(src=fd00::1,dst=fd00::2,proto=58,hlimit=64,frag=no),icmpv6(type=128,code=0)", "set(ipv6(hlimit=63)),v2")],
        bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IPv6(src="fd00::1", dst="fd00::2", hlim=64) / ICMPv6EchoRequest(id=5)), "v1",
    ),
    "udp without a checksum": (
        [flow(PLAIN + V4.replace("proto=6", "proto=17").replace("tcp(", "udp("), NAT4.replace("tcp(", "udp("))],
        bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=80, chksum=0) / b"data"), "v1",
    ),
    "udp": (
        [flow(PLAIN + V4.replace("proto=6", "proto=17").replace("tcp(", "udp("), NAT4.replace("tcp(", "udp("))],
        bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=80) / b"data"), "v1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("flows", "frame", "port"), ALIKE.values(), ids=ALIKE)
@pytest.mark.needs_root
def test_what_leaves_is_what_the_model_says(
    loaded: DataPlane, hook: str, flows: list[str], frame: bytes, port: str
) -> None:
    entry = composed(flows, frame, port)
    made = encoded(entry)
    loaded.install(*made)
    left = sent(loaded, hook, frame)
    assert (left.verdict, dict(loaded.passes())) == ("redirect", {})
    assert left.frame == transposed(entry.transposition, frame, source_port=source_port(made.key))
    counters = loaded.state(0)
    assert (counters.packets, counters.bytes, counters.used_ns) == (1, len(frame), NOW_NS)


INNER = bytes.fromhex(
    "020000000002" "020000000001" "0800"
    "4500002b" "00010000" "4006" "66ca" "0a000001" "0a000002"
    "03e80050" "00000000" "00000000" "50102000" "49d2" "0000" "010203"
)  # fmt: skip
"""ACK with three bytes of data.  The sum of the IPv4 header by hand: 4500 + 002b + 0001 + 0000 + 4006
+ 0a00 + 0001 + 0a00 + 0002 = 9935, whose complement is 66ca."""


@pytest.mark.needs_root
def test_bytes_by_hand(loaded: DataPlane, hook: str) -> None:
    """Encap of a frame of 57 bytes: Ethernet 14, IPv4 20, TCP 20, data 3."""
    entry = composed([flow(PLAIN + V4, f"{PUSH},p0")], INNER)
    made = encoded(entry)
    loaded.install(*made)
    left = sent(loaded, hook, INNER)
    port = source_port(made.key).to_bytes(2, "big")
    total = 0x4500 + 0x005D + 0x4000 + 0x4011 + 0x0101 + 0x0258 + 0x0101 + 0x025C
    checksum = (0xFFFF - total).to_bytes(2, "big")
    ip = bytes.fromhex("4500005d000040004011") + checksum + bytes.fromhex("010102580101025c")
    udp = port + bytes.fromhex("12b500490000")
    expected = (
        bytes.fromhex("f8bc124434b6aa55aa5500000800")
        + ip
        + udp
        + bytes.fromhex("0800000000006400")
        + INNER
    )
    assert (left.verdict, left.frame) == ("redirect", expected)
    assert 32768 <= source_port(made.key) < 61000


def changed(frame: bytes, at: int, new: bytes) -> bytes:
    return frame[:at] + new + frame[at + len(new) :]


UNSUMMED = bytes(Ether() / IPv6() / UDP(sport=1000, dport=80, chksum=0) / b"data")

PASSING: dict[int, list[bytes]] = {
    1: [bytes(Ether() / ARP())],
    2: [bytes(Ether() / Dot1Q(vlan=1) / Dot1Q(vlan=2) / IP() / TCP())],
    3: [tcp()[:40], changed(tcp(), 16, b"\x01\0"), changed(tcp(), 14, b"\x55"), changed(tcp(), 46, b"\xf0"), changed(tunnelled(tcp()), 39, b"\0"), tcp(version=6)[:60]],
    4: [bytes(Ether() / IP(options=b"\x01\x01\x01\x01") / TCP()), bytes(Ether() / IPv6() / IPv6ExtHdrDestOpt() / TCP())],
    5: [bytes(Ether() / IP(flags="MF") / UDP()), bytes(Ether() / IP(frag=9) / UDP()), bytes(Ether() / IPv6() / IPv6ExtHdrFragment() / TCP())],
    6: [bytes(Ether() / IP(ttl=1) / TCP()), bytes(Ether() / IPv6(hlim=1) / TCP())],
    7: [bytes(Ether() / IP(proto=132) / (b"\0" * 20)), bytes(Ether() / IP() / ICMP(type=3) / (b"\0" * 28))],
    8: [tunnelled(tcp(), checksum=0x1234), changed(tunnelled(tcp()), 42, b"\x0c"), changed(tunnelled(tcp()), 49, b"\1"), tunnelled(tcp()) + b"\0\0"],
    9: [changed(tcp(), 24, b"\0\0"), tunnelled(changed(tcp(), 24, b"\0\0")), changed(tunnelled(tcp()), 24, b"\0\0"), UNSUMMED, tunnelled(UNSUMMED), tunnelled(UNSUMMED, 6)],
    10: [bytes(Ether() / IP() / TCP(sport=1, flags="A"))],
    14: [tcp("S"), tcp("SA")],
    15: [changed(tcp(), 0, b"\x04")],
    16: [tcp(size=1461)],
}  # fmt: skip
"""Frames by why they pass, beside an entry for ``tcp()``."""


@pytest.mark.parametrize("reason", PASSING)
@pytest.mark.needs_root
def test_what_is_unsure_passes_untouched(loaded: DataPlane, hook: str, reason: int) -> None:
    loaded.install(*encoded(composed([flow(PLAIN + V4, NAT4)], tcp())))
    for frame in PASSING[reason]:
        left = sent(loaded, hook, frame)
        assert (left.verdict, left.frame) == ("pass", frame)
    assert dict(loaded.passes()) == {reason: len(PASSING[reason])}


@pytest.mark.needs_root
def test_an_old_epoch_and_an_ended_lease_pass(loaded: DataPlane, hook: str) -> None:
    made = encoded(composed([flow(PLAIN + V4, NAT4)], tcp()))
    loaded.install(*made)
    verdicts = []
    for epoch, clock in (
        (EPOCH, LEASE_NS - 1),
        (EPOCH, LEASE_NS),
        (EPOCH + 1, NOW_NS),
        (EPOCH, NOW_NS),
    ):
        loaded.control(epoch=epoch, clock_ns=clock)
        verdicts.append(sent(loaded, hook, tcp()).verdict)
    assert verdicts == ["redirect", "pass", "pass", "redirect"]
    assert dict(loaded.passes()) == {11: 1, 12: 1}
    loaded.remove(made.key)
    assert sent(loaded, hook, tcp()).verdict == "pass"


@pytest.mark.parametrize("flags", ["F", "FA", "R", "RA"])
@pytest.mark.needs_root
def test_fin_and_rst_end_both_directions_before_they_pass(
    loaded: DataPlane, hook: str, flags: str
) -> None:
    back = segment()
    back[IP].src, back[IP].dst = "10.0.0.2", "10.0.0.1"
    back[TCP].sport, back[TCP].dport = 80, 1000
    answer = bytes(back)
    turned = V4.replace("src=10.0.0.1,dst=10.0.0.2", "src=10.0.0.2,dst=10.0.0.1")
    turned = turned.replace("src=1000,dst=80", "src=80,dst=1000")
    loaded.install(*encoded(composed([flow(PLAIN + V4, "v2")], tcp()), slot=1, peer=2))
    loaded.install(*encoded(composed([flow(PLAIN + turned, "v2")], answer), slot=2, peer=1))
    assert {sent(loaded, hook, each).verdict for each in (tcp(), answer)} == {"redirect"}
    assert not loaded.state(2).closed
    assert sent(loaded, hook, tcp(flags)).verdict == "pass"
    assert [loaded.state(slot).closed for slot in (1, 2)] == [1, 1]
    assert {sent(loaded, hook, each).verdict for each in (tcp(), answer)} == {"pass"}
    assert dict(loaded.passes()) == {13: 2, 14: 1}
    loaded.clear(2)
    assert sent(loaded, hook, answer).verdict == "redirect"
    assert (loaded.state(1).packets, loaded.state(2).packets) == (1, 1)


@pytest.mark.needs_root
def test_tags_are_left_to_open_vswitch_in_tc(objects: Path) -> None:
    entry = composed([flow(PLAIN + V4, "push_vlan(vid=42,pcp=3),v2")], tcp())
    for hook, verdict, passes in (("xdp", "redirect", {}), ("tc", "pass", {18: 1})):
        with plane(hook, objects) as loaded:
            loaded.control(epoch=EPOCH, clock_ns=NOW_NS)
            loaded.install(*encoded(entry))
            left = sent(loaded, hook, tcp())
            assert (left.verdict, dict(loaded.passes())) == (verdict, passes)
            expected = tcp() if hook == "tc" else transposed(entry.transposition, tcp())
            assert left.frame == expected


@pytest.mark.needs_root
def test_gso_is_left_to_open_vswitch(objects: Path) -> None:
    """Of a guest's segments the kernel knows the size, and not how many they are."""
    with plane("tc", objects) as loaded:
        loaded.control(epoch=EPOCH, clock_ns=NOW_NS)
        loaded.install(*encoded(composed([flow(PLAIN + V4, NAT4)], tcp())))
        verdicts = [sent(loaded, "tc", tcp(), gso_size=size).verdict for size in (0, 20)]
        assert (verdicts, dict(loaded.passes())) == (["redirect", "pass"], {17: 1})


REFUSED: dict[str, tuple[list[str], bytes, str, int]] = {
    "arp": (["recirc_id(0),in_port(v1),eth_type(0x0806), " + COUNTERS + "v2"], bytes(Ether() / ARP()), "v1", 13),
    "no whole address": ([flow(PLAIN + V4.replace("src=10.0.0.1", "src=10.0.0.0/255.255.255.0"), "v2")], tcp(), "v1", 23),
    "a checksum outside": ([flow(PLAIN + V4, f"{PUSH},p0".replace("csum=0x0", "csum=0xffff"))], tcp(), "v1", 25),
    "no device": ([flow(PLAIN + V4, "patch")], tcp(), "v1", 23),
    "any tunnel's end": ([flow(outer(4).replace("dst=1.1.2.88", "dst=1.1.2.88/255.255.255.0"), "tnl_pop(vx)"), flow(from_tunnel(V4, 4).replace(",dst=1.1.2.88", ""), "v1")], tunnelled(tcp()), "p0", 23),
    "a checksum is wanted": ([flow(outer(4), "tnl_pop(vx)"), flow(from_tunnel(V4, 4).replace("+key", "+csum+key"), "v1")], tunnelled(tcp(), checksum=0x1234), "p0", 25),
    "an echo's addresses": ([flow(PLAIN + "eth_type(0x86dd),ipv6(src=fd00::1,dst=fd00::2,proto=58,frag=no),icmpv6(type=128,code=0)", "set(ipv6(dst=fd00::3)),v2")], bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IPv6(src="fd00::1", dst="fd00::2") / ICMPv6EchoRequest()), "v1", 28),
}  # fmt: skip


@pytest.mark.parametrize(("flows", "frame", "port", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_it_cannot_carry_is_refused(
    flows: list[str], frame: bytes, port: str, reason: int
) -> None:
    with pytest.raises(Refused) as refused:
        encoded(composed(flows, frame, port))
    assert refused.value.refusal.reason == reason


def flipped(chance: random.Random, frame: bytes) -> bytes:
    """Return a frame with a bit or two of its headers turned, most with right IPv4 checksums."""
    data = bytearray(frame)
    for _ in range(chance.randint(1, 2)):
        data[chance.randrange(min(len(data), 104))] ^= 1 << chance.randrange(8)
    for network in (14, 18, 64, 68):
        if chance.random() < 0.9 and data[network : network + 1] == b"\x45":
            data[network + 10 : network + 12] = b"\0\0"
            checksum = internet_checksum(bytes(data[network : network + 20]))
            data[network + 10 : network + 12] = checksum.to_bytes(2, "big")
    return bytes(data)


def drawn(chance: random.Random) -> tuple[IntegratedEntry, Encoded, bytes, bool] | None:
    """Return a random entry that the data plane can carry, a packet of it, and whether that one's TTL lets it."""
    case = random_case(chance)
    found = compose(
        Packet(in_port=case.in_port, headers=tuple(case.stack)),
        Datapath(
            read_flows(case.flows, "flows"), read_connections(case.connections, "connections")
        ),
    )
    if not isinstance(found, IntegratedEntry):
        return None
    ports = {**PORTS, "elsewhere": LOOPBACK}
    try:
        made = encode(found, ports, epoch=EPOCH, lease_ns=LEASE_NS, slot=0, peer=0)
    except Refused:
        return None
    return found, made, frame_of(case.stack), all(each["ipv4.ttl"] > 1 for each in case.stack)


def judged(entry: IntegratedEntry, made: Encoded, frame: bytes, left: Left) -> str:
    """Return what is wrong with what became of a frame; empty: nothing."""
    if left.verdict == "pass":
        return "changed and passed" if left.frame != frame else ""
    if not accepts(entry, packet_from_bytes(frame, entry.in_port)):
        return "not for the entry"
    if left.verdict == "drop":
        return "dropped" if entry.transposition.output is not None else ""
    expected = transposed(entry.transposition, frame, source_port=source_port(made.key))
    return "otherwise than the model" if left.frame != expected else ""


def tried(chance: random.Random, loaded: DataPlane, hook: str) -> Iterator[str]:
    """Yield the verdicts on a random entry's packet and on eleven that differ in a bit or two."""
    case = drawn(chance)
    if case is None:
        return
    entry, made, own, living = case
    loaded.install(*made)
    for number in range(12):
        loaded.clear(0)
        frame = flipped(chance, own) if number else own
        left = sent(loaded, hook, frame)
        problem = judged(entry, made, frame, left)
        assert not problem, f"{problem}: {frame.hex()}"
        if number == 0 and living and hook == "xdp":
            assert left.verdict != "pass", dict(loaded.passes())
        yield left.verdict
    loaded.remove(made.key)


@pytest.mark.parametrize(("flows", "frame", "port"), ALIKE.values(), ids=ALIKE)
@pytest.mark.needs_root
def test_turned_bits(
    loaded: DataPlane, hook: str, flows: list[str], frame: bytes, port: str
) -> None:
    """As with random pipelines, of IPv6, UDP and ICMP too."""
    entry, chance = composed(flows, frame, port), random.Random(1)
    made = encoded(entry)
    loaded.install(*made)
    seen: Counter[str] = Counter()
    for _ in range(300):
        turned = flipped(chance, frame)
        loaded.clear(0)
        left = sent(loaded, hook, turned)
        assert not judged(entry, made, turned, left), turned.hex()
        seen[left.verdict] += 1
    assert seen["pass"] > 50
    assert seen["redirect"] > 5


@pytest.mark.needs_root
def test_random_pipelines(loaded: DataPlane, hook: str) -> None:
    """A packet passes untouched, or leaves as the model says and is one that the entry accepts."""
    seen = Counter(
        verdict for seed in range(600) for verdict in tried(random.Random(seed), loaded, hook)
    )
    assert seen["redirect"] > 200
    assert seen["pass"] > 200
    assert seen["drop"] > 5


@pytest.mark.needs_root
@given(st.randoms(use_true_random=False))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_pipelines_whatever_is_drawn(
    loaded: DataPlane, hook: str, chance: random.Random
) -> None:
    for verdict in tried(chance, loaded, hook):
        assert verdict in ("pass", "redirect", "drop")


@pytest.mark.needs_root
@given(data=st.binary(min_size=54, max_size=200))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_pass_untouched(loaded: DataPlane, hook: str, data: bytes) -> None:
    left = sent(loaded, hook, data)
    assert (left.verdict, left.frame) == ("pass", data)


def test_every_reason_is_seen() -> None:
    """Those of the table, and others of tests of their own: 19 and 20 of test_learning."""
    assert set(PASSING) | {11, 12, 13, 17, 18, 19, 20} == set(abi.PASSES)


@pytest.fixture
def pairs() -> Iterator[Callable[[str], str]]:
    """Names of two pairs of veth: ``a0`` and ``a1``, ``b0`` and ``b1``."""
    need("ip", "ethtool")
    name = f"vb{os.getpid() % 100000}{{}}".format
    try:
        for pair in "ab":
            ends = (name(f"{pair}0"), name(f"{pair}1"))
            subprocess.run(
                ("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1]), check=True
            )
            for end in ends:
                subprocess.run(("ip", "link", "set", end, "up"), check=True)
            subprocess.run(("ethtool", "-K", ends[1], "gro", "on"), check=True, capture_output=True)
        yield name
    finally:
        for pair in "ab":
            subprocess.run(
                ("ip", "link", "del", name(f"{pair}0")), check=False, capture_output=True
            )


@pytest.mark.parametrize(("hook", "links"), [("xdp", True), ("tc", True), ("tc", False)])
@pytest.mark.needs_root
def test_a_frame_goes_from_device_to_device(
    hook: str,
    objects: Path,
    pairs: Callable[[str], str],
    links: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In at a1, through a0 with the program, out of b0 to b1; after the close it stays away."""
    if not links:
        monkeypatch.setitem(HOOKS, "tc", 999)
    come, go = (Port(socket.if_nametoindex(pairs(end)), 1500) for end in ("a0", "b0"))
    entry = composed([flow(PLAIN + V4, NAT4)], tcp())
    ports = {"v1": come, "v2": go}
    made = encode(entry, ports, epoch=EPOCH, lease_ns=LEASE_NS, slot=0, peer=0)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as far:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as near:
            far.bind((pairs("b1"), 0))
            near.bind((pairs("a1"), 0))
            far.settimeout(5)
            with plane(hook, objects) as loaded:
                loaded.control(epoch=EPOCH, clock_ns=NOW_NS)
                loaded.install(*made)
                loaded.attach(come.ifindex)
                near.send(tcp())
                while (frame := far.recv(2000))[12:14] != b"\x08\0":
                    continue
                assert frame == transposed(entry.transposition, tcp())
                with pytest.raises(NotLoaded, match="cannot be attached"):
                    loaded.attach(10**6)
                loaded.detach(come.ifindex)
                loaded.detach(come.ifindex)
                loaded.attach(come.ifindex)
            shown = subprocess.run(
                ("ip", "-d", "link", "show", pairs("a0")),
                capture_output=True,
                text=True,
                check=True,
            )
            assert "xdp" not in shown.stdout
