"""What the hosts do with packets: three lanes, each from one end to another.

plain   a1 - b1   VXLAN 100, IPv4 and IPv6, tracked in zone 7 on both hosts, also with a VLAN tag
nat     a2 - b2   VXLAN 101, a's addresses translated, two zones and a mark on a
vlan    a3 - a4   on one host; a4's frames have a tag
"""

from __future__ import annotations

from typing import NamedTuple

from support.vtep import UPLINK

PORTS = {"a": {"v1": 1, "v2": 2, "v3": 3, "v4": 4}, "b": {"v1": 1, "v2": 2}}
"""Ports of each host, and their numbers in OpenFlow."""

DEVICES = {host: (*ports, UPLINK) for host, ports in PORTS.items()}
"""What a fast path is in front of."""

TUNNELS = {"vx": (10, 100), "vy": (11, 101)}
"""Tunnels of each host: number, VNI."""

PEERS = {"a1": "b1", "b1": "a1", "a2": "b2", "b2": "a2", "a3": "a4", "a4": "a3"}
"""Where frames of an end leave."""

TRANSLATED = "10.2.0.50"

MAC = "02:00:00:01:00:00"
"""What frames that leave a tunnel come from: its last two bytes are the version of the rules."""

CHANGED = 0x77
"""Cookie of rules that are changed while frames pass."""

MARKS = tuple(
    f"priority=200,dl_type=0x88b5,in_port={one},actions=output:{other}"
    for one, other in ((1, 10), (10, 1), (2, 11), (11, 2), (3, 4), (4, 3))
)


class Lane(NamedTuple):
    """Ends of a lane's conversations."""

    client: str
    server: str
    translated: str | None = None
    """The client's address as the server sees it."""
    tag: int | None = None
    """VLAN of the server's frames."""


LANES = {
    "plain": Lane("a1", "b1"),
    "back": Lane("b1", "a1"),
    "nat": Lane("a2", "b2", translated=TRANSLATED),
    "vlan": Lane("a3", "a4", tag=42),
}


def mac(version: int) -> str:
    """Return the address that a version of the rules writes."""
    return f"{MAC[:11]}:{version >> 8:02x}:{version & 255:02x}"


def rules(host: str, version: int = 0) -> tuple[str, ...]:
    """Return the rules of a host's ``br-int``."""
    return (
        *MARKS,
        *_plain(version),
        *(_NAT if host == "a" else _REMOTE),
        *(_VLAN if host == "a" else ()),
    )


def _plain(version: int) -> tuple[str, ...]:
    found = [
        "priority=100,arp,in_port=1,actions=output:10",
        "priority=100,arp,in_port=10,actions=output:1",
    ]
    for family in ("ip", "ipv6"):
        found += [
            f"priority=100,{family},in_port=1,ct_state=-trk,actions=ct(table=1,zone=7)",
            f"priority=100,{family},in_port=10,ct_state=-trk,actions=ct(table=1,zone=7)",
            f"table=1,ct_state=+new+trk,{family},in_port=1,actions=ct(commit,zone=7),output:10",
            f"table=1,ct_state=+new+trk,{family},in_port=10,actions=ct(commit,zone=7),output:1",
            f"table=1,ct_state=+est+trk,{family},in_port=1,actions=output:10",
            f"table=1,ct_state=+rel+trk,{family},in_port=1,actions=output:10",
            f"table=1,ct_state=+rel+trk,{family},in_port=10,actions=output:1",
            f"cookie={CHANGED:#x},table=1,ct_state=+est+trk,{family},in_port=10,"
            f"actions=dec_ttl,mod_dl_src:{mac(version)},output:1",
        ]
    return tuple(found)


_NAT = (
    "priority=100,ip,in_port=2,ct_state=-trk,actions=ct(table=11,zone=8,nat)",
    "priority=100,ip,in_port=11,ct_state=-trk,actions=ct(table=13,zone=9)",
    f"table=11,ct_state=+new+trk,ip,actions=ct(commit,zone=8,nat(src={TRANSLATED}),"
    "exec(load:5->NXM_NX_CT_MARK[])),ct(table=12,zone=9)",
    "table=11,ct_state=+est+trk,ct_mark=5,ip,actions=ct(table=12,zone=9)",
    "table=11,ct_state=+rel+trk,ip,actions=ct(table=12,zone=9)",
    "table=12,ct_state=+new+trk,ip,actions=ct(commit,zone=9),output:11",
    f"table=12,ct_state=+est+trk,ip,nw_src={TRANSLATED},actions=dec_ttl,mod_dl_src:{MAC},output:11",
    "table=12,ct_state=+rel+trk,ip,actions=output:11",
    "table=13,ct_state=+est+trk,ip,actions=ct(table=14,zone=8,nat)",
    "table=13,ct_state=+rel+trk,ip,actions=ct(table=14,zone=8,nat)",
    "table=14,ct_state=+est+trk,ip,nw_dst=10.2.0.0/28,actions=dec_ttl,output:2",
    "table=14,ct_state=+rel+trk,ip,actions=output:2",
)

_REMOTE = (
    "priority=100,ip,in_port=2,ct_state=-trk,actions=ct(table=2,zone=10)",
    "priority=100,ip,in_port=11,ct_state=-trk,actions=ct(table=2,zone=10)",
    "table=2,ct_state=+new+trk,ip,in_port=11,actions=ct(commit,zone=10),output:2",
    "table=2,ct_state=+est+trk,ip,in_port=11,actions=output:2",
    "table=2,ct_state=+rel+trk,ip,in_port=11,actions=output:2",
    "table=2,ct_state=+est+trk,ip,in_port=2,actions=output:11",
    "table=2,ct_state=+rel+trk,ip,in_port=2,actions=output:11",
)

_VLAN = (
    "priority=100,ip,in_port=3,ct_state=-trk,actions=ct(table=21,zone=12)",
    "priority=100,ip,in_port=4,ct_state=-trk,dl_vlan=42,actions=ct(table=21,zone=12)",
    "table=21,ct_state=+new+trk,ip,in_port=3,actions=ct(commit,zone=12),"
    "push_vlan:0x8100,set_field:4138->vlan_vid,set_field:3->vlan_pcp,output:4",
    "table=21,ct_state=+est+trk,ip,in_port=3,actions="
    "push_vlan:0x8100,set_field:4138->vlan_vid,set_field:3->vlan_pcp,output:4",
    "table=21,ct_state=+rel+trk,ip,in_port=3,actions="
    "push_vlan:0x8100,set_field:4138->vlan_vid,set_field:3->vlan_pcp,output:4",
    "table=21,ct_state=+est+trk,ip,in_port=4,dl_vlan=42,actions=pop_vlan,output:3",
    "table=21,ct_state=+rel+trk,ip,in_port=4,dl_vlan=42,actions=pop_vlan,output:3",
)
