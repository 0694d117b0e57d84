"""The answer that the other direction's entry is made for has the tag that the packet left with."""

from __future__ import annotations

import pytest

from virtboost.flow.compose import compose_both
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import packet_of

IP = "eth_type(0x0800),ipv4(frag=no)"

TAGGED = "eth_type(0x8100),vlan(vid=4094,pcp=0/0x0),encap(eth_type(0x0800),ipv4(frag=no))"
"""As Open vSwitch 3.1 spells what it made of a tagged packet, without rules for tags."""

CONNECTION = (
    "udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1000,dport=53),"
    "reply=(src=10.0.0.2,dst=10.0.0.1,sport=53,dport=1000),zone=7,status=SEEN_REPLY,timeout=29"
)

PACKET = "in_port(v1),{},ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,frag=no),udp(src=1000,dst=53){}"


def datapath(*kinds: str, there: str = "v2", back: str = "v1") -> Datapath:
    lines = []
    for port, to in (("v1", there), ("v2", back)):
        for kind in kinds:
            lines += [
                f"recirc_id(0),in_port({port}),{kind}, packets:1, bytes:1, used:1s, "
                "actions:ct(zone=7),recirc(0x1)",
                f"ct_state(0x22/0x22),recirc_id(0x1),in_port({port}),{kind}, packets:1, bytes:1, "
                f"used:1s, actions:{to}",
            ]
    return Datapath(read_flows(lines, "flows"), read_connections([CONNECTION], "connections"))


@pytest.mark.parametrize("order", [(IP, TAGGED), (TAGGED, IP)])
@pytest.mark.parametrize(
    ("kind", "end", "tag"),
    [("eth_type(0x0800)", "", 0), ("eth_type(0x8100),vlan(vid=4094,pcp=0),encap(eth_type(0x0800)", ")", 0x8100)],
)  # fmt: skip
def test_a_tag_stays(order: tuple[str, str], kind: str, end: str, tag: int) -> None:
    """Also where the datapath has megaflows of both kinds, in any order."""
    both = compose_both(packet_of(PACKET.format(kind, end)), datapath(*order))
    assert isinstance(both.reverse, IntegratedEntry), both.reverse
    assert {p.name: p.value for p in both.reverse.match}["vlan.tpid"] == tag


@pytest.mark.parametrize(
    ("kind", "end", "there", "back", "tag"),
    [
        ("eth_type(0x0800)", "", "push_vlan(vid=4094,pcp=0),v2", "pop_vlan,v1", 0x8100),
        ("eth_type(0x8100),vlan(vid=4094,pcp=0),encap(eth_type(0x0800)", ")", "pop_vlan,v2",
         "push_vlan(vid=4094,pcp=0),v1", 0),
    ],
)  # fmt: skip
def test_a_tag_comes_and_goes(kind: str, end: str, there: str, back: str, tag: int) -> None:
    both = compose_both(
        packet_of(PACKET.format(kind, end)), datapath(IP, TAGGED, there=there, back=back)
    )
    assert isinstance(both.reverse, IntegratedEntry), both.reverse
    assert {p.name: p.value for p in both.reverse.match}["vlan.tpid"] == tag
