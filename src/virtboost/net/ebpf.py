"""How full the maps of Calico's eBPF data plane are, where it is on; a full one takes no more."""

from __future__ import annotations

from msgspec import Struct

from virtboost.net.design import Ceiling, Form
from virtboost.net.figure import Figure, exact
from virtboost.net.policy import set_members
from virtboost.net.scale import Scale


class Map(Struct, frozen=True, kw_only=True):
    """A map with its size unless told (``calico-bpf``)."""

    what: str
    entries: Form
    """At least."""
    size: int
    setting: str
    """Field of FelixConfiguration."""


def _routes(scale: Scale) -> Figure:
    """Return one for each node, block and pod of the node; tunnels and pools come on top."""
    return exact(scale.nodes + scale.routes + scale.pods_per_node)


def _frontends(scale: Scale) -> Figure:
    """Return one for each service, which has one for each port, and for node ports more."""
    return exact(scale.services)


def _backends(scale: Scale) -> Figure:
    return exact(scale.services * scale.endpoints)


def _connections(scale: Scale) -> Figure:
    """Return one for each connection, and one more where its address is translated."""
    found = scale.connections
    return Figure(value=found, low=found, high=2 * found, tag="exact")


MAPS = (
    Map(what="services", entries=_frontends, size=65_536, setting="bpfMapSizeNATFrontend"),
    Map(what="endpoints", entries=_backends, size=262_144, setting="bpfMapSizeNATBackend"),
    Map(what="routes", entries=_routes, size=262_144, setting="bpfMapSizeRoute"),
    Map(what="connections", entries=_connections, size=512_000, setting="bpfMapSizeConntrack"),
    Map(what="sets", entries=set_members, size=1_048_576, setting="bpfMapSizeIPSets"),
)


def fill(scale: Scale) -> Figure:
    """Return how full the fullest map is."""
    ratios = [each.entries(scale) * (1 / each.size) for each in MAPS]
    fullest = max(ratios, key=lambda ratio: ratio.value)
    return fullest.without_end("calico-bpf")


CEILINGS = tuple(
    Ceiling(
        what=f"{each.what} in a map of Calico's eBPF data plane, where it is on",
        form=each.entries,
        limit=each.size,
        kind="setting",
        source="calico-bpf",
        remedy=each.setting,
    )
    for each in MAPS
)
