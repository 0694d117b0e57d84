"""What a validation is to do."""

from __future__ import annotations

from msgspec import Struct

from virtboost.errors import InputError
from virtboost.net import failure
from virtboost.net.calico import DESIGNS
from virtboost.net.description import Network
from virtboost.net.emulate.scene import BY_BGP, MOST_NODES, WITHOUT_BGP, runnable
from virtboost.net.failure import Detection
from virtboost.net.scale import scale_of

MOST_REPEATS = 100

TIMERS = (("bfd", 500, 3), ("bfd", 100, 3), ("hold", 9_000, 1))
"""By what a death is noticed, between packets in ms, packets that may be missing."""


class Order(Struct, frozen=True, kw_only=True):
    """Sizes, and how often each is run."""

    design: str
    sizes: tuple[int, ...]
    """Nodes of the networks that costs are fitted to."""
    hold_out: int
    """Of the network that is predicted."""
    repeats: int
    """Of each size, and of cuts with each timer."""
    ladder: bool
    """Whether single daemons meet loads of much larger networks too."""

    @property
    def by_bgp(self) -> bool:
        """Whether nodes speak BGP; else they are joined by tunnels."""
        return self.design in BY_BGP


def order(
    network: Network,
    *,
    design: str | None,
    sizes: str,
    hold_out: int,
    repeats: int,
    ladder: bool,
) -> Order:
    """Return what is to be done for a network.

    Raises:
        InputError: A size cannot be run, or the one held out is not the largest.
    """
    numbers = _numbers(sizes)
    chosen = runnable(network, design, (*BY_BGP, *WITHOUT_BGP))
    most = min(network.node_count, MOST_NODES)
    least = max(3, chosen.least_nodes)
    for number in (*numbers, hold_out):
        if not least <= number <= most:
            raise InputError(f"{number} nodes: {chosen.name} can be run with {least} to {most}")
    if hold_out <= max(numbers):
        raise InputError(f"--hold-out {hold_out}: must be more than the {max(numbers)} of --sizes")
    if not 1 <= repeats <= MOST_REPEATS:
        raise InputError(f"--repeats: from 1 to {MOST_REPEATS}")
    return Order(
        design=chosen.name, sizes=numbers, hold_out=hold_out, repeats=repeats, ladder=ladder
    )


def _numbers(text: str) -> tuple[int, ...]:
    try:
        found = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(f"--sizes {text}: numbers of nodes with commas between") from None
    if len(found) < 2:
        raise InputError(f"--sizes {text}: two at least, or nothing tells how costs grow")
    return found


def timers(network: Network) -> tuple[Detection, ...]:
    """Return the ways to notice a death that are tried."""
    mesh = next(each for each in DESIGNS if each.name == "calico-mesh")
    ways = failure.detections(mesh, network, scale_of(network))
    return tuple(
        next(
            way
            for way in ways
            if (way.by, way.interval_ms, way.multiplier) == wanted and not way.graceful_restart
        )
        for wanted in TIMERS
    )
