"""Entries composed from a real ovs-vswitchd's dumps, beside the frames that it sends itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from support import bpf
from support.pipeline import (
    CLIENT,
    SERVER,
    Pipeline,
    over_vxlan,
    pipeline,
    segment,
    veth_bridge,
)
from virtboost.flow.compose import accepts, compose, compose_both
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.encode import encode
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import packet_from_bytes
from virtboost.flow.refusal import Refusal, Refused
from virtboost.flow.transpose import transposed

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("ovs")]

MAC = "02:00:00:00:00:01"

NETDEV = "netdev@ovs-netdev"


@pytest.fixture(scope="module")
def switch(ovs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with pipeline(tmp_path_factory.mktemp("pipeline")) as made:
        yield made


def dumped(switch: Pipeline) -> Datapath:
    return Datapath(
        read_flows(switch.flows(), "dump-flows"),
        read_connections(switch.connections(), "dump-conntrack"),
    )


def as_sent(frame: bytes, like: bytes, moved_by: IntegratedEntry) -> bytes:
    """Return a frame with the outer source port of another: each datapath hashes its own."""
    if moved_by.transposition.push is None:
        return frame
    return frame[:34] + like[34:36] + frame[36:]


def plain(frame: Packet) -> Packet:
    return frame


class Case(NamedTuple):
    """Rules between a client at ``v1`` and a server somewhere."""

    rules: tuple[str, ...]
    port: str
    """Where the server's frames come in."""
    wrapped: Callable[[Packet], Packet] = plain
    """What is around them."""
    version: int = 4
    translated: str | None = None
    """The client's address as the server sees it."""
    lookups: tuple[int, int] = (3, 3)
    """Megaflows and connections of each direction."""


def tagged(frame: Packet) -> Packet:
    return Ether(src=frame.src, dst=frame.dst) / Dot1Q(vlan=42, prio=3) / frame.payload


TUNNEL = (
    "priority=100,ip,ct_state=-trk,actions=ct(table=1,zone=7)",
    "table=1,ct_state=+new+trk,ip,in_port=1,actions=ct(commit,zone=7),output:3",
    "table=1,ct_state=+est+trk,ip,in_port=1,actions=output:3",
    f"table=1,ct_state=+est+trk,ip,in_port=3,actions=dec_ttl,mod_dl_src:{MAC},output:1",
)

NAT = (
    "priority=100,ip,in_port=1,ct_state=-trk,actions=ct(table=1,zone=7,nat)",
    "priority=100,ip,in_port=3,ct_state=-trk,actions=ct(table=3,zone=9)",
    "table=1,ct_state=+new+trk,ip,actions=ct(commit,zone=7,nat(src=10.0.0.50),exec(load:5->NXM_NX_CT_MARK[])),ct(table=2,zone=9)",
    "table=1,ct_state=+est+trk,ct_mark=5,ip,actions=ct(table=2,zone=9)",
    "table=2,ct_state=+new+trk,ip,actions=ct(commit,zone=9),output:3",
    f"table=2,ct_state=+est+trk,tcp,nw_src=10.0.0.50,actions=dec_ttl,mod_dl_src:{MAC},output:3",
    "table=3,ct_state=+est+trk,ip,actions=ct(table=4,zone=7,nat)",
    f"table=4,ct_state=+est+trk,ip,nw_dst=10.0.0.1,actions=dec_ttl,mod_dl_dst:{CLIENT},output:1",
)

VLAN = (
    "priority=100,tcp,ct_state=-trk,actions=ct(table=1,zone=7)",
    "table=1,ct_state=+new+trk,tcp,in_port=1,actions=ct(commit,zone=7),push_vlan:0x8100,set_field:4138->vlan_vid,set_field:3->vlan_pcp,output:2",
    "table=1,ct_state=+est+trk,tcp,in_port=1,actions=push_vlan:0x8100,set_field:4138->vlan_vid,set_field:3->vlan_pcp,output:2",
    "table=1,ct_state=+est+trk,tcp,in_port=2,dl_vlan=42,actions=pop_vlan,output:1",
)

IPV6 = tuple(rule.replace("ip,", "ipv6,") for rule in TUNNEL)

CASES = {
    "vxlan": Case(TUNNEL, "p0", over_vxlan, lookups=(3, 4)),
    "vxlan with a checksum": Case(
        TUNNEL, "p0", lambda f: over_vxlan(f, checksum=None), lookups=(3, 4)
    ),
    "nat and two zones": Case(NAT, "p0", over_vxlan, translated="10.0.0.50", lookups=(5, 6)),
    "vlan": Case(VLAN, "v2", tagged),
    "ipv6": Case(IPV6, "p0", over_vxlan, version=6, lookups=(3, 4)),
}


def conversation(switch: Pipeline, case: Case) -> tuple[Packet, Packet]:
    """Open a connection and send data both ways; return frames that come next."""

    def client(flags: str, seq: int, ack: int, data: bytes = b"") -> Packet:
        return segment(flags, reply=False, seq=seq, ack=ack, data=data, version=case.version)

    def server(flags: str, seq: int, ack: int, data: bytes = b"") -> Packet:
        frame = segment(flags, reply=True, seq=seq, ack=ack, data=data, version=case.version)
        if case.translated is not None:
            frame[IP].dst = case.translated
        return case.wrapped(frame)

    switch.rules(case.rules)
    assert switch.send("v1", client("S", 1, 0))
    assert switch.send(case.port, server("SA", 100, 2))
    assert switch.send("v1", client("A", 2, 101))
    assert switch.send(case.port, server("A", 101, 2))
    return client("A", 2, 101, b"question"), server("A", 101, 10, b"answer!")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_leaves_is_what_open_vswitch_sends(switch: Pipeline, case: Case) -> None:
    """Byte for byte, the outer source port of UDP aside."""
    asked, answered = conversation(switch, case)
    for frame, port, lookups in (
        (asked, "v1", case.lookups[0]),
        (answered, case.port, case.lookups[1]),
    ):
        datapath = dumped(switch)
        packet = packet_from_bytes(bytes(frame), port)
        entry = compose(packet, datapath)
        assert isinstance(entry, IntegratedEntry), entry
        assert accepts(entry, packet)
        assert entry.lookups == lookups
        ((left_by, native),) = switch.send(port, frame)
        ours = transposed(entry.transposition, bytes(frame))
        assert entry.transposition.output == left_by
        assert as_sent(ours, native, entry) == native


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data plane's objects as they ship."""
    folder = tmp_path_factory.mktemp("bpf")
    bpf.build(folder)
    return folder


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_data_plane_sends_what_open_vswitch_sends(
    switch: Pipeline, case: Case, hook: str, objects: Path
) -> None:
    """Byte for byte, outer source ports aside; what it cannot do is refused or passes untouched."""
    asked, answered = conversation(switch, case)
    verdicts = []
    with bpf.plane(hook, objects) as plane:
        plane.control(epoch=1)
        for frame, port in ((asked, "v1"), (answered, case.port)):
            entry = compose(packet_from_bytes(bytes(frame), port), dumped(switch))
            assert isinstance(entry, IntegratedEntry), entry
            ((_, native),) = switch.send(port, frame)
            end_ns = time.monotonic_ns() + 60 * 10**9
            try:
                made = encode(entry, bpf.PORTS, epoch=1, lease_ns=end_ns, slot=0, peer=0)
            except Refused as refused:
                verdicts.append(f"R{refused.refusal.reason}")
                continue
            plane.install(*made)
            left = bpf.sent(plane, hook, bytes(frame))
            verdicts.append(left.verdict)
            ours = as_sent(left.frame, native, entry)
            assert ours == (native if left.verdict == "redirect" else bytes(frame))
    expected = {"vxlan with a checksum": ["redirect", "R25"]}
    if hook == "tc":
        expected["vlan"] = ["pass", "pass"]
    assert verdicts == expected.get(case_name(case), ["redirect", "redirect"])


def case_name(case: Case) -> str:
    return next(name for name, each in CASES.items() if each is case)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_directions_are_found_from_one(switch: Pipeline, case: Case) -> None:
    asked, answered = conversation(switch, case)
    datapath = dumped(switch)
    for frame, port in ((asked, "v1"), (answered, case.port)):
        both = compose_both(packet_from_bytes(bytes(frame), port), datapath)
        assert both.installable, both


def test_arp_has_no_connection_and_needs_no_other_direction(switch: Pipeline) -> None:
    switch.rules(("arp,in_port=1,actions=output:3",))
    frame = Ether(src=CLIENT, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=1, hwsrc=CLIENT, psrc="10.0.0.1", pdst="10.0.0.2"
    )
    assert switch.send("v1", frame)
    both = compose_both(packet_from_bytes(bytes(frame), "v1"), dumped(switch))
    assert both.installable
    assert isinstance(both.forward, IntegratedEntry)
    ((_, native),) = switch.send("v1", frame)
    ours = transposed(both.forward.transposition, bytes(frame))
    assert as_sent(ours, native, both.forward) == native


def test_a_neighbour_solicitation(switch: Pipeline) -> None:
    switch.rules(("icmp6,icmp_type=135,in_port=1,actions=output:3",))
    solicited = Ether(src=CLIENT, dst="33:33:ff:00:00:02") / IPv6(
        src="fd00::1", dst="ff02::1:ff00:2"
    )
    frame = solicited / ICMPv6ND_NS(tgt="fd00::2") / ICMPv6NDOptSrcLLAddr(lladdr=CLIENT)
    assert switch.send("v1", frame)
    entry = compose(packet_from_bytes(bytes(frame), "v1"), dumped(switch))
    assert isinstance(entry, IntegratedEntry), entry
    ((_, native),) = switch.send("v1", frame)
    assert as_sent(transposed(entry.transposition, bytes(frame)), native, entry) == native


def test_ports_of_the_kernel(ovs: None) -> None:
    """AF_PACKET: frames through two real veth pairs, with NAT, beside what the entry does."""
    with veth_bridge() as bridge:
        bridge.rules(
            (
                "priority=9,ip,in_port=1,ct_state=-trk,actions=ct(table=1,zone=3,nat)",
                "priority=9,ip,in_port=2,ct_state=-trk,actions=ct(table=1,zone=3,nat)",
                "table=1,ct_state=+new,ip,in_port=1,actions=ct(commit,zone=3,nat(src=10.0.0.77)),output:2",
                "table=1,ct_state=+est,ip,in_port=1,actions=dec_ttl,output:2",
                "table=1,ct_state=+est,ip,in_port=2,actions=dec_ttl,output:1",
            )
        )
        answer = segment("SA", reply=True, seq=100, ack=2)
        answer[IP].dst = "10.0.0.77"
        bridge.pass_on(1, bytes(segment("S", reply=False, seq=1)))
        bridge.pass_on(2, bytes(answer))
        bridge.pass_on(1, bytes(segment("A", reply=False, seq=2, ack=101)))
        frame = bytes(segment("A", reply=False, seq=2, ack=101, data=b"through the kernel"))
        datapath = Datapath(
            read_flows(bridge.ask("dpctl/dump-flows", "-m", NETDEV), "flows"),
            read_connections(bridge.ask("dpctl/dump-conntrack", "-m", "-s", NETDEV), "connections"),
        )
        entry = compose(packet_from_bytes(frame, bridge.port(1)), datapath)
        assert isinstance(entry, IntegratedEntry), entry
        native = bridge.pass_on(1, frame)
        assert transposed(entry.transposition, frame) == native
        assert entry.transposition.output == bridge.port(2)


REFUSED = {
    "syn": (TUNNEL, segment("S", reply=False), 24),
    "no ACK": (TUNNEL, segment("P", reply=False), 24),
    "half open": (TUNNEL, segment("A", reply=False, seq=2), 12),
    "two ports": (("in_port=1,actions=output:2,output:3",), segment("A", reply=False), 9),
    "controller": (("in_port=1,actions=controller,output:2",), segment("A", reply=False), 4),
    "icmp": (("in_port=1,ip,actions=ct(zone=7),output:2",), Ether(src=CLIENT, dst=SERVER) / IP(src="10.0.0.1", dst="10.0.0.2", proto=1) / b"\x08\0\xf7\xff\0\0\0\0", 13),
    "fragment": (("in_port=1,ip,actions=ct(zone=7),output:2",), Ether(src=CLIENT, dst=SERVER) / IP(src="10.0.0.1", dst="10.0.0.2", flags="MF") / TCP(sport=1000, dport=80, flags="A"), 17),
    "cut": (("in_port=1,actions=output(port=2,max_len=100)",), segment("A", reply=False), 7),
}  # fmt: skip


@pytest.mark.parametrize(("rules", "frame", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_exact_is_refused(
    switch: Pipeline, rules: tuple[str, ...], frame: Packet, reason: int
) -> None:
    switch.rules(rules)
    if reason == 12:
        switch.send("v1", segment("S", reply=False))
    switch.settle("v1", frame)
    found = compose(packet_from_bytes(bytes(frame), "v1"), dumped(switch))
    assert isinstance(found, Refusal)
    assert found.reason == reason, str(found)


def test_the_dump_of_a_running_switch_is_read_whole(switch: Pipeline, tmp_path: Path) -> None:
    conversation(switch, CASES["nat and two zones"])
    text = switch.flows()
    flows = list(read_flows(text, "dump-flows"))
    assert len(flows) == sum("actions:" in line for line in text)
    assert [flow.text for flow in flows] == [line for line in text if "actions:" in line]
