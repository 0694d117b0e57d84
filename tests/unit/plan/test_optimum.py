"""The optimum that the solver proves is that of trying everything, on hosts small enough for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.cases import patched_host
from support.placements import workload
from virtboost.errors import InputError
from virtboost.model.host import Host
from virtboost.model.workload import Workload
from virtboost.plan.assignment import Assignment, Placed, compatible, free_bytes, free_cores
from virtboost.plan.demand import Demand
from virtboost.plan.future import capacity
from virtboost.plan.plan import plan_host
from virtboost.plan.problem import problem_of
from virtboost.plan.score import objective, total
from virtboost.plan.supply import Supply


def small_host() -> Host:
    """Return two nodes of two CPU clusters of two cores, by JSON merge patch of the base host."""
    groups = [{"id": n, "socket_id": 36, "cpus": f"{2 * n}-{2 * n + 1}"} for n in range(4)]
    return patched_host(
        {
            "topology": {
                "online": "0-7",
                "sockets": [{"id": 36, "cpus": "0-7", "node_ids": [0, 1]}],
                "dies": [
                    {"id": 0, "socket_id": 36, "cpus": "0-3"},
                    {"id": 1, "socket_id": 36, "cpus": "4-7"},
                ],
                "clusters": [{**group, "inferred": False} for group in groups],
                "cores": [{"id": n, "socket_id": 36, "cpus": str(n)} for n in range(8)],
                "caches": [],
                "numa_nodes": [
                    {
                        "id": node,
                        "cpus": f"{4 * node}-{4 * node + 3}",
                        "memory_bytes": 8 << 30,
                        "free_bytes": 8 << 30,
                        "distances": {"0": 10 + 6 * node, "1": 16 - 6 * node},
                        "hugepages": [],
                    }
                    for node in range(2)
                ],
            }
        }
    )


def ways(supply: Supply, demand: Demand) -> Iterator[Placed]:
    """Yield every way to lie with every choice of cores, of guests with pCPUs of their own."""
    for fit in demand.fits:
        by_cell = []
        for cell in fit.cells:
            need = demand.pcpus(cell, fit, supply.threads)
            groups = supply.nodes[cell.node_id].groups
            counts = itertools.product(*(range(len(group.cores) + 1) for group in groups))
            by_cell.append(
                [
                    {g.index: n for g, n in zip(groups, count, strict=True) if n}
                    for count in counts
                    if sum(count) == need
                ]
            )
        for chosen in itertools.product(*by_cell):
            yield Placed(fit=fit, cores={k: n for part in chosen for k, n in part.items()})


def allowed(supply: Supply, demands: Sequence[Demand], found: Assignment) -> bool:
    if min(free_cores(supply, found).values(), default=0) < 0:
        return False
    if min(free_bytes(supply, found).values(), default=0) < 0:
        return False
    for one, other in itertools.combinations(found.placed, 2):
        for near, related in ((True, demands[one].near), (False, demands[one].apart)):
            if other in related and not compatible(
                found.placed[one].fit, found.placed[other].fit, near=near
            ):
                return False
        for alone, with_ in ((one, other), (other, one)):
            mine, theirs = found.placed[alone].cores, found.placed[with_].cores
            if demands[alone].locality == "isolation" and set(mine) & set(theirs):
                return False
    return True


def least(supply: Supply, demands: Sequence[Demand]) -> int:
    """Return the least cost of all placements, each guest placed somehow or not at all."""
    choices = [[None, *ways(supply, demand)] for demand in demands]
    costs = []
    for chosen in itertools.product(*choices):
        placed = {n: one for n, one in enumerate(chosen) if one is not None}
        found = Assignment(placed=placed, pool={})
        if allowed(supply, demands, found):
            costs.append(total(objective(supply, demands, found)))
    return min(costs)


def needs_both_nodes(shape: dict[str, Any]) -> bool:
    """Tell whether a guest, with the pCPU of its emulator, has no place on a node of 4 pCPUs."""
    return shape.get("cells") == 2 or shape["vcpus"] + ("emulator" in shape) > 4


GUESTS = st.lists(
    st.fixed_dictionaries(
        {
            "vcpus": st.integers(1, 4),
            "memory": st.sampled_from(("1GiB", "3GiB", "6GiB")),
            "locality": st.sampled_from(("bandwidth", "sharing", "isolation", "balanced")),
        },
        optional={"cells": st.sampled_from((1, 2)), "emulator": st.just("own")},
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=25, deadline=None)
@given(GUESTS, st.sampled_from(("affinity", "anti_affinity", None)))
def test_the_proved_optimum_is_that_of_trying_everything(
    shapes: list[dict[str, Any]], relation: str | None
) -> None:
    guests = [{"name": f"g{n}", **shape} for n, shape in enumerate(shapes)]
    if relation is not None and len(guests) > 1:
        guests[1][relation] = ["g0"]
    host, asked = small_host(), workload(guests, host={"cpus": 0, "memory": "1GiB"})
    problem = problem_of(host, asked)
    try:
        made = plan_host(host, asked, limit_s=5)
    except InputError:
        # Only a guest on both nodes contradicts one that must be apart from it.
        assert relation == "anti_affinity"
        assert any(needs_both_nodes(shape) for shape in shapes)
        return
    assert made.optimal, "so small a host must be proved"
    assert total(made.objective) == least(problem.supply, problem.demands)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(1, 4))
def test_capacity_is_that_of_trying_everything(slots: list[int], cells: int) -> None:
    """The closed form of arXiv 2604.15033 beside a search over every order of placing guests."""
    seen: dict[tuple[int, ...], int] = {}

    def most(left: tuple[int, ...]) -> int:
        if left not in seen:
            after = [
                tuple(sorted(n - (i in chosen) for i, n in enumerate(left)))
                for chosen in itertools.combinations(range(len(left)), cells)
                if all(left[i] for i in chosen)
            ]
            seen[left] = max((1 + most(each) for each in set(after)), default=0)
        return seen[left]

    assert capacity(slots, cells) == most(tuple(sorted(slots)))


def test_sharing_is_packed_and_bandwidth_is_spread() -> None:
    """wayca-scheduler on Kunpeng 920: a lock wants one cluster, STREAM all of them."""

    def clusters(locality: str) -> int:
        asked: Workload = workload(
            [{"name": "g", "vcpus": 2, "memory": "1GiB", "locality": locality}],
            host={"cpus": 0, "memory": "1GiB"},
        )
        made = plan_host(small_host(), asked, limit_s=1)
        return len({vcpu.pcpus.first // 2 for vcpu in made.guests[0].vcpus})

    assert (clusters("sharing"), clusters("bandwidth")) == (1, 2)


@pytest.mark.parametrize("limit_s", [0, 1])
def test_a_guest_too_large_for_a_node_goes_to_the_nearest_nodes(limit_s: float) -> None:
    """Kunpeng 920's SLIT: 10 12 20 22; node 0's nearest is 1, in its own socket."""
    asked = workload(
        [{"name": "big", "vcpus": 6, "memory": "2GiB", "nodes": [0, 1, 2, 3]}],
        host={"cpus": 0, "memory": "1GiB"},
    )
    made = plan_host(patched_host({}), asked, limit_s=limit_s)
    assert {cell.node_id for cell in made.guests[0].cells} in ({0, 1}, {2, 3})
