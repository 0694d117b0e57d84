"""A datastore that tells watchers of changes, itself or through Typhas, one after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from virtboost.net.calico import typhas
from virtboost.net.simulate import load
from virtboost.net.simulate.case import Case
from virtboost.net.simulate.outcome import Outcome, distribution
from virtboost.net.simulate.ticks import SECOND, Nanoseconds, nanoseconds

CELLS = 30_000_000
"""Of an array: events by nodes."""

WINDOW_S = 60.0
"""That is watched, or as long as the array holds."""

ONE_THREAD = (
    "the datastore and each Typha tell one watcher after the other; more threads are faster"
)

AGENTS = 2
"""Connections of a node to its Typha: Felix and confd (``typha-two``)."""


class Told(NamedTuple):
    """When nodes hear of events, and what that takes."""

    at: Nanoseconds
    """By event and node."""
    waited: Nanoseconds
    """By event: until the datastore began to tell of it."""
    jobs: load.Jobs
    """Of the datastore (0) and of each Typha."""
    deliveries: int


def tell(case: Case, came: Nanoseconds) -> Told:
    """Return when each node is told of each event.

    Args:
        case: A design whose agents watch a datastore.
        came: When events come, in order.
    """
    nodes, cost = case.scale.nodes, nanoseconds(case.costs.watch_s)
    link = nanoseconds(case.costs.link_s)
    relays = typhas(case.scale) if "typhas" in case.design.forms else 0
    watchers = relays or nodes
    begun = _begun(came, watchers * cost)
    turns = np.arange(1, watchers + 1) * cost
    told = begun[:, None] + turns + link
    jobs = [_jobs(0, came, begun, watchers * cost)]
    deliveries = len(came) * watchers
    if relays:
        clients = np.bincount(np.arange(nodes) % relays, minlength=relays) * AGENTS
        starts = np.stack(
            [_begun(column, each * cost) for column, each in zip(told.T, clients, strict=True)],
            axis=1,
        )
        jobs += [
            _jobs(relay + 1, told[:, relay], starts[:, relay], int(clients[relay]) * cost)
            for relay in range(relays)
        ]
        node = np.arange(nodes)
        told = starts[:, node % relays] + (AGENTS * (node // relays) + 1) * cost + link
        deliveries += len(came) * nodes * AGENTS
    merged = load.Jobs(*(np.concatenate(parts) for parts in zip(*jobs, strict=True)))
    return Told(at=told, waited=begun - came, jobs=merged, deliveries=deliveries)


def watch(case: Case) -> Outcome:
    """Simulate watchers that are told of pods that come and go."""
    came = arrivals(case, case.rng("watch"), 2 * case.scale.pods_per_s)
    told = tell(case, came)
    return Outcome(
        scenario="watch",
        times={
            "waiting": distribution(told.waited / SECOND),
            "told": distribution((told.at - came[:, None]).ravel() / SECOND),
        },
        counts={"events": told.deliveries},
        peaks=peaks(told),
        notes=(ONE_THREAD,),
    )


def policy(case: Case) -> Outcome:
    """Simulate a policy with a new selector: every node makes a set of the pods that it matches."""
    scale = case.scale
    told = tell(case, np.zeros(1, dtype=np.int64))
    took = nanoseconds(scale.selected * case.costs.member_s)
    return Outcome(
        scenario="policy",
        times={
            "told": distribution(told.at[0] / SECOND),
            "installed": distribution((told.at[0] + took) / SECOND),
        },
        counts={"events": told.deliveries, "members": scale.selected * scale.nodes},
        peaks=peaks(told) | {"node_cpu_s": took / SECOND},
        notes=(ONE_THREAD,),
    )


def arrivals(case: Case, rng: np.random.Generator, per_s: float) -> Nanoseconds:
    """Return when changes come, at random, in as long as can be held; one at least."""
    window_s = min(WINDOW_S, CELLS / (per_s * case.scale.nodes)) if per_s else 0.0
    count = max(1, int(rng.poisson(per_s * window_s)))
    return np.sort(rng.random(count) * window_s * SECOND).astype(np.int64)


def peaks(told: Told) -> dict[str, float]:
    """Return what the datastore and the Typhas had to do at most."""
    places = range(int(told.jobs.who[-1]) + 1)
    cost = load.load(told.jobs, len(places))
    busiest = {
        "central_cpu_s": cost.cpu.max() / SECOND,
        "central_queue_s": cost.queue.max() / SECOND,
        "central_cores": load.busiest_cores(told.jobs, places),
        "central_queue": load.longest_queue(told.jobs, places),
        "storm_per_s": load.storm(told.at.ravel()),
    }
    return {key: round(float(value), 9) for key, value in busiest.items()}


def _begun(came: Nanoseconds, took: int) -> Nanoseconds:
    """Return when a thread begins with each of what comes to it in order, all as long."""
    before = np.arange(len(came)) * took
    return np.maximum.accumulate(came - before) + before


def _jobs(who: int, came: Nanoseconds, begun: Nanoseconds, took: int) -> load.Jobs:
    return load.Jobs(
        who=np.full(len(came), who), came=came, done=begun + took, took=np.full(len(came), took)
    )
