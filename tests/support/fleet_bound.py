"""What no placement whatever can do better, by linear programming."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ortools.linear_solver import pywraplp

from virtboost.model.fleet_plan import FleetRequest, FleetServer

GIB = 1 << 30


def least_beyond_any_mix(
    servers: Sequence[FleetServer], asked: Sequence[FleetRequest], most_servers: int
) -> float:
    """Return the least pCPUs, and memory in pCPUs, that some of so many servers leave to no use.

    Guests, servers and vCPUs may be split here, and rules are left out: no plan is below this.
    A pCPU's worth of memory is halfway between the least and the most for each vCPU of a request.
    """
    vcpus: Counter[float] = Counter()
    for request in asked:
        vcpus[request.memory_bytes / request.vcpus / GIB] += request.vcpus
    shapes = Counter(
        tuple((n.cpus, n.memory_bytes / GIB) for n in server.nodes) for server in servers
    )
    solver = pywraplp.Solver.CreateSolver("GLOP")
    used = {shape: solver.NumVar(0, count, "") for shape, count in shapes.items()}
    nodes = [_node(solver, vcpus, *node, used[shape]) for shape in shapes for node in shape]
    solver.Add(sum(used.values()) <= most_servers)
    for number, ratio in enumerate(sorted(vcpus)):
        solver.Add(sum(takes[number] for takes, _ in nodes) == vcpus[ratio])
    solver.Minimize(sum(over for _, over in nodes))
    if solver.Solve() != pywraplp.Solver.OPTIMAL:
        raise AssertionError("the servers are too few, or the solver gave up")
    return float(solver.Objective().Value())


def _node(
    solver: Any, vcpus: Counter[float], cpus: int, memory: float, used: Any
) -> tuple[list[Any], Any]:
    """Return vCPUs on the nodes of a shape by memory for each, and the pCPUs that are over."""
    ratios = sorted(vcpus)
    takes = [solver.NumVar(0, solver.infinity(), "") for _ in ratios]
    over_cpus, over_memory = (solver.NumVar(0, solver.infinity(), "") for _ in range(2))
    cpus_left = cpus * used - sum(takes)
    memory_left = memory * used - sum(r * take for r, take in zip(ratios, takes, strict=True))
    solver.Add(cpus_left >= 0)
    solver.Add(memory_left >= 0)
    solver.Add(over_cpus >= cpus_left - memory_left * (1 / ratios[0]))
    solver.Add(over_memory >= memory_left - cpus_left * ratios[-1])
    return takes, over_cpus + over_memory * (2 / (ratios[0] + ratios[-1]))
