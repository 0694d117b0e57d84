"""The holes of a merge by "first match wins" (OVS 2.x "E2E cache"): named, and closed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from virtboost.flow.compose import accepts, compose
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.field import Part
from virtboost.flow.megaflow import Megaflow, read_flows
from virtboost.flow.packet import Packet, packet_of
from virtboost.flow.refusal import Refusal

COUNTERS = "packets:1, bytes:1, used:0.1s"

RIGHT = "in_port(v1),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.1.2.3,proto=6,tos=0,ttl=64,frag=no),tcp(src=1000,dst=8080),tcp_flags(ack)"


class Hole(NamedTuple):
    """Two megaflows, and a packet that a naive merge takes wrongly."""

    first: str
    actions: str
    second: str
    then: str
    wrong: str
    """What of the right packet is otherwise: old and new text."""


HOLES = {
    "the first mask wins": Hole(
        "ipv4(dst=10.1.2.0/255.255.255.0,frag=no)", "recirc(0x1)",
        "ipv4(dst=10.1.2.3,frag=no)", "v2", "10.1.2.3>10.1.2.9",
    ),
    "the TTL is not in the match": Hole(
        "ipv4(frag=no)", "recirc(0x1)",
        "ipv4(ttl=64,frag=no)", "set(ipv4(ttl=63)),v2", "ttl=64>ttl=32",
    ),
    "ECN bits of value zero are lost": Hole(
        "ipv4(frag=no)", "recirc(0x1)",
        "ipv4(tos=0/0x3,frag=no)", "v2", "tos=0>tos=1",
    ),
    "TCP flags of value zero are lost": Hole(
        "ipv4(proto=6,frag=no)", "recirc(0x1)",
        "ipv4(proto=6,frag=no),tcp_flags(0/0x7)", "v2", "flags(ack)>flags(syn)",
    ),
}  # fmt: skip


def flows(hole: Hole) -> list[Megaflow]:
    lines = (
        f"recirc_id(0),in_port(v1),eth_type(0x0800),{hole.first}, {COUNTERS}, actions:{hole.actions}",
        f"recirc_id(0x1),in_port(v1),eth_type(0x0800),{hole.second}, {COUNTERS}, actions:{hole.then}",
    )
    return list(read_flows(lines, "dump"))


def naive(megaflows: Sequence[Megaflow]) -> dict[str, Part]:
    """Merge matches as the E2E cache does: the first of a field, no TTL, nothing of value zero."""
    merged: dict[str, Part] = {}
    for each in megaflows:
        for name, part in each.match.items():
            number = part.value if isinstance(part.value, int) else 0
            if name not in ("ipv4.ttl", "recirc_id") and number & part.mask:
                merged.setdefault(name, part)
    return merged


def naively_accepted(merged: dict[str, Part], packet: Packet) -> bool:
    (stack,) = packet.headers
    return all(
        not (stack.get(name, 0) ^ int(part.value)) & part.mask for name, part in merged.items()
    )


@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
def test_a_packet_that_a_naive_merge_takes_wrongly_is_not_taken(hole: Hole) -> None:
    megaflows = flows(hole)
    old, new = hole.wrong.split(">")
    right, wrong = packet_of(RIGHT), packet_of(RIGHT.replace(old, new))
    entry = compose(right, Datapath(megaflows))
    assert isinstance(entry, IntegratedEntry)
    assert accepts(entry, right)
    assert naively_accepted(naive(megaflows), wrong)
    assert not accepts(entry, wrong)


def test_a_field_that_an_action_set_is_not_matched_on_the_original() -> None:
    """The first table sets the port to 80, the second wants 80: packets to 8080 have 80 by then."""
    hole = Hole(
        "ipv4(proto=6,frag=no)",
        "set(tcp(dst=80)),recirc(0x1)",
        "ipv4(proto=6,frag=no),tcp(dst=80)",
        "v2",
        "",
    )
    megaflows, right = flows(hole), packet_of(RIGHT)
    entry = compose(right, Datapath(megaflows))
    assert isinstance(entry, IntegratedEntry)
    assert not naively_accepted(naive(megaflows), right)
    assert accepts(entry, right)
    assert accepts(entry, packet_of(RIGHT.replace("8080", "9090")))
    assert [(each.name, each.value) for each in entry.transposition.rewrites] == [("tcp.dst", 80)]
    assert entry.transposition.l4_checksum_delta is None


PUSH = "tnl_push(tnl_port(vx),header(size=50,type=4,eth(dst=f8:bc:12:44:34:b6,src=aa:55:aa:55:00:00,dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=4789,csum=0x0),vxlan(flags=0x8000000,vni=0x64)),out_port(br))"


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        (f"{PUSH},push_vlan(vid=9,pcp=0),p0", 29),
        (f"{PUSH},set(eth(dst=02:00:00:00:00:09)),p0", 29),
        (f"{PUSH},{PUSH},p0", 29),
        (f"{PUSH},ct(zone=1),p0", 29),
        ("set(tunnel(tun_id=0x64,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(df|key))),eth0", 19),
    ],
)
def test_what_is_done_to_a_tunnels_header_is_not_left_out(actions: str, reason: int) -> None:
    line = f"recirc_id(0),in_port(v1),eth_type(0x0800),ipv4(frag=no), {COUNTERS}, actions:{actions}"
    found = compose(packet_of(RIGHT), Datapath(read_flows([line], "dump")))
    assert isinstance(found, Refusal)
    assert found.reason == reason


def test_the_kernels_way_to_a_tunnel() -> None:
    line = f"recirc_id(0),in_port(v1),eth_type(0x0800),ipv4(frag=no), {COUNTERS}, actions:set(tunnel(tun_id=0x64,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(df|key))),vxlan_sys_4789"
    found = compose(packet_of(RIGHT), Datapath(read_flows([line], "dump")))
    assert isinstance(found, IntegratedEntry)
    assert found.transposition.push is not None
    assert found.transposition.push.fields["tunnel.tun_id"] == 100
    assert found.transposition.push.template is None


def test_a_mark_that_the_host_may_have_set_is_not_taken_for_none() -> None:
    lines = (
        f"recirc_id(0),in_port(v1),skb_mark(0/0xff),eth_type(0x0800),ipv4(frag=no), {COUNTERS}, actions:v2",
    )
    found = compose(packet_of(RIGHT), Datapath(read_flows(lines, "dump")))
    assert isinstance(found, Refusal)
    assert (found.reason, found.detail) == (23, "skb_mark")


TWICE = (
    f"recirc_id(0),in_port(p0),eth_type(0x0800),ipv4(frag=no), {COUNTERS}, actions:tnl_pop(vx)",
    f"recirc_id(0),in_port(vx),eth_type(0x0800),ipv4(frag=no), {COUNTERS}, actions:tnl_pop(vy)",
    f"recirc_id(0),in_port(vy),eth_type(0x0800),ipv4(frag=no), {COUNTERS}, actions:v2",
)


def test_a_tunnel_in_a_tunnel_is_refused() -> None:
    """Fields of both outer headers would be guarded under one name."""
    outer = "eth_type(0x0800),ipv4(src=1.1.1.1,dst=2.2.2.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=4789),"
    tunnel = "tunnel(tun_id=0x1)"
    inner = "eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=1,dst=2)"
    packet = packet_of(f"in_port(p0),{outer}{tunnel}+ {outer}{tunnel}+ {inner}")
    found = compose(packet, Datapath(list(read_flows(TWICE, "dump"))))
    assert isinstance(found, Refusal)
    assert (found.reason, found.detail) == (
        19,
        "a second one: both outer headers would bear one name",
    )


@pytest.mark.parametrize(("tos", "said"), [(0, ""), (2, "tos=0x2,")])
def test_the_tos_of_a_tunnel_is_exact_where_a_dump_leaves_it_out(tos: int, said: str) -> None:
    """Open vSwitch marks or drops what comes with ECN's CE outside (RFC 6040), by other megaflows."""
    inner = "eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=2,ttl=64,frag=no),tcp(src=1,dst=2),tcp_flags(ack)"
    outer = "in_port(p0),eth_type(0x0800),ipv4(src=1.1.2.92,dst=1.1.2.88,proto=17,tos={},ttl=64,frag=no),udp(src=9,dst=4789),tunnel(tun_id=0x64,flags(+key))+ "
    lines = (
        f"recirc_id(0),in_port(p0),eth_type(0x0800),ipv4(dst=1.1.2.88,proto=17,frag=no),udp(dst=4789), {COUNTERS}, actions:tnl_pop(vx)",
        f"recirc_id(0),tunnel(tun_id=0x64,src=1.1.2.92,dst=1.1.2.88,{said}ttl=64/0,flags(-df-csum+key)),in_port(vx),eth_type(0x0800),ipv4(frag=no), {COUNTERS}, actions:v1",
    )
    entry = compose(packet_of(outer.format(tos) + inner), Datapath(read_flows(lines, "dump")))
    assert isinstance(entry, IntegratedEntry), entry
    for other in (0, 1, 2, 3, 0xB8):
        assert accepts(entry, packet_of(outer.format(other) + inner)) == (other == tos)
