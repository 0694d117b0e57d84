"""What NICs with an eSwitch can do with a rule of ``tc flower``, by family."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

_ALL = -1


class Nic(Struct, frozen=True, kw_only=True):
    """A family of NICs."""

    name: str
    rewrites: Mapping[str, int]
    """Fields that it rewrites, and the bits of each."""
    vlan: bool
    """Whether it puts VLAN tags on and takes them off."""
    vxlan: bool
    """Whether it puts headers of VXLAN on and takes them off."""
    source: str


NICS: Mapping[str, Nic] = {
    "connectx-5": Nic(
        name="ConnectX-5 and later (mlx5)",
        rewrites={
            "eth.dst": _ALL,
            "eth.src": _ALL,
            "ipv4.tos": 0xFC,
            "ipv4.ttl": _ALL,
            "ipv4.src": _ALL,
            "ipv4.dst": _ALL,
            "ipv6.src": _ALL,
            "ipv6.dst": _ALL,
            "ipv6.hlimit": _ALL,
            "ipv6.tclass": 0xFC,
            "tcp.src": _ALL,
            "tcp.dst": _ALL,
            "udp.src": _ALL,
            "udp.dst": _ALL,
        },
        vlan=True,
        vxlan=True,
        source="Linux, drivers/net/ethernet/mellanox/mlx5/core/en_tc.c, fields[]; NVIDIA ASAP2",
    ),
}
"""By the name that ``--nic`` takes."""
