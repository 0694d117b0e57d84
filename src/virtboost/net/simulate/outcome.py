"""What comes of a simulation: distributions, counts, peaks; of one run, or of many."""

from __future__ import annotations

from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Scenario = Literal[
    "start", "join", "restart", "failure", "reflector", "pods", "policy", "connections", "watch"
]
"""All nodes start at once; a node joins; a node's daemon restarts; a node dies; a reflector
dies; pods come and go; a policy changes; connections come to a node's Open vSwitch; a datastore
tells watchers of changes."""

TIMES = {
    "sessions": "a session is up after",
    "complete": "a node has every route after",
    "ready": "the reflector has told all after",
    "half": "half of the nodes reach a new pod after",
    "most": "99 % of the nodes reach a new pod after",
    "all": "every node reaches a new pod after",
    "noticed": "a peer notices after",
    "blackhole": "packets of a node are lost for",
    "waiting": "an event, message or packet waits for",
    "told": "a watcher is told after",
    "installed": "a node has its rules after",
}
"""Seconds that a simulation says, by key."""

COUNTS = {
    "sessions": "BGP sessions that came up",
    "attempts": "attempts that failed",
    "messages": "BGP messages of routes",
    "routes": "routes put into kernels",
    "events": "events given to watchers",
    "members": "members added to nodes' sets",
    "rules": "rules installed on a node",
    "upcalls": "packets that took an upcall on a node",
    "blocks": "blocks claimed",
    "bypassed": "connections that got no megaflow on a node: the limit was reached",
    "missing": "routes that are not where they must be in the end",
}
"""What a simulation counts, by key; each follows from the design and the scenario, and is exact."""

PEAKS = {
    "node_cpu_s": "CPU of the busiest node",
    "central_cpu_s": "CPU of the busiest central daemon",
    "cpu_s": "CPU of all daemons",
    "node_cores": "CPU of the busiest node, in its busiest second",
    "central_cores": "CPU of the busiest central daemon, in its busiest second",
    "node_steady_cores": "CPU of a node while nothing happens: looks at the kernel's table, BFD",
    "central_steady_cores": "the same of the busiest central daemon",
    "node_bytes": "memory of the largest daemon of a node",
    "central_bytes": "memory of the largest central daemon",
    "node_queue_s": "work that waits on a node, at most",
    "central_queue_s": "work that waits on a central daemon, at most",
    "central_queue": "messages or events that wait on a central daemon, at most",
    "node_queue": "packets that wait on a node, at most",
    "storm_per_s": "messages or events in the busiest second, over all",
}
"""The most of something in a run, by key."""


class Distribution(Struct, frozen=True, kw_only=True):
    """Seconds, over nodes, sessions, pods or events of one run."""

    count: int
    least: float
    p50: float
    p95: float
    p99: float
    most: float
    mean: float


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a scenario."""

    scenario: Scenario
    times: dict[str, Distribution]
    """By key of ``TIMES``."""
    counts: dict[str, int]
    """By key of ``COUNTS``."""
    peaks: dict[str, float]
    """By key of ``PEAKS``."""
    notes: tuple[str, ...] = ()
    """What a reader must know of it."""


class Simulation(Struct, frozen=True, kw_only=True):
    """One run: a design at a size, with a seed."""

    design: str
    nodes: int
    reflectors: int
    pods: int
    routes: int
    """To pods, one a block; in one message of a node as far as it holds them."""
    seed: int
    machine: str
    """Where the costs were measured."""
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    """What is extrapolated."""

    def outcome(self, scenario: Scenario) -> Outcome:
        """Return what came of a scenario that was run."""
        return next(each for each in self.outcomes if each.scenario == scenario)


class Study(Struct, frozen=True, kw_only=True):
    """Runs with several seeds, at several sizes."""

    schema: Literal["virtboost.net-simulation/1"] = "virtboost.net-simulation/1"
    design: str
    described_nodes: int
    runs: tuple[Simulation, ...]
    """By size, then by seed."""


def distribution(seconds: NDArray[np.floating]) -> Distribution:
    """Return how seconds are distributed; at least one is there.

    A quantile is a value that occurs: the smallest that so many are not above.
    """
    found = np.sort(seconds)
    places = [max(0, -(-len(found) * percent // 100) - 1) for percent in (50, 95, 99)]
    p50, p95, p99 = (round(float(found[place]), 9) for place in places)
    return Distribution(
        count=len(found),
        least=round(float(found[0]), 9),
        p50=p50,
        p95=p95,
        p99=p99,
        most=round(float(found[-1]), 9),
        mean=round(float(found.mean()), 9),
    )
