"""Open vSwitch on a node: rules when it starts, upcalls under the load of new connections."""

from __future__ import annotations

import numpy as np

from virtboost.net.simulate import load
from virtboost.net.simulate.case import Case
from virtboost.net.simulate.outcome import Outcome, distribution
from virtboost.net.simulate.ticks import SECOND, Nanoseconds, nanoseconds

WINDOW_S = 60.0
"""Of connections that are watched."""

MOST_CONNECTIONS = 5_000_000
"""In the window; of more a shorter one is watched."""

ONE_HANDLER = "one thread takes the upcalls; Open vSwitch begins several where there are CPUs"

READING = "reading what there is from the datastore is not in it: nobody measured that"


def rules(case: Case) -> Outcome:
    """Simulate nodes that install all their rules, or the routes of a VXLAN, at once."""
    scale, costs, forms = case.scale, case.costs, case.design.forms
    counts: dict[str, int] = {}
    peaks: dict[str, float] = {}
    if "openflow_rules" in forms:
        count = round(forms["openflow_rules"](scale).value)
        took_s = count * costs.rule_s
        counts["rules"] = count
        peaks["node_bytes"] = round(count * costs.rule_bytes)
    else:
        counts["routes"] = scale.routes
        took_s = (scale.nodes - 1) * costs.remote_s
    before_s = 0.0
    if case.design.name == "ovn-central":
        before_s = forms["logical_flows"](scale).value * costs.northd_row_s
        peaks["central_cpu_s"] = round(before_s, 9)
    return Outcome(
        scenario="start",
        times={"installed": distribution(np.full(scale.nodes, before_s + took_s))},
        counts=counts,
        peaks=peaks | {"node_cpu_s": round(took_s, 9)},
        notes=(READING,),
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
