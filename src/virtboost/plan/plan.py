"""One host and a workload -> a plan: a fast heuristic, then the optimum as far as time allows."""

from __future__ import annotations

from msgspec.structs import replace

from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.model.placement import Unplaced
from virtboost.model.plan import Plan
from virtboost.model.workload import Workload
from virtboost.plan.assignment import Assignment
from virtboost.plan.changes import changes_of
from virtboost.plan.conflict import refuse_contradictions
from virtboost.plan.explain import explained, refusal
from virtboost.plan.greedy import greedy
from virtboost.plan.pinning import pinned, placement_of
from virtboost.plan.polish import polished
from virtboost.plan.problem import Problem, problem_of
from virtboost.plan.score import objective

WITHOUT_SOLVER = (
    "OR-Tools is not installed: nothing is proved to be the best: pip install 'virtboost[plan]'"
)


def plan_host(host: Host, workload: Workload, *, limit_s: float, anew: bool = False) -> Plan:
    """Return where everything of a workload goes on a host.

    Args:
        host: What was scanned.
        workload: What is to run there; what runs there already and is not in it stays.
        limit_s: How long to look for the optimum, in deterministic seconds; 0: not at all.
        anew: Whether what runs may go anywhere, as if a move cost nothing.

    Raises:
        InputError: The workload names what the host does not have, or contradicts itself.
    """
    problem = problem_of(host, workload)
    if anew:
        still = (replace(demand, now=CpuSet(), now_by_group=()) for demand in problem.demands)
        problem = replace(problem, demands=tuple(still))
    refuse_contradictions(problem.supply, problem.demands)
    start = greedy(problem.supply, problem.demands)
    start = polished(problem.supply, problem.demands, start)
    try:
        from virtboost.plan.exact import Solved, improve  # noqa: PLC0415 (an extra)
    except ImportError:
        return _plan(problem, start, optimal=False, gap=None, more=(WITHOUT_SOLVER,))
    solved: Solved = improve(problem.supply, problem.demands, start, limit_s)
    return _plan(problem, solved.assignment, optimal=solved.optimal, gap=solved.gap)


def _plan(
    problem: Problem,
    assignment: Assignment,
    *,
    optimal: bool,
    gap: float | None,
    more: tuple[str, ...] = (),
) -> Plan:
    supply, demands = problem.supply, problem.demands
    pinning = pinned(supply, demands, assignment)
    placements = tuple(
        explained(problem, assignment, index, placement_of(problem, index, placed, pinning))
        for index, placed in sorted(assignment.placed.items())
    )
    unplaced = tuple(
        Unplaced(name=demand.name, reason=refusal(problem, assignment, index))
        for index, demand in enumerate(demands)
        if index not in assignment.placed
    )
    return Plan(
        hostname=problem.host.hostname,
        host_pcpus=supply.host_pcpus,
        shared_pcpus=pinning.pool(supply.groups),
        free_pcpus=pinning.free,
        guests=placements,
        changes=changes_of(problem.host, supply, placements),
        unplaced=unplaced,
        objective=objective(supply, demands, assignment),
        optimal=optimal if demands else None,
        gap=gap,
        notes=(*problem.notes, *more),
    )
