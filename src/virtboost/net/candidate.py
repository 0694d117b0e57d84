"""One design at one size: its figures, what rules it out, where it ends first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from virtboost.net import gate, quantity
from virtboost.net.addressing import AddressPlan, address_plan, ipv6_plan
from virtboost.net.description import Network
from virtboost.net.design import Ceiling, Design, Plane
from virtboost.net.figure import Figure, exact, published
from virtboost.net.mtu import Mtu, mtu
from virtboost.net.scale import Scale

STEP = 1.05
"""Ratio of the sizes at which a ceiling is looked for; between two it is halved."""

FARTHEST = 1_000_000
"""Nodes beyond which nobody looks."""

WIREGUARD_STREAM = published(7.9, "infrabuilder")
"""Of Calico, Gbit/s."""

IPSEC = "bytes and throughput of IPsec"


class Bottleneck(Struct, frozen=True, kw_only=True):
    """What ends a design first when the network grows."""

    what: str
    limit: float
    unit: quantity.Unit
    nodes: int | None
    """Nodes from which on it is above the limit; None: no size to a million."""
    headroom_ratio: float | None
    """Of that to the nodes that there are; None: as ``nodes``."""
    hard: bool
    """Whether nothing gets over it; else nobody has shown that it works beyond."""
    source: str
    remedy: str


class Candidate(Struct, frozen=True, kw_only=True):
    """A design for a network."""

    name: str
    title: str
    plane: Plane
    excluded: tuple[str, ...]
    """Why it cannot be; empty: it can."""
    warnings: tuple[str, ...]
    """Where it is beyond what anybody has shown."""
    quantities: dict[str, Figure]
    mtu: Mtu
    addresses: AddressPlan
    ipv6: AddressPlan | None
    """Of IPv6; None: no such addresses are described."""
    bottleneck: Bottleneck
    unknown: tuple[str, ...]
    """What of its cost nobody measured."""
    score: float | None = None
    """How much worse than the best in every metric, as a weighted geometric mean; 1: the best in
    all; None: excluded."""
    front: bool = False
    """Whether no other is better in one metric and worse in none."""


def candidate(design: Design, network: Network, scale: Scale) -> Candidate:
    """Return a design sized for a network."""
    over, warnings = excess(design, network, scale)
    room = gate.room(design, network)
    ipsec = "encryption" in network.wants and design.plane != "calico"
    return Candidate(
        name=design.name,
        title=design.title,
        plane=design.plane,
        excluded=(*gate.gates(design, network), *((room,) if room else ()), *over),
        warnings=warnings,
        quantities=quantities(design, network, scale),
        mtu=mtu(design, network),
        addresses=address_plan(design, network),
        ipv6=ipv6_plan(design, network),
        bottleneck=bottleneck(design, network, scale),
        unknown=(*design.unknown, *((IPSEC,) if ipsec else ())),
    )


def quantities(design: Design, network: Network, scale: Scale) -> dict[str, Figure]:
    """Return the figures of a design, in the order of ``QUANTITIES``."""
    found = {key: form(scale) for key, form in design.forms.items()}
    found["overhead"] = exact(1 - mtu(design, network).payload_ratio)
    found["untested"] = _untested(design, scale)
    if "encryption" in network.wants:
        found.pop("stream", None)
        if design.plane == "calico":
            found["stream"] = WIREGUARD_STREAM
        else:
            found["overhead"] = found["overhead"].without_end()
    foreign = any(group.architecture != "x86_64" for group in network.groups())
    return {
        key: found[key].elsewhere() if foreign and kind.machine else found[key]
        for key, kind in quantity.QUANTITIES.items()
        if key in found
    }


def _untested(design: Design, scale: Scale) -> Figure:
    tested = [each for each in design.ceilings if each.kind == "tested"]
    return exact(max([1, *(each.form(scale).value / each.limit for each in tested)]))


def excess(
    design: Design, network: Network, scale: Scale
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what is above a hard ceiling, and above a soft one or perhaps above a hard one."""
    hard, soft = [], []
    if scale.nodes < design.least_nodes:
        hard.append(f"needs {design.least_nodes} nodes: two reflect for others")
    for ceiling in gate.ceilings(design, network):
        figure = ceiling.form(scale)
        if figure.low > ceiling.limit and ceiling.kind == "hard":
            hard.append(_told(ceiling, figure))
        elif figure.value > ceiling.limit:
            soft.append(_told(ceiling, figure))
        elif figure.high is None or figure.high > ceiling.limit:
            soft.append(f"perhaps {_told(ceiling, figure, sure=False)}")
    return tuple(hard), tuple(soft)


def _told(ceiling: Ceiling, figure: Figure, *, sure: bool = True) -> str:
    """Return a ceiling and what there is; where that is not sure, how much there may be."""
    source = f" ({ceiling.source})" if ceiling.source else ""
    remedy = f"; cure: {ceiling.remedy}" if ceiling.remedy else ""
    limit, here = (quantity.amount(each, ceiling.unit) for each in (ceiling.limit, figure.value))
    if not sure and figure.high is None:
        here = f"at least {quantity.amount(figure.low, ceiling.unit)}, and nobody measured the rest"
    elif not sure and figure.high is not None:
        here += f", to {quantity.amount(figure.high, ceiling.unit)}"
    return f"{ceiling.what}: {limit}, here {here}{source}{remedy}"


def bottleneck(design: Design, network: Network, scale: Scale) -> Bottleneck:
    """Return the ceiling that a growing network meets first, or has met; but for settings."""
    ends = [each for each in gate.ceilings(design, network) if each.kind != "setting"]
    found = [(_met(each, scale), each) for each in ends]
    nodes, first = min(found, key=lambda pair: pair[0] or FARTHEST + 1)
    return Bottleneck(
        what=first.what,
        limit=first.limit,
        unit=first.unit,
        nodes=nodes,
        headroom_ratio=None if nodes is None else nodes / scale.nodes,
        hard=first.kind == "hard",
        source=first.source,
        remedy=first.remedy,
    )


def _met(ceiling: Ceiling, scale: Scale) -> int | None:
    """Return the fewest nodes with which a ceiling is met."""
    return first_size(lambda nodes: ceiling.form(scale.at(nodes)).value > ceiling.limit)


def first_size(holds: Callable[[int], bool]) -> int | None:
    """Return the fewest nodes for which something holds; it may hold again later, after a gap.

    A span that is narrower than a step of 5 % may be missed.
    """
    below = 0
    for nodes in sizes(FARTHEST):
        if holds(nodes):
            return halved(holds, below, nodes)
        below = nodes
    return None


def sizes(most: int) -> Iterator[int]:
    """Yield sizes from 1 to ``most``, each at most 5 % larger or one more."""
    nodes = 1
    while nodes < most:
        yield nodes
        nodes = max(nodes + 1, int(nodes * STEP))
    yield most


def halved(holds: Callable[[int], bool], below: int, above: int) -> int:
    """Return where something begins to hold that does not at ``below`` and does at ``above``."""
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if holds(middle) else (middle, above)
    return above
