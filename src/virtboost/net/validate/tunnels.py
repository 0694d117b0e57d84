"""Networks of tunnels: costs from their starts, and what these say of a larger one."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, structs

from virtboost.net.description import Network
from virtboost.net.design import Plane
from virtboost.net.emulate.outcome import TITLES, Emulation, spread
from virtboost.net.emulate.scene import smaller
from virtboost.net.plan import DESIGNS
from virtboost.net.simulate import tunnels
from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.simulation import case_of
from virtboost.net.validate.calibrate import of_ladders
from virtboost.net.validate.calibration import Reach
from virtboost.net.validate.compare import WALL_NODES, Comparison, Size
from virtboost.net.validate.fit import Row, explained, fitted, worst
from virtboost.net.validate.rung import Run

ROUNDS = 10
"""Of fits: how often something is done depends on what it costs, where what waits is done once."""


class Kind(NamedTuple):
    """What starts of a plane tell, by field of ``Costs``; what ladders tell they take as it is."""

    cpu: tuple[str, ...]
    memory: tuple[str, ...] = ()


HELD: Mapping[str, Sequence[str]] = {
    "switch_memory": ("switch_bytes", "rule_bytes", "tunnel_bytes"),
    "controller_memory": ("controller_bytes", "controller_rule_bytes"),
}
"""Costs of a daemon, of a rule of it, and of a tunnel of its node, by key of what is measured."""

KINDS: Mapping[Plane, Kind] = {
    "calico": Kind(cpu=("agent_s", "remote_s", "watch_s")),
    "ovs": Kind(cpu=("switch_s",), memory=("switch_bytes", "tunnel_bytes")),
    "ovn": Kind(
        cpu=("switch_s", "chassis_s", "port_s", "tunnel_s", "controller_rule_s", "row_s"),
        memory=("switch_bytes", "tunnel_bytes", "controller_bytes", "controller_rule_bytes"),
    ),
}


class Start(Struct, frozen=True, kw_only=True):
    """A design of a network that starts on one machine."""

    network: Network
    design: str
    cpus: int
    """Of the machine, which all nodes share."""

    @property
    def kind(self) -> Kind:
        """What it is made of."""
        return KINDS[DESIGNS[self.design].plane]

    def at(self, nodes: int, costs: Costs) -> tunnels.Began:
        """Return what comes of so many nodes, in the simulation."""
        case = case_of(
            smaller(self.network, nodes),
            DESIGNS[self.design],
            costs=costs,
            conditions=Conditions(cores=self.cpus, typhas=False),
        )
        return tunnels.begin(case)


class Known(NamedTuple):
    """What costs are fitted to."""

    emulations: Sequence[Emulation]
    climbed: Sequence[Run]


def calibrated(start: Start, known: Known, belief: Costs) -> Costs:
    """Return the costs that explain what was measured.

    Args:
        start: Of which design.
        known: What was measured.
        belief: Costs before; where nothing was measured they stay.
    """
    costs = belief = structs.replace(of_ladders(belief, known.climbed), spawn_s=_spawn_s(known))
    for _ in range(ROUNDS):
        costs = _with(belief, start.kind.cpu, cpu_rows(start, known.emulations, costs))
    return _with(costs, start.kind.memory, memory_rows(known.emulations))


def cpu_rows(start: Start, runs: Sequence[Emulation], costs: Costs) -> list[Row]:
    """Return the CPU seconds of nodes and of what they share, and of etcd for an event.

    Args:
        start: Of which design.
        runs: What was measured.
        costs: That decide how often what waits is done.
    """
    return [row for run in runs for row in _cpu(run, start.at(run.nodes, costs))]


def _cpu(run: Emulation, began: tunnels.Began) -> Iterator[Row]:
    central_s = run.cost.central_cpu_s
    yield Row(began.nodes, run.cost.daemon_cpu_s - central_s)
    if central_s:
        yield Row(began.central, central_s)
    if "watch_cpu" in run.measures:
        yield Row({"watch_s": 1}, _told(run, "watch_cpu"))


def memory_rows(runs: Sequence[Emulation]) -> list[Row]:
    """Return the memory of all daemons that were weighed, of each network the median of all."""
    return [
        Row(_holds(run, names), _told(run, key))
        for run in runs
        for key, names in HELD.items()
        if key in run.measures
    ]


def _holds(run: Emulation, names: Sequence[str]) -> Mapping[str, float]:
    """Return how often each cost is in the memory of a daemon, by what is planned."""
    keys = ("openflow_rules", "tunnels_per_node")
    return dict(zip(names, (1, *(run.measures[key].expected.value for key in keys)), strict=False))


def compared(start: Start, costs: Costs, runs: Sequence[Emulation]) -> Iterator[Comparison]:
    """Yield what costs say of a size beside what was measured."""
    size = Size(name=f"{runs[0].nodes} nodes", runs=len(runs))
    values = structs.asdict(costs)
    for key, names in HELD.items():
        if key not in runs[0].measures:
            continue
        seen = spread(_told(run, key) for run in runs)
        row = Row(_holds(runs[0], names), seen.median)
        yield size.compared(TITLES[key], "memory", explained(row, values), seen, "B")
    began = start.at(runs[0].nodes, costs)
    cpu_s = spread(run.cost.daemon_cpu_s for run in runs)
    yield size.compared("CPU of all daemons", "cpu", began.cpu_s, cpu_s, "s")
    ways = [run.converged for run in runs if run.converged is not None]
    if ways and runs[0].nodes <= WALL_NODES:
        said = spread(began.ready)
        halves, lates = (spread(getattr(way, key) for way in ways) for key in ("median", "p95"))
        yield size.compared("50 % of nodes are ready", "middle", said.median, halves, "s")
        yield size.compared("95 % of nodes are ready", "late", said.p95, lates, "s")


def reach(start: Start, known: Known, costs: Costs) -> Reach:
    """Return how far costs are from all that they were fitted to."""
    values, held = structs.asdict(costs), memory_rows(known.emulations)
    return Reach(
        nodes=max(run.nodes for run in known.emulations),
        memory_error=worst(held, values) if held else None,
        cpu_error=worst(cpu_rows(start, known.emulations, costs), values),
        costs=start.kind.cpu + start.kind.memory,
    )


def watchers(runs: Sequence[Emulation]) -> int:
    """Return how many an etcd told; 0: there was none."""
    return round(max(_told(run, "watchers") if "watchers" in run.measures else 0 for run in runs))


def _spawn_s(known: Known) -> float:
    """Return the CPU seconds of what starts the daemons, for each node."""
    return statistics.median(run.cost.harness_cpu_s / run.nodes for run in known.emulations)


def _told(run: Emulation, key: str) -> float:
    return run.measures[key].measured.median


def _with(costs: Costs, names: Sequence[str], rows: Sequence[Row]) -> Costs:
    if not names:
        return costs
    values = {name: getattr(costs, name) for row in rows for name in row.work}
    belief = {name: values.pop(name, getattr(costs, name)) for name in names}
    return structs.replace(costs, **fitted(rows, belief, values))
