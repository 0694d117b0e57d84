"""A node or a reflector of an emulation, and containers of it that have namespaces of their own."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Literal

from msgspec import Struct

Software = Literal["bird", "frr", "ovs", "ovn", "felix"]
"""What carries a speaker's routes or flows."""

Role = Literal["nodes", "reflectors", "switches"]
"""Those that speak BGP; spines are among the switches."""


POD_GATEWAY, GATEWAY_MAC = "169.254.1.1", "ee:ee:ee:ee:ee:ee"
"""Of each pod of a node that routes, as Calico has them."""

DATASTORE = "169.254.0.1"
"""Address of a cluster's datastore, on the bridge that all nodes are on."""

BRIDGE_MAC = "02:00:00:03:00:00"
"""Of the bridges that nodes are on."""


class End(Struct, frozen=True, kw_only=True):
    """A container's end: a namespace with a link to its node."""

    address: str
    prefix: int
    """Length of the network that it believes to be in."""
    mac: str
    gateway: str


class Speaker(Struct, frozen=True, kw_only=True):
    """A daemon in a namespace of its own."""

    address: str
    reflector: bool
    """Reflectors hold no pods."""
    blocks: tuple[str, ...]
    """Of its pods, each a route that others have."""
    daemon: Software = "bird"
    config: str
    """Of the daemon; of Open vSwitch, what its controller does, as shell script."""
    ends: tuple[End, ...] = ()
    """Of the pods that have a namespace, by number; reflectors have none."""
    segment: int = 0
    """Bridge that its link is on: 0, or a rack's number, where racks have switches."""
    uplink: str = ""
    """Of a rack's switch: its address on bridge 0, which is the fabric's."""


def routed_end(block: str, number: int) -> End:
    """Return a pod of a node that routes: its address is the next but ``number`` of a block."""
    return End(
        address=str(IPv4Network(block)[number + 1]),
        prefix=32,
        mac=f"02:00:00:01:00:{number:02x}",
        gateway=POD_GATEWAY,
    )


def node_mac(place: int) -> str:
    """Return the MAC address of a node's link."""
    return f"02:00:00:00:{place >> 8:02x}:{place & 255:02x}"


def uplink_mac(place: int) -> str:
    """Return the MAC address of a switch's link to the fabric."""
    return f"02:00:00:02:{place >> 8:02x}:{place & 255:02x}"
