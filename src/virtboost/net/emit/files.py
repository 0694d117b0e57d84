"""All files of a plan, by name; each is one program's input."""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.errors import InputError
from virtboost.net.calico import PAIR
from virtboost.net.description import Network
from virtboost.net.emit import bird, calico, frr, ovn, ovs
from virtboost.net.emit.layout import Layout, reflectors, reflectors_wanted
from virtboost.net.mtu import mtu
from virtboost.net.plan import DESIGNS, NetPlan
from virtboost.net.scale import scale_of


def files(network: Network, made: NetPlan) -> dict[str, str]:
    """Return the files of the design that a plan recommends, by relative path.

    Raises:
        InputError: There is none, or addresses are missing that its configuration needs.
    """
    layout = layout_of(network, made)
    require_addresses(layout)
    return dict(_PLANES[layout.design.plane](layout))


def layout_of(network: Network, made: NetPlan) -> Layout:
    """Return the design that a plan recommends, as it is to be built.

    Raises:
        InputError: There is none.
    """
    if made.recommendation is None:
        raise InputError("no design serves this network: nothing to write")
    design = DESIGNS[made.recommendation.design]
    return Layout(
        design=design,
        network=network,
        scale=scale_of(network),
        mtu=mtu(design, network),
        detection=next((each for each in made.detections if each.chosen), None),
        ipv6=network.addresses.ipv6,
    )


def require_addresses(layout: Layout) -> None:
    """Hold that the addresses are named that a design's configuration needs.

    Raises:
        InputError: One is missing, or there are some too many.
    """
    addresses, six = layout.network.addresses, layout.ipv6
    if six is None and "ipv6" in layout.network.wants:
        raise InputError("addresses.ipv6: not there, and ipv6 is among wants")
    named, wanted = len(addresses.reflectors), reflectors_wanted(layout)
    if named not in (0, wanted):
        raise InputError(f"addresses.reflectors: {named} named, and {wanted} are planned")
    switches = len(addresses.fabric)
    if layout.design.routing == "tor" and switches not in (PAIR, PAIR * layout.scale.racks):
        raise InputError(
            f"addresses.fabric: {switches} named; {PAIR} where every rack has the same, or "
            f"{PAIR * layout.scale.racks}, {PAIR} for each rack"
        )
    if six is None:
        return
    for key, four, both in (
        ("reflectors", addresses.reflectors, six.reflectors),
        ("fabric", addresses.fabric, six.fabric),
    ):
        if len(four) != len(both):
            raise InputError(
                f"addresses.ipv6.{key}: {len(both)} named, and {len(four)} in addresses.{key}"
            )


def _calico(layout: Layout) -> Iterator[tuple[str, str]]:
    yield "calico.yaml", calico.resources(layout)
    yield "commands.sh", calico.commands(layout)
    found = reflectors(layout)
    for own in found:
        yield f"bird/reflector-{own.address}.conf", bird.reflector(layout, own)
        yield f"frr/reflector-{own.address}.conf", frr.reflector(layout, own)
    for group in sorted({own.group for own in found if own.group or not own.clients}):
        pair = tuple(own for own in found if own.group == group)
        yield f"bird/node-{group or 'any'}.conf", bird.node(layout, pair)
        yield f"frr/node-{group or 'any'}.conf", frr.node(layout, pair)
    if layout.design.routing == "tor":
        yield from _switches(layout)


def _switches(layout: Layout) -> Iterator[tuple[str, str]]:
    """Yield the switches' files, and those of nodes: of each rack, or of any with the same two."""
    four, six = layout.network.addresses.fabric, layout.ipv6
    for address in four:
        yield f"bird/switch-{address}.conf", bird.switch(layout, address)
        yield f"frr/switch-{address}.conf", frr.switch(layout, address)
    families = (four,) if six is None else (four, six.fabric)
    for first in range(0, len(four), PAIR):
        rack = "any" if len(four) == PAIR else f"rack-{first // PAIR + 1}"
        pairs = [each[first : first + PAIR] for each in families]
        yield f"bird/node-{rack}.conf", bird.client(layout, pairs)
        yield f"frr/node-{rack}.conf", frr.client(layout, pairs)


def _ovs(layout: Layout) -> Iterator[tuple[str, str]]:
    yield "node.sh", ovs.node(layout)


def _ovn(layout: Layout) -> Iterator[tuple[str, str]]:
    yield "node.sh", ovn.node(layout)
    if not ovn.zoned(layout):
        yield "northbound.sh", ovn.northbound(layout)
        return
    yield "transit.sh", ovn.transit()
    yield "zone.sh", ovn.zone(layout)
    yield "zones.txt", ovn.zones(layout)


_PLANES = {"calico": _calico, "ovs": _ovs, "ovn": _ovn}
