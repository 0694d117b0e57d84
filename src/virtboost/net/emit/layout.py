"""What every emitter needs of a plan: the design, the network, timers, speakers."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, structs

from virtboost.net.calico import Reflection, flat_reflectors, reflection
from virtboost.net.description import Ipv6, Network
from virtboost.net.design import Design
from virtboost.net.failure import Detection
from virtboost.net.mtu import Mtu
from virtboost.net.scale import Scale

SCAN_S = 2
"""Between scans of the kernel's tables, as Calico's BIRD does it."""


class Layout(Struct, frozen=True, kw_only=True):
    """A design for a network, as it is to be built."""

    design: Design
    network: Network
    scale: Scale
    mtu: Mtu
    detection: Detection | None
    """Timers of BGP; None: no BGP."""
    ipv6: Ipv6 | None = None
    """Addresses of pods' IPv6, which is written too; None: it is not."""


class Family(Struct, frozen=True, kw_only=True):
    """What differs between IPv4 and IPv6 in the configuration of BGP."""

    channel: Literal["ipv4", "ipv6"]
    suffix: str
    """Of names: empty, or ``_v6``."""
    pods: tuple[str, ...]
    nodes: str
    block: int
    bits: int
    """Of an address."""


def families(layout: Layout) -> tuple[Family, ...]:
    """Return the families of addresses that are written: IPv4, perhaps IPv6."""
    four, six = layout.network.addresses, layout.ipv6
    found = Family(
        channel="ipv4", suffix="", pods=four.pods, nodes=four.nodes, block=four.block, bits=32
    )
    if six is None:
        return (found,)
    return (
        found,
        Family(
            channel="ipv6", suffix="_v6", pods=six.pods, nodes=six.nodes, block=six.block, bits=128
        ),
    )


class Speaker(Struct, frozen=True, kw_only=True):
    """A reflector in one family of addresses."""

    address: str
    peers: tuple[str, ...]
    clients: tuple[str, ...]


class Reflector(Struct, frozen=True, kw_only=True):
    """A route reflector by its address."""

    address: str
    cluster_id: str
    """Of its group, or of those above."""
    group: int
    """From 1; 0: above the groups, or of the whole cluster."""
    peers: tuple[str, ...]
    """Other reflectors that it opens sessions to, beside the clients that come."""
    clients: tuple[str, ...] = ()
    """Reflectors that are its clients."""
    ipv6: Speaker | None = None
    """The same by addresses of IPv6; None: it has none."""

    def speakers(self) -> tuple[Speaker, ...]:
        """Return it in each of its families, IPv4 first."""
        first = Speaker(address=self.address, peers=self.peers, clients=self.clients)
        return (first,) if self.ipv6 is None else (first, self.ipv6)


def cluster_id(group: int) -> str:
    """Return an address of 240.0.0.0/4, which nothing is sent to, as Calico's examples have it."""
    return f"244.0.{group >> 8}.{group & 255}"


def reflectors_wanted(layout: Layout) -> int:
    """Return how many addresses the reflectors of a design need; 0: it has none."""
    if layout.design.routing == "reflectors":
        return flat_reflectors(layout.scale)
    if layout.design.routing == "groups":
        found = reflection(layout.scale)
        return found.reflectors + found.top
    return 0


def reflectors(layout: Layout) -> tuple[Reflector, ...]:
    """Return the reflectors: those above first, then a pair of each group; () if not all named."""
    addresses = layout.network.addresses.reflectors
    wanted = reflectors_wanted(layout)
    if not wanted or len(addresses) < wanted:
        return ()
    found = _arranged(layout, addresses[:wanted])
    if layout.ipv6 is None:
        return found
    again = _arranged(layout, layout.ipv6.reflectors)
    return tuple(
        structs.replace(
            own,
            ipv6=Speaker(address=other.address, peers=other.peers, clients=other.clients),
        )
        for own, other in zip(found, again, strict=True)
    )


def _arranged(layout: Layout, addresses: tuple[str, ...]) -> tuple[Reflector, ...]:
    if layout.design.routing == "groups":
        return _grouped(addresses, reflection(layout.scale))
    return tuple(
        Reflector(
            address=address,
            cluster_id=cluster_id(1),
            group=0,
            peers=_others(addresses, address),
        )
        for address in addresses
    )


def _grouped(addresses: tuple[str, ...], found: Reflection) -> tuple[Reflector, ...]:
    top, lower = addresses[: found.top], addresses[found.top :]
    above = tuple(
        Reflector(
            address=address,
            cluster_id=cluster_id(found.groups + 1),
            group=0,
            peers=_others(top, address),
            clients=lower,
        )
        for address in top
    )
    below = tuple(
        Reflector(
            address=address,
            cluster_id=cluster_id(place // 2 + 1),
            group=place // 2 + 1,
            peers=top or _others(lower, address),
        )
        for place, address in enumerate(lower)
    )
    return above + below


def _others(addresses: tuple[str, ...], own: str) -> tuple[str, ...]:
    return tuple(address for address in addresses if address != own)
