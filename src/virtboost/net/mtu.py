"""The MTU of pods and what of the bandwidth is payload."""

from __future__ import annotations

from msgspec import Struct

from virtboost.net.description import Network
from virtboost.net.design import Design

WIREGUARD_BYTES = 60
"""``calico-mtu``; it takes the place of Calico's tunnel."""

IPV6_BYTES = 20
"""By which its header is longer."""

HEADERS_BYTES = 40
"""IPv4 and TCP, in the pod's packet."""

FRAME_BYTES = 38
"""Ethernet's preamble, header, checksum and gap."""


class Mtu(Struct, frozen=True, kw_only=True):
    """Sizes of packets."""

    underlay_bytes: int
    """The smallest of the nodes' interfaces."""
    overhead_bytes: int
    """Of encapsulation or encryption."""
    pod_bytes: int
    payload_ratio: float
    """Of the bandwidth, with TCP in full packets between pods of random nodes; a rack is a subnet,
    unless the fabric is one."""


def mtu(design: Design, network: Network) -> Mtu:
    """Return the sizes of packets of a design."""
    both = design.plane == "calico" and "ipv6" in network.wants
    overhead = overhead_bytes(design, network, ipv6=both or network.fabric.ipv6_underlay)
    always = design.encapsulation.always or "encryption" in network.wants
    subnets = 1 if network.fabric.kind == "l2" else network.rack_count
    share = 1.0 if always else 1 - 1 / subnets
    pod = network.mtu - overhead
    return Mtu(
        underlay_bytes=network.mtu,
        overhead_bytes=overhead,
        pod_bytes=pod,
        payload_ratio=(pod - HEADERS_BYTES) / (pod + overhead * share + FRAME_BYTES),
    )


def overhead_bytes(design: Design, network: Network, *, ipv6: bool) -> int:
    """Return what a packet gets in front, in tunnels over IPv4 or IPv6.

    Calico's tunnels for pods' IPv6 go over IPv6 (``calico-mtu``).
    """
    encapsulation = design.encapsulation.bytes
    if "encryption" in network.wants and design.plane == "calico":
        encapsulation = WIREGUARD_BYTES
    return encapsulation + IPV6_BYTES if encapsulation and ipv6 else encapsulation
