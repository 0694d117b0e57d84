"""Costs and conditions of BGP in whole nanoseconds, so that sums do not depend on their order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.speakers import Speakers

Nanoseconds = NDArray[np.int64]

SECOND = 1_000_000_000


class Ticks(NamedTuple):
    """Nanoseconds."""

    begin: int
    spawn: int
    sessions: list[int]
    """Of one end of a session, by the place of the daemon."""
    take: int
    """To take in the routes of one daemon."""
    install: int
    """To put them into the kernel."""
    tell: int
    """To send them to one peer."""
    link: int
    burst: int
    burst_sessions: int
    delay: int
    retry: int
    error: int
    error_most: int
    advertise: int
    down: int
    closed: int
    kernel: int
    """For a reflector to put a route into its kernel: nothing where it has no pods."""
    cores: int
    wake: int
    early: float
    """The part of a timer by which it is early at most."""


def ticks(costs: Costs, conditions: Conditions, found: Speakers) -> Ticks:
    """Return what jobs of the daemons of a network take."""
    return Ticks(
        begin=nanoseconds(costs.begin_s),
        spawn=nanoseconds(costs.spawn_s),
        sessions=[nanoseconds(costs.session(peers)) for peers in found.degrees()],
        take=nanoseconds(costs.receive_s * found.blocks + costs.message_s),
        install=nanoseconds(costs.install_s * found.blocks),
        tell=nanoseconds(costs.send_s * found.blocks + costs.message_s),
        link=max(1, nanoseconds(costs.link_s)),
        burst=nanoseconds(costs.burst_s),
        burst_sessions=costs.burst_sessions,
        delay=nanoseconds(conditions.connect_delay_s),
        retry=nanoseconds(conditions.connect_retry_s),
        error=nanoseconds(conditions.error_wait_s),
        error_most=nanoseconds(conditions.error_wait_most_s),
        advertise=nanoseconds(conditions.advertise_s),
        down=nanoseconds(conditions.down_s),
        closed=nanoseconds(costs.closed_s),
        kernel=nanoseconds(costs.install_s * found.blocks) * found.pods_on_reflectors,
        cores=conditions.cores,
        wake=nanoseconds(conditions.wake_s),
        early=costs.early_ratio,
    )


def nanoseconds(seconds: float) -> int:
    """Return seconds as whole nanoseconds."""
    return round(seconds * SECOND)


def early(most: int, ratio: float, rng: np.random.Generator, count: int) -> Nanoseconds:
    """Return timers of at most ``most``, each started early by a part that is drawn uniformly."""
    return most - (rng.random(count) * (ratio * most)).astype(np.int64)
