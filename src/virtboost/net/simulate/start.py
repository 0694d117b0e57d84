"""All nodes start at once: sessions come up, routes go everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtboost.net.simulate import load
from virtboost.net.simulate.audience import heard
from virtboost.net.simulate.case import Case
from virtboost.net.simulate.outcome import Outcome, distribution
from virtboost.net.simulate.speakers import Speakers
from virtboost.net.simulate.talk import Talk
from virtboost.net.simulate.ticks import SECOND, Nanoseconds


def start(case: Case) -> Outcome:
    """Simulate the start of all daemons."""
    talk = case.talk("start", shared=True)
    talk.begin()
    talk.run()
    found = talk.found
    jobs = load.jobs(talk)
    cost = load.load(jobs, found.size)
    complete, origins, storms = _known(talk, cost)
    holders = slice(0 if found.pods_on_reflectors else found.reflectors, None)
    return Outcome(
        scenario="start",
        times={
            "sessions": distribution(np.array(talk.ups) / SECOND),
            "complete": distribution(complete[holders] / SECOND),
        },
        counts={
            "sessions": len(talk.ups),
            "attempts": talk.attempts,
            "messages": talk.messages,
            "routes": int(origins[holders].sum()) * found.blocks,
            "missing": _missing(found, origins),
        },
        peaks=_peaks(case, talk, jobs, cost)
        | {"storm_per_s": load.storm(np.array(talk.arrivals), *storms)},
    )


def _known(
    talk: Talk, cost: load.Load
) -> tuple[Nanoseconds, NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return when each daemon had all it got, of how many others; what clients heard by second.

    What clients did for it is added to the cost.
    """
    complete, origins = np.array(talk.complete), np.array(talk.heard)
    storms = []
    for some in heard(talk) if not talk.costs.cores else ():
        complete[some.clients], origins[some.clients] = some.complete, some.origins
        cost.cpu[some.clients] += some.took
        np.maximum.at(cost.queue, some.clients, some.queue)
        storms.append(some.storms)
    for place, reflector in enumerate(talk.reflectors):
        complete[place] = max(reflector.at, default=0)
        origins[place] = reflector.known - talk.found.announces(place)
    return complete, origins, storms


def _missing(found: Speakers, origins: Nanoseconds) -> int:
    """Return how many routes are not where they must be."""
    wanted = [found.origins - found.announces(place) for place in range(found.size)]
    return int(np.abs(np.array(wanted) - origins).sum()) * found.blocks


def _peaks(case: Case, talk: Talk, jobs: load.Jobs, cost: load.Load) -> dict[str, float]:
    found = talk.found
    nodes = slice(found.reflectors, None)
    peaks = {
        "node_cpu_s": cost.cpu[nodes].max() / SECOND,
        "cpu_s": cost.cpu.sum() / SECOND,
        "node_queue_s": cost.queue[nodes].max() / SECOND,
        "node_bytes": node_bytes(case, found),
    }
    if found.groups:
        peaks |= central_peaks(case, talk, jobs, cost)
    else:
        peaks["node_cores"] = load.busiest_cores(jobs, range(found.size))
    return {key: round(float(value), 9) for key, value in peaks.items()}


def central_peaks(case: Case, talk: Talk, jobs: load.Jobs, cost: load.Load) -> dict[str, float]:
    """Return what the busiest reflectors had to do."""
    reflectors = range(talk.found.reflectors)
    peers = talk.found.degrees()
    memory = (
        case.costs.bgp_bytes(peers[place], sum(held.paths) * talk.found.blocks, sum(held.paths))
        for place, held in enumerate(talk.reflectors)
    )
    return {
        "central_cpu_s": cost.cpu[: len(reflectors)].max() / SECOND,
        "central_queue_s": cost.queue[: len(reflectors)].max() / SECOND,
        "central_cores": load.busiest_cores(jobs, reflectors),
        "central_queue": load.longest_queue(jobs, reflectors),
        "central_bytes": max(memory),
    }


def node_bytes(case: Case, found: Speakers) -> float:
    """Return the memory of a node's daemon: its own paths once, others' from each master."""
    origins = 1 + max(1, found.pair) * (found.origins - 1)
    return case.costs.bgp_bytes(found.degrees()[-1], origins * found.blocks, origins)
