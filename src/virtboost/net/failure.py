"""How fast a dead node is noticed by BGP, what that costs, and what a mere restart loses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, structs

from virtboost.net import law
from virtboost.net.description import Network
from virtboost.net.design import Design
from virtboost.net.figure import NOTHING, Figure, exact, measured
from virtboost.net.scale import Scale

HOLDS_S = (240, 90, 9)
"""BIRD's own, one of RFC 4271, and the shortest that was measured."""

BFDS_MS = ((500, 16), (500, 3), (100, 3))
"""Interval and multiplier: newer Calico's, and faster."""

RESTART_TIME_S = 120
"""How long routes of a daemon that restarts gracefully are kept: BIRD's default."""

KEEPALIVES = NOTHING.without_end()
"""CPU of keepalives, one each third of the hold time in each session: nobody measured it."""

SECONDS_A_DAY = 86_400

MOST_CORES = 0.05
"""For BFD on a node where the description has no limit."""

MOST_FALSE_ALARMS = 1
"""A day, in the cluster."""


class Detection(Struct, frozen=True, kw_only=True):
    """A way to notice that a node is dead."""

    by: Literal["hold", "bfd"]
    interval_ms: int
    """Between packets of BFD; of hold, the hold time."""
    multiplier: int
    """Packets that may be missing; of hold, 1."""
    graceful_restart: bool
    """Whether routes stay while the other end's daemon restarts."""
    blackhole: Figure
    """Seconds that packets go to a dead node."""
    restart_loss: Figure
    """Seconds that a node's pods are out of reach while its daemon restarts."""
    node_cores: Figure
    """CPU of the busiest node for it."""
    false_alarms_per_day: float
    """In the cluster, of lost packets that are independent of each other."""
    stall_s: float
    """A daemon that stands still so long may be taken for dead."""
    lost_node_s_per_day: float
    """Of the cluster: failures with their blackholes, restarts with theirs, false alarms."""
    chosen: bool = False


def detections(design: Design, network: Network, scale: Scale) -> tuple[Detection, ...]:
    """Return the ways for a design; the chosen one loses least of those that can be afforded."""
    if "sessions" not in design.forms:
        return ()
    found = [
        _detection(design, network, scale, way=way, graceful=graceful)
        for way in _ways()
        for graceful in (False, True)
    ]
    limit = network.limits.node_cores or MOST_CORES
    fit = [
        each
        for each in found
        if (each.node_cores.high or 0) <= limit and each.false_alarms_per_day <= MOST_FALSE_ALARMS
    ]
    best = min(fit, key=_loss)
    return tuple(structs.replace(each, chosen=each is best) for each in found)


def _loss(way: Detection) -> tuple[float, ...]:
    """Return what a way loses a day, by one failure and one restart, and what it costs.

    Where nothing fails, or nobody said how often, all lose nothing a day.
    """
    once = way.blackhole.value + way.restart_loss.value
    return way.lost_node_s_per_day, once, way.node_cores.value


def _ways() -> Iterator[tuple[Literal["hold", "bfd"], int, int]]:
    yield from (("hold", hold * 1000, 1) for hold in HOLDS_S)
    yield from (("bfd", interval, multiplier) for interval, multiplier in BFDS_MS)


def _detection(
    design: Design,
    network: Network,
    scale: Scale,
    *,
    way: tuple[Literal["hold", "bfd"], int, int],
    graceful: bool,
) -> Detection:
    by, interval_ms, multiplier = way
    interval_s = interval_ms / 1000
    noticed = hold_time(interval_s) if by == "hold" else bfd_time(interval_s, multiplier)
    kept = exact(RESTART_TIME_S if graceful and by == "bfd" else 0)
    blackhole = noticed + kept
    loss = NOTHING if graceful else design.forms["restart"](scale)
    sessions = design.forms["sessions"](scale).value
    alarms = 0.0
    if by == "bfd":
        alarms = sessions * false_alarms(interval_s, multiplier, network.fabric.loss_ratio)
    churn = network.churn
    return Detection(
        by=by,
        interval_ms=interval_ms,
        multiplier=multiplier,
        graceful_restart=graceful,
        blackhole=blackhole,
        restart_loss=loss,
        node_cores=_cores(design, scale, interval_s) if by == "bfd" else KEEPALIVES,
        false_alarms_per_day=alarms,
        stall_s=noticed.low,
        lost_node_s_per_day=churn.node_failures_per_day * blackhole.value
        + (churn.daemon_restarts_per_day + alarms) * loss.value,
    )


def _cores(design: Design, scale: Scale, interval_s: float) -> Figure:
    """Return the CPU of BFD on the node with most sessions."""
    form = design.forms.get("sessions_per_reflector", design.forms["sessions_per_node"])
    return bfd_cores(form(scale).value, interval_s)


def hold_time(hold_s: float) -> Figure:
    """Return how long a silent death goes unnoticed with a hold time.

    The hold timer is started up to a quarter early, when the last keepalive came; that was up to
    a third of the hold time ago.  Its age at a random moment is, with the keepalive timer early
    by the same law, 0.147 of the hold time on average; so 0.875 - 0.147.
    """
    low, high = (0.75 - 1 / 3) * hold_s, hold_s
    found = measured(0.728 * hold_s, low, high, "bird-timers", "bird-failure")
    return found if hold_s <= HOLDS_S[-1] else found.elsewhere()


def bfd_time(interval_s: float, multiplier: int) -> Figure:
    """Return how long a silent death goes unnoticed with BFD; 50 ms more were seen once."""
    high = multiplier * interval_s
    return measured(high - interval_s / 2, high - interval_s, high + 0.05, "bird-failure")


def bfd_cores(sessions: float, interval_s: float) -> Figure:
    """Return the CPU of BFD on a node, which sends a packet each interval in each session."""
    return law.BFD_CPU * (sessions / interval_s)


def false_alarms(interval_s: float, multiplier: int, loss_ratio: float) -> float:
    """Return how often a day a session ends though nobody died.

    A run of ``multiplier`` losses begins at a packet with probability (1 - p) p^multiplier, in
    either direction.
    """
    packets = 2 * SECONDS_A_DAY / interval_s
    return float(packets * (1 - loss_ratio) * loss_ratio**multiplier)
