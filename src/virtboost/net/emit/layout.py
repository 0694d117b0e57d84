"""What every emitter needs of a plan: the design, the network, timers, speakers."""

from __future__ import annotations

from msgspec import Struct

from virtboost.net.calico import Reflection, flat_reflectors, reflection
from virtboost.net.description import Network
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
    addresses = addresses[:wanted]
    if layout.design.routing == "reflectors":
        return tuple(
            Reflector(
                address=address,
                cluster_id=cluster_id(1),
                group=0,
                peers=_others(addresses, address),
            )
            for address in addresses
        )
    return _grouped(addresses, reflection(layout.scale))


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
