"""Rules of a NIC beside what tc-flower(8) and its actions say, and what does not fit."""

from __future__ import annotations

import pytest

from support.cases import CASES
from virtboost.flow.compose import compose
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.explain import both_of
from virtboost.flow.megaflow import read_flows
from virtboost.flow.nic import NICS
from virtboost.flow.offload import OffloadedEntry, offload, offloaded
from virtboost.flow.packet import packet_of

NIC = NICS["connectx-5"]

PACKET = "in_port(v1),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=1,dst=2),tcp_flags(ack)"


def rule(match: str, actions: str, packet: str = PACKET) -> OffloadedEntry:
    line = f"recirc_id(0),in_port(v1),{match}, packets:1, bytes:1, used:1s, actions:{actions}"
    entry = compose(packet_of(packet), Datapath(read_flows([line], "flows")))
    assert isinstance(entry, IntegratedEntry), entry
    return offloaded(entry, NIC)


def test_both_directions_of_a_tunnel_with_conntrack() -> None:
    folder = CASES / "flow"
    datapath = Datapath(
        read_flows((folder / "vxlan-ct-3.1.flows").read_text().splitlines(), "flows"),
        read_connections((folder / "vxlan-ct-3.1.connections").read_text().splitlines(), "ct"),
    )
    told = offload([both_of(each, datapath) for each in datapath.connections], 1, NIC)
    assert (told.connections, told.fitting) == (1, 1)
    out, back = (each.command or "" for each in told.entries)
    assert out.startswith("tc filter add dev v1 ingress protocol ip flower skip_sw ip_proto tcp ")
    assert " tcp_flags 0x10/0x17 " in out
    assert out.endswith(
        " action tunnel_key set id 100 src_ip 1.1.2.88 dst_ip 1.1.2.92 dst_port 4789 tos 0 ttl 64"
        " nocsum pipe action mirred egress redirect dev vxlan_sys_4789"
    )
    assert " dev vxlan_sys_4789 ingress " in back
    assert " enc_key_id 100 " in back
    assert " ct" not in out + back
    assert back.endswith(
        " action tunnel_key unset pipe action pedit ex munge eth src set 02:00:00:00:00:01"
        " munge ip ttl set 63 pipe action csum ip4h pipe action mirred egress redirect dev v1"
    )


def test_masks_in_the_words_of_flower() -> None:
    told = rule(
        "eth(dst=01:00:00:00:00:00/01:00:00:00:00:00),eth_type(0x0800),ipv4(dst=10.0.0.0/255.255.0.0,tos=0/0x3,frag=no)",
        "v2",
        PACKET.replace("eth_type", "eth(dst=01:00:5e:00:00:01),eth_type"),
    )
    assert told.command is not None
    assert "dst_mac 01:00:00:00:00:00/01:00:00:00:00:00" in told.command
    assert "dst_ip 10.0.0.0/16" in told.command
    assert "ip_tos 0/0x3" in told.command


def test_a_tag() -> None:
    pushed = rule("eth_type(0x0800),ipv4(frag=no)", "push_vlan(vid=42,pcp=3),v2").command or ""
    assert "action vlan push protocol 802.1Q id 42 priority 3 pipe" in pushed
    popped = rule(
        "eth_type(0x8100),vlan(vid=42,pcp=0/0),encap(eth_type(0x0800),ipv4(frag=no))",
        "pop_vlan,v2",
        "in_port(v1),eth_type(0x8100),vlan(vid=42,pcp=0),encap(eth_type(0x0800),ipv4(frag=no))",
    )
    assert popped.command is not None
    assert "protocol 802.1Q flower skip_sw vlan_ethtype ip" in popped.command
    assert "vlan_id 42" in popped.command
    assert "action vlan pop pipe" in popped.command


def test_a_drop() -> None:
    assert (rule("eth_type(0x0800),ipv4(frag=no)", "drop").command or "").endswith("action drop")


@pytest.mark.parametrize(
    ("match", "actions", "reason"),
    [
        ("eth_type(0x0800),ipv4(dst=10.0.0.2/255.0.0.255,frag=no)", "v2", "by prefix"),
        ("eth_type(0x0800),ipv4(frag=no)", "set(ipv4(tos=0x1/0x3)),v2", "cannot rewrite ipv4.tos"),
        ("eth_type(0x0800),ipv4(frag=no)", "set(arp(op=2)),v2", "cannot rewrite arp.op"),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_why(match: str, actions: str, reason: str) -> None:
    told = rule(match, actions)
    assert told.command is None
    assert any(reason in each for each in told.reasons), told.reasons


def test_a_kernel_datapath_decapsulates_at_the_tunnels_device() -> None:
    folder = CASES / "flow"
    datapath = Datapath(
        read_flows((folder / "vxlan-ct-kernel.flows").read_text().splitlines(), "flows"),
        read_connections((folder / "vxlan-ct-3.1.connections").read_text().splitlines(), "ct"),
    )
    told = offload([both_of(each, datapath) for each in datapath.connections], 1, NIC)
    out, back = (each.command or "" for each in told.entries)
    assert out.endswith("nocsum pipe action mirred egress redirect dev vxlan_sys_4789")
    assert back.startswith("tc filter add dev vxlan_sys_4789 ingress ")
    assert back.endswith(
        "enc_key_id 100 action tunnel_key unset pipe action mirred egress redirect dev tap1"
    )
