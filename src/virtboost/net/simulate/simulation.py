"""A network's control plane simulated: scenarios that fit its design, with one seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virtboost.errors import InputError
from virtboost.net import failure
from virtboost.net.description import Network
from virtboost.net.design import Design
from virtboost.net.scale import Scale, scale_of
from virtboost.net.simulate import change, churn, fanout, start, switch
from virtboost.net.simulate.case import BGP, SCENARIOS, Case
from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.extent import extent
from virtboost.net.simulate.outcome import Outcome, Scenario, Simulation

MOST_MESH = 3_000
"""Nodes of a mesh that is simulated: 4.5 million sessions."""

MOST_SHARED = 1_000
"""Nodes that share CPUs: more than an emulation has."""

_RUNS: dict[Scenario, Callable[[Case], Outcome]] = {
    "start": lambda case: (start.start if case.design.routing in BGP else switch.rules)(case),
    "join": change.join,
    "restart": change.restart,
    "failure": change.failure,
    "reflector": change.reflector,
    "pods": churn.pods,
    "policy": fanout.policy,
    "connections": switch.connections,
    "watch": fanout.watch,
}


def simulate(
    network: Network,
    design: Design,
    *,
    scenarios: Sequence[Scenario] | None = None,
    costs: Costs | None = None,
    conditions: Conditions | None = None,
    seed: int = 0,
    nodes: int | None = None,
) -> Simulation:
    """Simulate a design of a network.

    Args:
        network: What is described.
        design: One of ``plan.DESIGNS``.
        scenarios: What happens; None: all that fit.
        costs: Of a machine; None: the defaults.
        conditions: Timers and what else is given; None: as planned.
        seed: Of all that is random: the same seed gives the same result.
        nodes: As many instead, with racks, services and churn in proportion.

    Raises:
        InputError: A scenario does not fit, or the network is too small or too large for it.
    """
    case = case_of(network, design, costs=costs, conditions=conditions, seed=seed, nodes=nodes)
    chosen = _chosen(case, scenarios)
    found = case.speakers() if design.routing in BGP else None
    routes = case.scale.routes if found is None else found.origins * found.blocks
    return Simulation(
        design=design.name,
        nodes=case.scale.nodes,
        reflectors=0 if found is None else found.reflectors,
        pods=case.scale.pods,
        routes=routes,
        seed=seed,
        machine=case.costs.machine,
        outcomes=tuple(_RUNS[each](case) for each in chosen),
        notes=tuple(extent(case, network)),
    )


def case_of(
    network: Network,
    design: Design,
    *,
    costs: Costs | None = None,
    conditions: Conditions | None = None,
    seed: int = 0,
    nodes: int | None = None,
) -> Case:
    """Return what all scenarios of a run have in common; see ``simulate``."""
    given = conditions or Conditions()
    scale = scale_of(network)
    case = Case(
        design=design,
        scale=scale if nodes is None else scale.at(nodes),
        block_pods=1 << (32 - network.addresses.block),
        costs=costs or Costs(),
        conditions=given,
        detection=given.detection or _planned(design, network, scale),
        seed=seed,
    )
    _require_size(case)
    return case


def _planned(design: Design, network: Network, scale: Scale) -> failure.Detection | None:
    """Return how the plan lets a death be noticed: at the described size, whatever is run."""
    found = failure.detections(design, network, scale)
    return next((each for each in found if each.chosen), None)


def _require_size(case: Case) -> None:
    least, most = max(2, case.design.least_nodes), None
    if case.design.routing == "mesh":
        most = MOST_MESH
    if case.scale.nodes < least:
        raise InputError(f"{case.design.name}: from {least} nodes on")
    if case.conditions.cores:
        most = MOST_SHARED
    if most is not None and case.scale.nodes > most:
        raise InputError(f"{case.design.name}: simulated up to {most:,} nodes")


def _chosen(case: Case, scenarios: Sequence[Scenario] | None) -> tuple[Scenario, ...]:
    reasons = {each: _excluded(case, each) for each in SCENARIOS}
    if scenarios is None:
        return tuple(each for each in SCENARIOS if reasons[each] is None)
    for each in scenarios:
        if reasons[each] is not None:
            raise InputError(f"--scenario {each}: {reasons[each]}")
    return tuple(each for each in SCENARIOS if each in scenarios)


def _excluded(case: Case, scenario: Scenario) -> str | None:
    """Return why a scenario does not fit."""
    return _not_of_design(case, scenario) or _not_of_network(case.scale, scenario)


def _not_of_design(case: Case, scenario: Scenario) -> str | None:
    name, routing = case.design.name, case.design.routing
    if scenario == "start" and routing == "tor":
        return f"{name}: what the switches' BGP costs, nobody measured"
    if scenario in ("join", "restart", "failure") and routing not in BGP:
        return f"{name}: its nodes do not speak BGP with each other"
    if scenario == "reflector" and routing not in ("reflectors", "groups"):
        return f"{name} has none"
    if scenario in ("pods", "policy", "watch") and "watchers" not in case.design.forms:
        return f"{name}: what its databases cost for each reader, nobody measured"
    if scenario == "connections" and case.design.plane == "calico":
        return f"{name} has no Open vSwitch"
    return None


def _not_of_network(scale: Scale, scenario: Scenario) -> str | None:
    if scenario in ("pods", "watch") and not scale.pods_per_s:
        return "churn.pods_per_s is 0"
    if scenario == "policy" and not scale.selectors:
        return "policies.selectors is 0"
    if scenario == "connections" and not scale.connections_per_s:
        return "traffic.connections_per_s is 0"
    return None
