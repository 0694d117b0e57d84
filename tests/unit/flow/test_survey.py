"""Surveys of dumps whose numbers a person adds up."""

from __future__ import annotations

import pytest

from support.cases import CASES
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.explain import explain_connection
from virtboost.flow.megaflow import read_flows
from virtboost.flow.survey import Survey, survey
from virtboost.flow.switch import Switch

FLOWS = (CASES / "flow" / "vxlan-ct-3.1.flows").read_text().splitlines()

CONNECTIONS = (CASES / "flow" / "vxlan-ct-3.1.connections").read_text().splitlines()

PLAIN = "recirc_id(0),in_port(v1),eth_type(0x0800),ipv4(src=10.0.0.1/0.0.0.0,dst=10.0.0.2/0.0.0.0,proto=6/0,frag=no)"


def found(flows: list[str], connections: list[str] | None = None) -> Survey:
    datapath = Datapath(
        read_flows(flows, "flows"), read_connections(connections or [], "connections")
    )
    return survey(datapath, Switch())


def test_all_of_a_real_dump_becomes_one_lookup() -> None:
    """Two packets come from the tunnel by 3 megaflows and a connection, one goes by 2 and one."""
    told = found(FLOWS, CONNECTIONS)
    assert (told.megaflows, told.connections, told.packets) == (6, 1, 3)
    assert (told.normalised_packets, told.bytes) == (3, 110 + 59)
    assert told.lookups_now == pytest.approx((2 * 4 + 1 * 3) / 3)
    assert told.lookups_then == 1
    assert [(each.reason, each.packets) for each in told.hindrances] == [(27, 0)]


def test_without_its_connections_nothing_is_exact() -> None:
    told = found(FLOWS)
    assert told.normalised_packets == 0
    assert told.hindrances[0].reason == 11
    assert told.hindrances[0].packets == 3


def test_reasons_are_counted_by_packets_with_the_rule_to_blame() -> None:
    slow = "userspace(pid=9,controller(reason=1,dont_send=0,continuation=0,recirc_id=4,rule_cookie=0xbeef,controller_id=0,max_len=65535))"
    told = found(
        [
            f"{PLAIN}, packets:7, bytes:700, used:1s, actions:{slow}",
            f"{PLAIN.replace('v1', 'v2')}, packets:100, bytes:9000, used:1s, actions:v1,v3",
            f"{PLAIN.replace('v1', 'v3')}, packets:93, bytes:800, used:1s, actions:v4",
        ]
    )
    assert (told.packets, told.normalised_packets) == (200, 93)
    assert [(e.reason, e.packets, e.bytes) for e in told.hindrances] == [
        (9, 100, 9000),
        (4, 7, 700),
    ]
    assert told.hindrances[1].cookies == ("0xbeef",)
    assert told.hindrances[0].example.startswith("flows:2:1")
    assert any("controller" in text for text in told.advice)


def test_a_mask_that_makes_every_port_a_megaflow() -> None:
    flows = [
        f"recirc_id(0),in_port(v1),eth_type(0x0800),ipv4(proto=6,frag=no),tcp(src={port},dst=80/0), packets:1, bytes:60, used:1s, actions:v2"
        for port in range(1000, 1064)
    ]
    told = found(flows)
    (mask,) = told.suspicious
    assert (mask.in_port, mask.field, mask.megaflows) == ("v1", "tcp.src", 64)
    assert mask.example.startswith("flows:1:")
    assert "tcp.src" in told.advice[0]


def test_masks_are_counted_by_table() -> None:
    flows = [
        f"recirc_id(0),in_port(v{port}),eth_type(0x0800),ipv4(dst=10.0.0.0/{length},frag=no), packets:0, bytes:0, used:never, actions:v9"
        for port in (1, 2)
        for length in range(8, 8 + 12 * port)
    ]
    told = found(flows)
    assert (told.masks, told.most_masks) == (24, 24)
    assert any("24 masks" in text for text in told.advice)
    assert (told.lookups_now, told.lookups_then) == (None, None)


def test_an_empty_dump() -> None:
    told = found([])
    assert (told.megaflows, told.packets, told.hindrances) == (0, 0, ())


def test_many_megaflows_of_one_port_are_no_square() -> None:
    """A packet that is known in part is looked up by that part: 4,000 at once took minutes."""
    flows, connections = [], []
    for port in range(1000, 3000):
        match = f"eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1/0.0.0.0,dst=10.0.0.2/0.0.0.0,proto=6,ttl=64/0,frag=no),tcp(src={port},dst=80)"
        answer = f"eth(src=50:54:00:00:00:02,dst=50:54:00:00:00:01),eth_type(0x0800),ipv4(src=10.0.0.2/0.0.0.0,dst=10.0.0.1/0.0.0.0,proto=6,ttl=64/0,frag=no),tcp(src=80,dst={port})"
        flows += [
            f"recirc_id(0),in_port(v1),{match}, packets:1, bytes:60, used:1s, actions:ct(zone=7),v2",
            f"recirc_id(0),in_port(v2),{answer}, packets:1, bytes:60, used:1s, actions:ct(zone=7),v1",
        ]
        connections.append(
            f"tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport={port},dport=80),reply=(src=10.0.0.2,dst=10.0.0.1,sport=80,dport={port}),zone=7,protoinfo=(state=ESTABLISHED)"
        )
    told = found(flows, connections)
    assert (told.packets, told.normalised_packets) == (4000, 4000)


def test_a_kernel_datapath_whose_packets_come_out_of_the_tunnel_already() -> None:
    """Written by hand in the form of the kernel's dumps: two megaflows and a connection each way."""
    flows = (CASES / "flow" / "vxlan-ct-kernel.flows").read_text().splitlines()
    told = found(flows, CONNECTIONS)
    assert (told.packets, told.normalised_packets) == (100, 100)
    assert (told.lookups_now, told.lookups_then) == (3, 1)
    datapath = Datapath(read_flows(flows, "flows"), read_connections(CONNECTIONS, "connections"))
    told_so = explain_connection("10.0.0.1", datapath)
    assert told_so.normalised
    assert told_so.forward is not None
    assert told_so.reverse is not None
    assert (told_so.forward.in_port, told_so.reverse.in_port) == ("tap1", "vxlan_sys_4789")
    assert "tunnel.tun_id=0x64" in told_so.reverse.key
