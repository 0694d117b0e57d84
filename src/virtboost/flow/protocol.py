"""Numbers of the protocols that matches, packets and connections speak of (IANA, IEEE 802)."""

from __future__ import annotations

IPV4, IPV6, ARP, VLAN, QINQ = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132

IP_NAMES = {
    ICMP: "icmp", 2: "igmp", TCP: "tcp", UDP: "udp", 33: "dccp", ICMPV6: "icmpv6", SCTP: "sctp",
    136: "udplite",
}  # fmt: skip
"""Names of protocols above IP, as dumps and ``tc`` have them."""
