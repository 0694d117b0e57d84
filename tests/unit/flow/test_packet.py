"""Packets as people write them, in both syntaxes, and as they are on the wire."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether

from support.pipeline import over_vxlan, segment
from virtboost.errors import InputError
from virtboost.flow.packet import packet_from_bytes, packet_of


@pytest.mark.parametrize(
    ("openflow", "odp"),
    [
        (
            "in_port=v1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1000,tp_dst=80,nw_ttl=64",
            "in_port(v1),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,ttl=64),tcp(src=1000,dst=80)",
        ),
        (
            "in_port=v1,udp6,ipv6_src=fd00::1,ipv6_dst=fd00::2,tp_dst=53,nw_ttl=9",
            "in_port(v1),eth_type(0x86dd),ipv6(src=fd00::1,dst=fd00::2,proto=17,hlimit=9),udp(dst=53)",
        ),
        (
            "in_port=v1,dl_src=50:54:00:00:00:01,dl_vlan=42,dl_vlan_pcp=3,ip",
            "in_port(v1),eth(src=50:54:00:00:00:01),eth_type(0x8100),vlan(vid=42,pcp=3,cfi=1),encap(eth_type(0x0800))",
        ),
        (
            "in_port=vxlan_sys_4789,tun_id=0x64,tun_src=1.1.2.92,tcp,tcp_flags=+ack",
            "tunnel(tun_id=0x64,src=1.1.2.92),in_port(vxlan_sys_4789),eth_type(0x0800),ipv4(proto=6),tcp_flags(+ack)",
        ),
    ],
)  # fmt: skip
def test_both_syntaxes_mean_the_same(openflow: str, odp: str) -> None:
    assert packet_of(openflow) == packet_of(odp)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("in_port=v1,quic", "column 12: unknown protocol 'quic'"),
        ("in_port=v1,tp_dst=80", "unknown field 'tp_dst', or not of this protocol"),
        ("in_port=v1,tcp,nw_src=10.0.0.900", "not an address"),
        ("tcp", "needs an in_port"),
        ("in_port(v1),ipv4(ttl=900)", "more than 8 bits"),
        ("in_port(v1),ipv4(ttl=9", "not an item"),
    ],
)
def test_what_is_neither(text: str, problem: str) -> None:
    with pytest.raises(InputError, match="packet: ") as raised:
        packet_of(text)
    assert problem in str(raised.value)


def test_a_frame_in_a_tunnel() -> None:
    found = packet_from_bytes(bytes(over_vxlan(segment("A", reply=True))), "p0")
    outer, inner = found.headers
    assert (outer["udp.dst"], outer["tunnel.tun_id"]) == (4789, 100)
    assert (inner["tcp.src"], inner["tcp_flags"], inner["ipv4.ttl"]) == (80, 0x10, 64)


def test_a_tag_and_a_fragment() -> None:
    frame = Ether() / Dot1Q(vlan=42, prio=3) / IP(src="1.1.1.1", dst="2.2.2.2", frag=9) / TCP()
    (found,) = packet_from_bytes(bytes(frame), "v1").headers
    assert (found["vlan.vid"], found["vlan.pcp"], found["eth_type"]) == (42, 3, 0x0800)
    assert found["ipv4.frag"] == 2
    assert "tcp.src" not in found


def test_half_a_frame() -> None:
    with pytest.raises(InputError, match="packet of 20 bytes: too short"):
        packet_from_bytes(bytes(segment("A", reply=False))[:20], "v1")
