"""A packet in the words of OpenFlow: ``in_port=p0,tcp,nw_src=10.0.0.1,tp_dst=80``.

Source: ovs-fields(7), and ovs-ofctl(8) for the names of protocols.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtboost.flow import field
from virtboost.flow.field import Value
from virtboost.flow.protocol import ARP, ICMP, ICMPV6, IPV4, IPV6, SCTP, TCP, UDP, VLAN
from virtboost.flow.text import Malformed

PROTOCOLS: Mapping[str, Mapping[str, int]] = {
    "ip": {"eth_type": IPV4},
    "ipv6": {"eth_type": IPV6},
    "arp": {"eth_type": ARP},
    **{
        name: {"eth_type": IPV4, "ipv4.proto": number}
        for name, number in (("tcp", TCP), ("udp", UDP), ("icmp", ICMP), ("sctp", SCTP))
    },
    **{
        name: {"eth_type": IPV6, "ipv6.proto": number}
        for name, number in (("tcp6", TCP), ("udp6", UDP), ("icmp6", ICMPV6), ("sctp6", SCTP))
    },
}
"""Words without a value."""

NAMES: Mapping[str, str] = {
    "in_port": "in_port",
    **dict.fromkeys(("dl_src", "eth_src"), "eth.src"),
    **dict.fromkeys(("dl_dst", "eth_dst"), "eth.dst"),
    **dict.fromkeys(("dl_type", "eth_type"), "eth_type"),
    **dict.fromkeys(("dl_vlan", "vlan_vid"), "vlan.vid"),
    **dict.fromkeys(("dl_vlan_pcp", "vlan_pcp"), "vlan.pcp"),
    **dict.fromkeys(("nw_src", "ip_src"), "ipv4.src"),
    **dict.fromkeys(("nw_dst", "ip_dst"), "ipv4.dst"),
    "ipv6_src": "ipv6.src",
    "ipv6_dst": "ipv6.dst",
    "tcp_flags": "tcp_flags",
    "tun_id": "tunnel.tun_id",
    "tun_src": "tunnel.src",
    "tun_dst": "tunnel.dst",
    **{f"{name}_{end}": f"{name}.{end}" for name in ("tcp", "udp") for end in ("src", "dst")},
    "arp_op": "arp.op",
    "arp_spa": "arp.sip",
    "arp_tpa": "arp.tip",
}
"""Fields that mean the same whatever the packet is."""

OF_IP: Mapping[str, tuple[str, str]] = {
    "nw_proto": ("ipv4.proto", "ipv6.proto"),
    "nw_tos": ("ipv4.tos", "ipv6.tclass"),
    "nw_ttl": ("ipv4.ttl", "ipv6.hlimit"),
}
"""Fields of either version of IP."""


def is_openflow(text: str) -> bool:
    """Tell whether a packet is written so, and not as a datapath writes it."""
    return "(" not in text


def parts_of(text: str) -> dict[str, Value]:
    """Return the parts of a packet by name.

    Raises:
        Malformed: A word is none of OpenFlow's, or a value is none of its kind.
    """
    words, at = [], 0
    for word in text.split(","):
        words.append((*word.strip().partition("="), at))
        at += len(word) + 1
    found: dict[str, Value] = {"vlan.tpid": 0}
    for name, equals, _, offset in words:
        if not equals:
            if name not in PROTOCOLS:
                raise Malformed(f"unknown protocol {name[:30]!r}", offset)
            found |= PROTOCOLS[name]
    for name, equals, value, offset in words:
        if equals:
            part = _name(name, found, offset)
            found[part] = _value(part, value, offset)
    if "vlan.vid" in found:
        found |= {"vlan.tpid": VLAN, "vlan.cfi": 1}
    return found


def _name(name: str, found: Mapping[str, Value], offset: int) -> str:
    if name in NAMES:
        return NAMES[name]
    six = found.get("eth_type") == IPV6
    if name in OF_IP:
        return OF_IP[name][six]
    protocol = found.get("ipv6.proto" if six else "ipv4.proto")
    if name in ("tp_src", "tp_dst") and protocol in (TCP, UDP):
        return f"{'tcp' if protocol == TCP else 'udp'}.{name[3:]}"
    raise Malformed(f"unknown field {name[:30]!r}, or not of this protocol", offset)


def _value(name: str, text: str, offset: int) -> Value:
    field_name, _, part = name.partition(".")
    try:
        return field.decode(field_name, f"{part}={text}" if part else text).parts[0].value
    except Malformed as error:
        raise Malformed(error.problem, offset) from None
