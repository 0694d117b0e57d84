"""Dumps are read as Open vSwitch's own library reads them, and what it cannot read too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ovs.flow.kv import ParseError as TheirError
from ovs.flow.odp import ODPFlow

from support.cases import CASES
from support.pipelines import random_case
from virtboost.errors import ParseError
from virtboost.flow.connection import read_connections
from virtboost.flow.field import CT_STATE, TCP_FLAGS, TUNNEL_FLAGS, bits_of
from virtboost.flow.megaflow import Megaflow, read_flows

DUMP = (CASES / "flow" / "vxlan-ct-3.1.flows").read_text().splitlines()

CONNECTIONS = (CASES / "flow" / "vxlan-ct-3.1.connections").read_text().splitlines()

OTHERS = (
    # kernel datapath, OVS 2.9: no ufid without -m, counters first
    "recirc_id(0),in_port(2),eth(src=52:54:00:01:02:03,dst=52:54:00:04:05:06),eth_type(0x0800),ipv4(frag=no), packets:9, bytes:882, used:0.404s, actions:3",
    "recirc_id(0x5),ct_state(+est-inv+trk),ct_mark(0x1/0x1),in_port(3),eth_type(0x86dd),ipv6(src=fd00::/64,frag=no), packets:0, bytes:0, used:never, actions:ct_clear,set(eth(dst=aa:bb:cc:dd:ee:ff)),4",
    "recirc_id(0),in_port(1),eth_type(0x8100),vlan(vid=10,pcp=0),encap(eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1)), packets:1, bytes:46, used:1.004s, actions:pop_vlan,2",
    "ufid:11111111-2222-3333-4444-555555555555, recirc_id(0),tunnel(tun_id=0x5,src=1.1.1.1,dst=2.2.2.2,ttl=64/0,geneve({class=0x102,type=0x80,len=4,0x10002}),flags(-df+csum+key)),in_port(genev_sys_6081),eth_type(0x0800),ipv4(src=10.0.0.0/255.255.255.0,proto=17,frag=no),udp(dst=53), packets:7, bytes:700, used:2.5s, offloaded:yes, dp:tc, actions:userspace(pid=1,slow_path(controller))",
    "recirc_id(0),in_port(1),eth_type(0x0800),ipv4(frag=no), packets:0, bytes:0, used:never, actions:sample(sample=10.0%,actions(userspace(pid=5,sFlow(vid=0,pcp=0,output=2)))),check_pkt_len(size=1500,gt(drop),le(2))",
)


def flow(text: str) -> Megaflow:
    (found,) = read_flows([text], "dump")
    return found


def theirs(match: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in match.items():
        if isinstance(value, dict):
            yield from theirs(value, f"{name}.")
        else:
            yield f"{prefix}{name}", value


def number(name: str, value: Any) -> tuple[int | str, int]:
    """Return value and mask of what their library found."""
    full = (1 << bits_of(name)) - 1
    if hasattr(value, "_ipnet"):
        net = value._ipnet  # None: a mask that is no prefix
        return (
            (int(value._ip), int(value._mask)) if net is None else (int(net.ip), int(net.netmask))
        )
    if hasattr(value, "_eth"):
        return int(value._eth), full if value._mask is None else int(value._mask)
    if hasattr(value, "value"):
        return int(value.value), int(value.mask)
    if name == "in_port":
        return str(value), full
    if isinstance(value, int):
        return value, full
    return spelled(name, str(value), full)


def spelled(name: str, text: str, full: int) -> tuple[int | str, int]:
    """Return what it leaves as text: flags, by hand."""
    if name.endswith(".frag"):
        return {"no": 0, "first": 1, "later": 2}[text], full
    if text[0].isdigit():
        number_text, _, mask = text.partition("/")
        return int(number_text, 0), int(mask, 0) if mask else full
    bits = TUNNEL_FLAGS if name.startswith("tunnel") else CT_STATE | TCP_FLAGS
    words = text.replace("-", " -").replace("+", " +").split()
    value = sum(bits[word[1:]] for word in words if word[0] == "+")
    return value, sum(bits[word[1:]] for word in words)


READABLE = [text for text in DUMP if "actions:" in text and "tnl_pop" not in text]
"""Of ``tnl_pop`` their library wants the number of the port, where ``-m`` has its name."""


@pytest.mark.parametrize("text", [*READABLE, *OTHERS[:2]])
def test_match_and_counters_are_those_of_their_library(text: str) -> None:
    ours, expected = flow(text), ODPFlow(text)
    match = {part.name: (part.value, part.mask) for part in ours.match.values()}
    for name, value in theirs(expected.match):
        assert match[name] == number(name, value), name
    assert match.keys() - {name for name, _ in theirs(expected.match)} <= {"vlan.tpid"}
    assert (ours.packets, ours.bytes) == (expected.info["packets"], expected.info["bytes"])
    assert len(ours.actions) == len(expected.actions)


def test_random_pipelines_are_read_alike() -> None:
    """Of a tag their library has the outer type; ours is behind it, and the tag's is ``vlan.tpid``."""
    lines = [line for seed in range(150) for line in random_case(random.Random(seed)).flows]
    compared = 0
    for line in lines:
        if "tnl_pop" in line or "encap" in line or "userspace" in line:
            continue
        match = {part.name: (part.value, part.mask) for part in flow(line).match.values()}
        expected = dict(theirs(ODPFlow(line).match))
        assert {name: match[name] for name in expected} == {
            name: number(name, value) for name, value in expected.items()
        }
        compared += 1
    assert compared > 200


def test_a_tag_and_what_is_behind_it() -> None:
    match = flow(OTHERS[2]).match
    assert (match["vlan.tpid"].value, match["vlan.vid"].value) == (0x8100, 10)
    assert (match["eth_type"].value, match["arp.op"].value) == (0x0806, 1)


def test_a_geneve_option_and_where_it_stands() -> None:
    found = flow(OTHERS[3])
    assert found.match["tunnel.geneve"].value == "{class=0x102,type=0x80,len=4,0x10002}"
    assert found.where("tunnel.geneve").column == OTHERS[3].index("tunnel") + 1
    assert found.where("ipv4.src").column == OTHERS[3].index("ipv4") + 1
    assert found.more == "offloaded:yes, dp:tc"


def test_actions_within_actions() -> None:
    sample, check = flow(OTHERS[4]).actions
    assert (sample.name, check.name) == ("sample", "check_pkt_len")
    assert check.argument == "size=1500,gt(drop),le(2)"


def test_what_their_library_cannot_read() -> None:
    """OVS 3.1 prints the ports of ``ct_tuple6`` as ``src_port``; ``tp_src`` is what it expects."""
    text = OTHERS[1].replace(
        "ct_mark", "ct_tuple6(src=fd00::1,dst=fd00::2,proto=6,src_port=1,dst_port=80/0),ct_mark"
    )
    with pytest.raises(TheirError, match="src_port"):
        ODPFlow(text)
    assert flow(text).match["ct_tuple6.src_port"].value == 1


BROKEN = {
    "half a line": (DUMP[1][:200], "no packets:", 201),
    "cut in the actions": (DUMP[1].split(", bytes")[0], "no actions:", None),
    "a field of a newer kernel": ("recirc_id(0),key32(00 01/00 ff), packets:1, bytes:1, used:never, actions:1", "unknown match field 'key32'", 14),
    "a field of a newer version": ("recirc_id(0),warp(9), packets:1, bytes:1, used:never, actions:1", "unknown match field 'warp'", 14),
    "an action of a newer version": ("recirc_id(0), packets:1, bytes:1, used:never, actions:1,warp(9)", "unknown action 'warp'", 57),
    "a number that is none": ("recirc_id(0),ipv4(src=10.0.0.1,ttl=many), packets:1, bytes:1, used:never, actions:1", "ipv4.ttl: not a number", 32),
    "an address that is none": ("recirc_id(0),ipv4(src=10.0.0.900), packets:1, bytes:1, used:never, actions:1", "not an address", 19),
    "too many bits": ("recirc_id(0),ipv4(ttl=999), packets:1, bytes:1, used:never, actions:1", "more than 8 bits", 19),
    "a parenthesis is missing": ("recirc_id(0),ipv4(ttl=9, packets:1, bytes:1, used:never, actions:1", "not an item", 14),
    "rubbish": ("\x00\x7f\x1b[2J", "no packets:", None),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem", "column"), BROKEN.values(), ids=BROKEN)
def test_an_error_points_at_its_place(text: str, problem: str, column: int | None) -> None:
    with pytest.raises(ParseError, match=r"^dump:1:") as raised:
        flow(text)
    assert problem in str(raised.value)
    if column is not None:
        assert str(raised.value).startswith(f"dump:1:{column}:")


def test_the_rest_of_a_broken_dump() -> None:
    broken: list[ParseError] = []
    lines = [DUMP[1], DUMP[2][:99], "rubbish", DUMP[3]]
    found = list(read_flows(lines, "dump", broken=broken))
    assert [each.place.line for each in found] == [1, 4]
    assert [str(each).split(":")[1] for each in broken] == ["2", "3"]


@given(st.data())
def test_no_text_does_more_than_be_refused(data: st.DataObject) -> None:
    line = data.draw(st.sampled_from([*DUMP[1:], *OTHERS, *CONNECTIONS]))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(line))] * 2)))
    text = line[:start] + data.draw(st.text(max_size=4)) + line[end:]
    broken: list[ParseError] = []
    list(read_flows([text], "dump", broken=broken))
    list(read_connections([text], "dump", broken=broken))
    assert all("dump:1:" in str(each) for each in broken)


def test_connections() -> None:
    (found,) = read_connections(CONNECTIONS, "dump")
    assert str(found.original) == "tcp 10.0.0.1:1000 -> 10.0.0.2:80"
    assert found.reply == found.original.turned
    assert (found.zone, found.timeout_s) == (7, 86399)
    assert found.tcp_states == ("ESTABLISHED", "ESTABLISHED")


def test_a_field_of_a_newer_kernel_that_nothing_is_about() -> None:
    """As Linux 6.1 tells it of IPv6 extension headers, and Open vSwitch 3.1 passes it on."""
    line = "recirc_id(0),eth_type(0x86dd),ipv6(frag=no),key32(00 00/00 00), packets:0, bytes:0, used:never, actions:2"
    assert {part.name for part in flow(line).match.values() if part.mask} == {
        *("recirc_id", "eth_type", "ipv6.frag", "vlan.tpid"),
    }


def test_a_connection_of_the_kernel() -> None:
    text = "udp,orig=(src=fd00::1,dst=fd00::2,sport=5,dport=53),reply=(src=fd00::2,dst=fd00::9,sport=53,dport=5),id=77,zone=3,status=SEEN_REPLY|CONFIRMED|SRC_NAT_DONE,timeout=170,mark=0x5,labels=0x1f,helper=tftp"
    (found,) = read_connections([text], "dump")
    assert found.status == {"SEEN_REPLY", "CONFIRMED", "SRC_NAT_DONE"}
    assert (found.mark, found.label, found.helper) == (5, 31, "tftp")
    assert str(found.reply) == "udp [fd00::2]:53 -> [fd00::9]:5"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("quic,orig=()", "not a connection"),
        ("tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2)", "no reply="),
        ("tcp,orig=(src=10.0.0.1,dst=fd00::1),reply=(src=10.0.0.2,dst=10.0.0.1)", "two versions"),
        (CONNECTIONS[0].replace("ESTABLISHED", "WARPED"), "no state of TCP"),
        (CONNECTIONS[0][:80], "parenthesis is missing"),
    ],
)
def test_what_is_no_connection(text: str, problem: str) -> None:
    with pytest.raises(ParseError, match=problem):
        list(read_connections([text], "dump"))
