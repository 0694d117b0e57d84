"""A key and the headers that the data plane saw with it -> the packet that they are of."""

from __future__ import annotations

import ctypes

from virtboost.flow import abi
from virtboost.flow.field import TUNNEL_FLAGS
from virtboost.flow.packet import Packet
from virtboost.flow.protocol import ICMP, ICMPV6, IPV4, IPV6, TCP, UDP


def packet_of(key: abi.Key, seen: abi.Headers, in_port: str) -> Packet:
    """Return a packet of a key.

    Args:
        key: Of a candidate.
        seen: Its other headers.
        in_port: The port of the datapath behind ``key.port``.
    """
    inner = _ethernet(key, seen) | _network(key, seen) | _transport(key, seen)
    stacks = (_outer(key, seen), inner) if key.vni else (inner,)
    return Packet(in_port=in_port, headers=stacks)


def _number(data: ctypes.Array[ctypes.c_uint8]) -> int:
    return int.from_bytes(bytes(data), "big")


def _ethernet(key: abi.Key, seen: abi.Headers) -> dict[str, int]:
    found = {
        "eth.dst": _number(seen.eth_dst),
        "eth.src": _number(seen.eth_src),
        "vlan.tpid": _number(seen.tpid),
        "eth_type": key.eth_type,
    }
    if key.tag:
        tci = _number(seen.tci)
        found |= {"vlan.vid": tci & 0xFFF, "vlan.pcp": tci >> 13, "vlan.cfi": 1}
    return found


def _network(key: abi.Key, seen: abi.Headers) -> dict[str, int]:
    source, destination = _number(key.source), _number(key.destination)
    if key.eth_type == IPV4:
        source, destination = source >> 96, destination >> 96
    found = _addresses(key.eth_type, source, destination, _number(seen.first), seen.ttl)
    return found | {"ipv4.proto" if key.eth_type == IPV4 else "ipv6.proto": key.protocol}


def _addresses(kind: int, source: int, destination: int, first: int, ttl: int) -> dict[str, int]:
    """Return the fields of an IP header but its protocol; ``first`` is its first word."""
    version = "ipv4" if kind == IPV4 else "ipv6"
    found = {f"{version}.src": source, f"{version}.dst": destination, f"{version}.frag": 0}
    if version == "ipv4":
        return found | {"ipv4.tos": first >> 16 & 0xFF, "ipv4.ttl": ttl}
    found |= {"ipv6.tclass": first >> 20 & 0xFF, "ipv6.label": first & 0xFFFFF}
    return found | {"ipv6.hlimit": ttl}


def _transport(key: abi.Key, seen: abi.Headers) -> dict[str, int]:
    if key.protocol in (ICMP, ICMPV6):
        name = "icmp" if key.protocol == ICMP else "icmpv6"
        kind, code = divmod(key.destination_port, 256)
        return {f"{name}.type": kind, f"{name}.code": code}
    name = "tcp" if key.protocol == TCP else "udp"
    found = {f"{name}.src": key.source_port, f"{name}.dst": key.destination_port}
    return found | ({"tcp_flags": _number(seen.tcp_flags)} if name == "tcp" else {})


def _outer(key: abi.Key, seen: abi.Headers) -> dict[str, int]:
    """Return the stack that is popped: VXLAN without a checksum of UDP, or it were no candidate."""
    first = _number(seen.outer_first)
    kind = IPV4 if first >> 28 == 4 else IPV6
    ends = [_number(seen.outer_source), _number(seen.outer_destination)]
    source, destination = (end >> 96 if kind == IPV4 else end for end in ends)
    found = _addresses(kind, source, destination, first, seen.outer_ttl)
    return found | {
        "eth.dst": _number(seen.outer_eth_dst),
        "eth.src": _number(seen.outer_eth_src),
        "vlan.tpid": 0,
        "eth_type": kind,
        "ipv4.proto" if kind == IPV4 else "ipv6.proto": UDP,
        "udp.src": _number(seen.outer_source_port),
        "udp.dst": abi.VXLAN_PORT,
        "tunnel.tun_id": key.vni & ~abi.TUNNELLED,
        "tunnel.flags": TUNNEL_FLAGS["key"],
    }
