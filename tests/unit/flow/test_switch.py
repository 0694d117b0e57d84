"""Ports, tunnels and features as ovs-vswitchd 3.1 told them."""

from __future__ import annotations

import pytest

from support.cases import CASES
from virtboost.errors import ParseError
from virtboost.flow.megaflow import read_flows
from virtboost.flow.switch import read_switch, section, with_names

TOLD = (CASES / "flow" / "vxlan-ct-3.1.ports").read_text().splitlines()


def test_what_the_switch_says_of_itself() -> None:
    found = read_switch(TOLD, "told")
    assert found.name == "dummy@ovs-dummy"
    assert {port.number: (port.name, port.kind) for port in found.ports} == {
        0: ("ovs-dummy", "dummy-internal"),
        1: ("br-phy", "dummy-internal"),
        2: ("p0", "dummy"),
        3: ("br-int", "dummy-internal"),
        4: ("v1", "dummy"),
        4789: ("vxlan_sys_4789", "vxlan"),
    }
    assert found.bridges == ("br-int", "br-phy")
    (tunnel,) = found.tunnels
    assert (tunnel.bridge, tunnel.name, tunnel.kind, tunnel.datapath_port) == (
        "br-int", "vx", "vxlan", 4789,
    )  # fmt: skip
    assert tunnel.options == {"key": "100", "remote_ip": "1.1.2.92"}
    assert (found.features["Recirc"], found.features["Max VLAN headers"]) == ("Yes", "1")
    assert len(found.features) == 26


def test_the_lines_of_one_datapath() -> None:
    first = ["netdev@a: hit:0", "  br1:", "    br1 65534/1: (internal)"]
    lines = [*first, "system@b: hit:0", "  br2:", "    p 1/2: (system)"]
    assert section(lines, "system@b") == lines[3:]
    assert read_switch(section(lines, "netdev@a"), "told").bridges == ("br1",)


def test_caches_are_no_bridge() -> None:
    """As ``dpctl/show`` of 3.1 told of the datapath of Linux 6.1, in the lab."""
    shown = (
        *("system@ovs-system:", "  lookups: hit:5 missed:2 lost:0", "  flows: 1"),
        *("  caches:", "    masks-cache: size:256", "  port 2: v1"),
        "  port 3: vxlan_sys_4789 (vxlan: packet_type=ptap)",
    )
    found = read_switch(shown, "told")
    assert found.bridges == ()
    assert [(port.name, port.kind) for port in found.ports] == [
        ("v1", "system"),
        ("vxlan_sys_4789", "vxlan"),
    ]


def test_numbers_become_names() -> None:
    """A dump without ``-m``: 4 is v1, 2 is p0; what has no name stays a number."""
    line = "recirc_id(0),in_port(4),eth_type(0x0800),ipv4(frag=no), packets:1, bytes:1, used:1s, actions:2,9"
    (flow,) = with_names(read_flows([line], "dump"), read_switch(TOLD, "told"))
    assert flow.match["in_port"].value == "v1"
    assert [each.argument for each in flow.actions] == ["p0", "9"]


def test_what_is_none_of_these() -> None:
    with pytest.raises(ParseError, match="told:1: no line of dpctl/show"):
        read_switch(["rubbish", "\x00"], "told")
