"""What a simulation says of a network as it is emulated: reflectors without pods, shared CPUs."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from virtboost.net import law
from virtboost.net.description import Network
from virtboost.net.emulate.scene import smaller
from virtboost.net.failure import Detection
from virtboost.net.plan import DESIGNS
from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.notice import silent
from virtboost.net.simulate.outcome import Outcome
from virtboost.net.simulate.simulation import simulate
from virtboost.net.validate.work import SPEAKER

SEEDS = 5
"""Of simulations, of which the median counts."""

UNIT_S = 1e-6
"""Of a cost, while all others are nothing: what comes of it is how often it is there."""

DRAWS = 100_000
"""Of a death that is noticed."""

WAKE_S = law.SCAN_S / 2
"""Between scans of BIRD: of devices, and a second after that of the kernel's table (its calls of
``poll`` time out each second, strace of 2.0.12)."""


class Said(Struct, frozen=True, kw_only=True):
    """Of a network that starts."""

    sessions: int
    routes: int
    """Put into kernels."""
    updates: int
    """Routes told, over all sessions."""
    memory: dict[str, float]
    cpu_s: float
    """Of all daemons."""
    half_s: float
    """Until half of the nodes have every route."""
    late_s: float
    """Until 95 % have."""


class Question(Struct, frozen=True, kw_only=True):
    """A design for a network, at any size."""

    network: Network
    design: str

    def start(self, nodes: int, costs: Costs, cpus: int) -> Said:
        """Return what a simulation says, on one machine with real BIRDs.

        All daemons share its CPUs.

        Args:
            nodes: With reflectors.
            costs: Of the machine.
            cpus: Of the machine.
        """
        runs = [self.run(nodes, costs, seed, cpus) for seed in range(SEEDS)]
        first = runs[0]
        blocks = smaller(self.network, nodes).blocks_per_node
        ways = [run.times["complete"] for run in runs]
        return Said(
            sessions=first.counts["sessions"],
            routes=first.counts["routes"],
            updates=first.counts["messages"] * blocks,
            memory={
                "bird_memory": first.peaks["node_bytes"],
                "reflector_memory": first.peaks.get("central_bytes", 0.0),
            },
            cpu_s=first.peaks["cpu_s"],
            half_s=statistics.median(way.p50 for way in ways),
            late_s=statistics.median(way.p95 for way in ways),
        )

    def shares(self, nodes: int, costs: Costs) -> Mapping[str, float]:
        """Return how often each cost of a BIRD is in the CPU seconds of so many that start.

        Args:
            nodes: With reflectors.
            costs: How sessions grow.
        """
        return _shares(self, nodes, costs.session_knee, costs.session_power)

    def run(self, nodes: int, costs: Costs, seed: int = 0, cpus: int = 0) -> Outcome:
        """Simulate the start of so many, with CPUs that all share, or one each (0)."""
        found = simulate(
            smaller(self.network, nodes),
            DESIGNS[self.design],
            scenarios=("start",),
            costs=costs,
            conditions=Conditions(pods_on_reflectors=False, cores=cpus, wake_s=WAKE_S),
            seed=seed,
        )
        return found.outcome("start")


@functools.cache
def _shares(question: Question, nodes: int, knee: int, power: float) -> dict[str, float]:
    nothing = dict.fromkeys(SPEAKER, 0.0)
    free = structs.replace(Costs(), session_knee=knee, session_power=power, **nothing)
    found = {}
    for name in SPEAKER:
        said = question.run(nodes, structs.replace(free, **{name: UNIT_S}))
        found[name] = said.peaks["cpu_s"] / UNIT_S
    return found


def noticed(detection: Detection, costs: Costs) -> tuple[float, float]:
    """Return the seconds until half of the peers, and 95 %, notice a silent death."""
    half, late = np.quantile(_noticed(detection, costs), (0.5, 0.95))
    return float(half), float(late)


def lateness(detection: Detection, noticed_s: Sequence[float]) -> float:
    """Return ``bfd_late_s`` of a machine: twice by how much BFD is late on average."""
    prompt = _noticed(detection, Costs(bfd_late_s=0)).mean()
    return max(0.0, 2 * (statistics.fmean(noticed_s) - float(prompt)))


def _noticed(detection: Detection, costs: Costs) -> NDArray[np.float64]:
    return silent(detection, costs, np.random.default_rng(0), DRAWS)
