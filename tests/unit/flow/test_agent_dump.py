"""Dumps as lines: what is the same megaflow and the same connection, and what was counted."""

from __future__ import annotations

import pytest

from support.cases import CASES
from virtboost.flow.agent.dump import Known, connection_lines, flow_lines, identity, zones
from virtboost.flow.agent.status import merged
from virtboost.flow.megaflow import read_flows

FLOWS = (CASES / "flow/vxlan-ct-3.1.flows").read_text()

CONNECTIONS = (CASES / "flow/vxlan-ct-3.1.connections").read_text()

LINE = (
    "ufid:aa-1, recirc_id(0),in_port(a),eth_type(0x0800), packets:7, bytes:700, used:0.5s, flags:S., "
    "dp:ovs, actions:b, dp-extra-info:miniflow_bits(4,1)"
)

UDP = "udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2),reply=(src=10.0.0.2,dst=10.0.0.1,sport=2,dport=1),id=0,zone=7,status=0"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("ufid:aa-1", "ufid:bb-2"), True),
        (("packets:7, bytes:700, used:0.5s, flags:S.", "packets:0, bytes:0, used:never"), True),
        (("dp-extra-info:miniflow_bits(4,1)", "dp-extra-info:miniflow_bits(5,2)"), True),
        (("in_port(a)", "in_port(c)"), False),
        (("actions:b", "actions:drop"), False),
    ],
)
def test_identity(change: tuple[str, str], *, same: bool) -> None:
    other = LINE.replace(*change)
    assert other != LINE
    assert (identity(LINE) == identity(other)) is same


def test_a_heading_is_no_megaflow() -> None:
    assert identity("flow-dump from the main thread:") == ""


def test_what_two_pmd_threads_have_is_one() -> None:
    other = LINE.replace("packets:7, bytes:700, used:0.5s", "packets:1, bytes:10, used:0.2s")
    ((_, found),) = flow_lines(f"{LINE}\n{other}\n").items()
    assert (found.packets, found.bytes, found.used_s) == (8, 710, 0.2)


def test_lines_are_read_as_the_dump_is() -> None:
    found = flow_lines(FLOWS)
    plain = list(read_flows(FLOWS.splitlines(), "flows"))
    assert [flow.text for flow in Known().flows(found)] == [flow.text for flow in plain]
    assert [(f.packets, f.bytes, f.used_s) for f in found.values()] == [
        (f.packets, f.bytes, f.used_s) for f in plain
    ]


def test_a_line_that_cannot_be_read_is_left_out() -> None:
    lines = flow_lines(f"{LINE}\n{LINE.replace('eth_type(0x0800)', 'eth_type(0x08')}")
    assert len(Known().flows(lines)) == 1


def test_counters_of_a_connection_are_no_change() -> None:
    """As ``ct_dpif_format_counters`` of Open vSwitch 3.1 spells them, with ``nf_conntrack_acct``."""
    counted = UDP.replace("),reply", ",packets=5,bytes=470),reply") + ",timeout=29"
    assert connection_lines(counted) == connection_lines(f"{UDP},timeout=29")


def test_connections_without_their_timeouts() -> None:
    early, late = (connection_lines(f"{UDP},timeout={seconds}") for seconds in (29, 3))
    assert (early, late) == ({UDP: 29}, {UDP: 3})
    assert CONNECTIONS.count("timeout=") == len(connection_lines(CONNECTIONS)) > 0


def test_a_reply_is_known_as_long_as_the_connection_is_there() -> None:
    known = Known()
    assert known.connections({UDP: 29})[UDP].status == frozenset()
    known.replied(UDP)
    assert known.connections({UDP: 29})[UDP].status == {"SEEN_REPLY"}
    assert known.connections({}) == {}
    assert known.connections({UDP: 59})[UDP].status == frozenset()


def test_merged_is_a_dump_and_loses_nothing() -> None:
    gone = identity(LINE.replace("in_port(a)", "in_port(gone)"))
    carried = {identity(LINE): (100, 1000), gone: (5, 50)}
    lines = list(merged(flow_lines(LINE), carried, {identity(LINE): 0.25}))
    found = list(read_flows(lines, "merged"))
    assert [(f.packets, f.bytes, f.used_s) for f in found] == [(107, 1700, 0.25), (5, 50, None)]
    assert [identity(f.text) for f in found] == [identity(LINE), gone]
    assert "gone:yes" in found[1].more
    assert lines[0] == LINE.replace(
        "packets:7, bytes:700, used:0.5s", "packets:107, bytes:1700, used:0.250s"
    )


def test_what_nothing_was_taken_of_stays_as_it_is() -> None:
    assert list(merged(flow_lines(FLOWS), {}, {})) == [
        line for line in FLOWS.splitlines() if "packets:" in line
    ]


@pytest.mark.parametrize(
    ("actions", "wanted"),
    [
        ("ct(zone=7),recirc(0x1)", {7}),
        (
            "ct(commit,zone=7,mark=0x5/0xffffffff,nat(src=10.0.0.50)),ct(zone=9),recirc(0x18)",
            {7, 9},
        ),
        ("ct,recirc(0x1)", {0}),
        ("ct(commit,nat(src=1.1.1.1)),v1", {0}),
        ("ct_clear,recirc(0x1)", set()),
        ("set(tunnel(tun_id=0x64)),vx", set()),
    ],
)
def test_zones(actions: str, wanted: set[int]) -> None:
    assert zones([identity(LINE.replace("actions:b", f"actions:{actions}"))]) == wanted
