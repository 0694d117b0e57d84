"""Open vSwitch on a node: rules when it starts, upcalls under the load of new connections."""

from __future__ import annotations

import numpy as np

from virtboost.net.simulate import load, tunnels
from virtboost.net.simulate.case import Case
from virtboost.net.simulate.outcome import Outcome, distribution
from virtboost.net.simulate.ticks import SECOND, Nanoseconds, nanoseconds

WINDOW_S = 60.0
"""Of connections that are watched."""

MOST_CONNECTIONS = 5_000_000
"""In the window; of more a shorter one is watched."""

ONE_HANDLER = "one thread takes the upcalls; Open vSwitch begins several where there are CPUs"

FEW = (
    "what OVN's databases take was measured with few nodes at once: with hundreds it is "
    "extrapolated"
)

ALONE = "what an emulation's agents take to start is in it; nobody measured Felix, Antrea or Typha"


def rules(case: Case) -> Outcome:
    """Simulate nodes that start, are told of each other, and install their rules or routes."""
    began, forms = tunnels.begin(case), case.design.forms
    peaks = {"node_cpu_s": began.node_cpu_s, "cpu_s": began.cpu_s}
    counts = {"routes": case.scale.routes}
    if "openflow_rules" in forms:
        count = round(forms["openflow_rules"](case.scale).value)
        counts = {"rules": count}
        peaks["node_bytes"] = case.costs.switch_bytes + count * case.costs.rule_bytes
    if began.central:
        peaks["central_cpu_s"] = began.central_cpu_s
    return Outcome(
        scenario="start",
        times={"installed": distribution(np.array(began.ready))},
        counts=counts,
        peaks={key: round(value, 9) for key, value in peaks.items()},
        notes=(ALONE, *((FEW,) if case.design.plane == "ovn" else ())),
    )


def connections(case: Case) -> Outcome:
    """Simulate new connections of a node: the first packet of each takes an upcall.

    While all megaflows that the limit allows are in use, connections get none, and every packet of
    them takes an upcall; the first is counted.
    """
    rng, per_s = case.rng("connections"), case.scale.connections_per_s
    window_s = min(WINDOW_S, MOST_CONNECTIONS / per_s)
    count = max(1, int(rng.poisson(per_s * window_s)))
    came = np.sort(rng.random(count) * window_s * SECOND).astype(np.int64)
    took = nanoseconds(case.costs.upcall_s)
    before = np.arange(count) * took
    begun = np.maximum.accumulate(came - before) + before
    jobs = load.Jobs(
        who=np.zeros(count, dtype=np.int64),
        came=came,
        done=begun + took,
        took=np.full(count, took),
    )
    return Outcome(
        scenario="connections",
        times={"waiting": distribution((begun - came) / SECOND)},
        counts={"upcalls": count, "bypassed": _bypassed(case, came)},
        peaks={
            "node_cpu_s": round(count * took / SECOND, 9),
            "node_queue_s": round(float((begun - came).max() / SECOND), 9),
            "node_queue": load.longest_queue(jobs, (0,)),
            "node_cores": round(load.busiest_cores(jobs, (0,)), 9),
        },
        notes=(ONE_HANDLER,),
    )


def _bypassed(case: Case, came: Nanoseconds) -> int:
    """Return how many connections came while all megaflows were in use.

    A connection holds one for as long as it is open, and the idle time: by Little's law its
    duration is the connections that are open by those that come each second.
    """
    costs, scale = case.costs, case.scale
    stays = nanoseconds(scale.connections / scale.connections_per_s + costs.megaflow_idle_s)
    ended = np.searchsorted(came, came - stays)
    used = np.arange(len(came)) - ended
    limit = costs.megaflow_begin + costs.megaflow_growth_per_s * came / SECOND
    return int((used >= np.minimum(limit, costs.megaflow_limit)).sum())
