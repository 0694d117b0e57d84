"""The way of a tunnel of the kernel's datapath: read, put around an entry, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from support.pipeline import HERE, HERE_MAC, THERE, THERE_MAC, over_vxlan, segment
from virtboost.errors import ParseError
from virtboost.flow.compose import accepts, compose
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import IntegratedEntry, Push, Transposition
from virtboost.flow.field import mac
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import Packet, packet_from_bytes
from virtboost.flow.refusal import Refused
from virtboost.flow.transpose import transposed
from virtboost.flow.underlay import (
    Underlay,
    far_end,
    inside,
    on_the_wire,
    questions,
    read_underlay,
    require_bytes,
)

WAY = Underlay(
    device="up0",
    address=mac(HERE_MAC),
    neighbour=mac(THERE_MAC),
    here=ip_address(HERE),
    there=ip_address(THERE),
)

INSIDE = "eth_type(0x0800),ipv4(src={},dst={},proto=6,tos={},frag=no),tcp(src={},dst={})"

SET = "set(tunnel(tun_id=0x64,dst=1.1.2.92,ttl=64,tp_dst=4789,flags(df|key)))"

TUNNEL = "tunnel(tun_id=0x64,src=1.1.2.92,dst=1.1.2.88,ttl=0/0,flags(-df-csum+key))"

COUNTERS = "packets:1, bytes:1, used:1s, actions:"

ASKED = bytes(segment("A", reply=False, seq=2, ack=101))

ANSWERED = bytes(over_vxlan(segment("A", reply=True, seq=101, ack=2)))


def out(actions: str = SET, port: str = "vxlan_sys_4789", tos: str = "0/0x3") -> str:
    inside = INSIDE.format("10.0.0.1", "10.0.0.2", tos, 1000, 80)
    return f"recirc_id(0),in_port(v1),{inside}, {COUNTERS}{actions},{port}"


def into(tunnel: str = TUNNEL, port: str = "vxlan_sys_4789", actions: str = "v1") -> str:
    inside = INSIDE.format("10.0.0.2", "10.0.0.1", "0/0", 80, 1000)
    return f"recirc_id(0),{tunnel},in_port({port}),{inside}, {COUNTERS}{actions}"


def composed(flow: str, packet: Packet) -> IntegratedEntry:
    found = compose(packet, Datapath(read_flows([flow], "flows")))
    assert isinstance(found, IntegratedEntry), found
    return found


def leaving(flow: str, way: Underlay = WAY, tos: int = 0) -> IntegratedEntry:
    frame = ASKED[:15] + bytes((tos,)) + ASKED[16:]
    return on_the_wire(composed(flow, packet_from_bytes(frame, "v1")), way)


def arriving(flow: str, way: Underlay = WAY, frame: bytes = ANSWERED) -> IntegratedEntry:
    """Return the entry of a packet that came from the other end of ``WAY``."""
    return on_the_wire(composed(flow, inside(packet_from_bytes(frame, "up0"))), way)


SENT_BY_LINUX = bytes.fromhex(
    "f8bc124434b6aa55aa55000008004500005a499940004011ea45010102580101025cdf0812b50046000008000000"
    "00006400"
    "50540000000250540000000108004500002800010000400666cd0a0000010a00000203e800500000000200000065"
    "5010200077330000"
)
"""What Linux 6.1 sent for ``ASKED``, with Open vSwitch 3.1 and the tunnel of ``SET``, in the lab."""


def test_the_outer_header_is_that_of_linux() -> None:
    """Identification, checksum and source port apart."""
    entry = leaving(out())
    moved = entry.transposition
    assert (moved.output, entry.in_port) == ("up0", "v1")
    found = transposed(moved, ASKED)
    assert found[:18] + found[20:24] == SENT_BY_LINUX[:18] + SENT_BY_LINUX[20:24]
    assert found[26:34] + found[36:] == SENT_BY_LINUX[26:34] + SENT_BY_LINUX[36:]


@pytest.mark.parametrize(("inner", "outer"), [(0, 0), (1, 1), (2, 2), (3, 2)])
def test_ecn_goes_outside(inner: int, outer: int) -> None:
    """RFC 6040, 4.1: as it is, but CE as ECT(0); the rest is the tunnel's."""
    flow = out(SET.replace("ttl=", "tos=0x60,ttl="), tos=f"{inner}/0x3")
    assert transposed(leaving(flow, tos=inner).transposition, ASKED)[15] == 0x60 | outer


@pytest.mark.parametrize(
    ("at", "byte", "wanted"),
    [
        (0, None, True),
        (0, 0x02, False),
        (6, 0x02, True),
        (15, 0x01, False),
        (15, 0x60, False),
        (20, 0x00, True),
        (29, 0x01, False),
        (33, 0x01, False),
        (37, 0x01, False),
        (48, 0x01, False),
    ],
    ids=[
        "as sent",
        "eth dst",
        "eth src",
        "ecn",
        "dscp",
        "df",
        "source",
        "destination",
        "port",
        "vni",
    ],
)
def test_what_comes_is_held_against_the_way(at: int, byte: int | None, wanted: bool) -> None:  # noqa: FBT001
    """A frame with one byte that is another; whether Ethernet's source and DF are is no matter."""
    entry = arriving(into())
    assert (entry.in_port, entry.transposition.pop, entry.transposition.output) == ("up0", 1, "v1")
    frame = ANSWERED if byte is None else ANSWERED[:at] + bytes((byte,)) + ANSWERED[at + 1 :]
    assert byte is None or frame != ANSWERED
    assert accepts(entry, packet_from_bytes(frame, "up0")) == wanted
    assert transposed(entry.transposition, ANSWERED) == ANSWERED[50:]


def test_entries_without_a_tunnel_stay() -> None:
    plain = composed(out("ct_clear", "v2"), packet_from_bytes(ASKED, "v1"))
    assert on_the_wire(plain, WAY) is plain


OUT_REFUSED = {
    "geneve": (out(port="genev_sys_6081"), 19),
    "another end": (out(SET.replace("1.1.2.92", "1.1.2.93")), 19),
    "another source": (out(SET.replace(",dst=", ",src=1.1.2.89,dst=")), 19),
    "no ttl": (out(SET.replace("ttl=64,", "")), 19),
    "no key": (out(SET.replace("df|key", "df")), 19),
    "oam": (out(SET.replace("df|key", "df|oam|key")), 19),
    "no df": (out(SET.replace("df|key", "key")), 25),
    "any ecn": (out(tos="0/0"), 25),
    "a group policy": (out(SET.replace("flags", "vxlan(gbp(id=5,flags=0x0)),flags")), 19),
    "a mark": (out(f"set(skb_mark(0x1)),{SET}"), 28),
    "a queue": (out("set(skb_priority(0x10001))", port="v2"), 28),
}


@pytest.mark.parametrize(("flow", "reason"), OUT_REFUSED.values(), ids=OUT_REFUSED)
def test_what_a_header_does_not_tell_is_refused(flow: str, reason: int) -> None:
    with pytest.raises(Refused) as refused:
        require_bytes(composed(flow, packet_from_bytes(ASKED, "v1")))
        leaving(flow)
    assert refused.value.refusal.reason == reason


WITH_ECN = ANSWERED[:15] + b"\2" + ANSWERED[16:]

INTO_REFUSED = {
    "ecn": (into(TUNNEL.replace("ttl=", "tos=0x2/0x3,ttl=")), WITH_ECN),
    "a group policy": (
        into(TUNNEL.replace("flags", "vxlan(gbp(id=5,flags=0x0)),flags")),
        ANSWERED,
    ),
    "into another tunnel": (into(actions=f"{SET},vxlan_sys_4789"), ANSWERED),
}


@pytest.mark.parametrize(("flow", "frame"), INTO_REFUSED.values(), ids=INTO_REFUSED)
def test_what_comes_otherwise_is_refused(flow: str, frame: bytes) -> None:
    with pytest.raises(Refused) as refused:
        arriving(flow, frame=frame)
    assert refused.value.refusal.reason == 19


def test_another_end_is_refused() -> None:
    flow = into(TUNNEL.replace("src=1.1.2.92", "src=1.1.2.92/255.255.255.0"))
    with pytest.raises(Refused, match=r"outer\.ipv4\.src is not 1\.1\.3\.92"):
        arriving(flow, replace(WAY, there=ip_address("1.1.3.92")))


def answers(route: dict[str, object], neighbour: str = THERE, policies: str = "") -> Sequence[str]:
    """Return answers as iproute2 6.1 gives them."""
    whole = {"dst": THERE, "dev": "up0", "prefsrc": HERE, "flags": [], "uid": 0, "cache": []}
    known = {"dst": neighbour, "dev": "up0", "lladdr": THERE_MAC, "state": ["PERMANENT"]}
    link = {"ifindex": 4, "ifname": "up0", "mtu": 1500, "address": HERE_MAC}
    return (json.dumps([whole | route]), json.dumps([known]), json.dumps([link]), policies)


def test_the_way_is_read() -> None:
    assert read_underlay(tuple(answers({}))) == WAY
    assert read_underlay(tuple(answers({"gateway": "1.1.2.1"}, "1.1.2.1"))) == WAY
    via = {"family": "inet6", "host": "fe80::1"}
    assert read_underlay(tuple(answers({"via": via}, "fe80::1"))) == WAY
    assert [words[0] for words in questions(THERE)] == ["ip"] * 4


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (answers({}, "1.1.2.1"), "no Ethernet address of 1.1.2.92"),
        (answers({"dev": "lo"}), "no Ethernet address"),
        (answers({}, policies="src 1.1.2.88/32 dst 1.1.2.92/32"), "IPsec"),
    ],
)
def test_no_way_is_refused(told: Sequence[str], problem: str) -> None:
    with pytest.raises(Refused, match=re.escape(problem)):
        read_underlay(tuple(told))


@pytest.mark.parametrize("route", ["", "[]", "[{}]", "RTNETLINK answers", '[{"dst": 1}]'])
def test_an_answer_that_is_none_is_said(route: str) -> None:
    with pytest.raises(ParseError, match="ip route get"):
        read_underlay((route, "", "", ""))


def entry_of(push: Push | None) -> IntegratedEntry:
    return IntegratedEntry(
        in_port="a", match=(), transposition=Transposition(push=push), megaflows=(),
        connections=(), ports=(), steps=(),
    )  # fmt: skip


def test_the_other_end() -> None:
    """Where a packet is sent, or came from; 0x0a010002 is 10.1.0.2."""
    out = Push(fields={"tunnel.dst": 0x0A010002}, port="vxlan_sys_4789")
    six = Push(fields={"tunnel.ipv6_dst": (0xFD00 << 112) + 2}, port="vxlan_sys_4789")
    plain = Packet(in_port="a", headers=())
    came = Packet(in_port="vxlan_sys_4789", headers=(), tunnel={"tunnel.src": 0x0A010002})
    assert far_end(plain, [entry_of(None)]) is None
    assert far_end(plain, [entry_of(None), entry_of(out)]) == "10.1.0.2"
    assert far_end(plain, [entry_of(six)]) == "fd00::2"
    assert far_end(came, [entry_of(None)]) == "10.1.0.2"
