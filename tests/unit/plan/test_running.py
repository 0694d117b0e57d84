"""A host as it runs is a workload, and a host as planned is one that needs no plan."""

import pytest
from msgspec.structs import replace

from support.cases import patched_host
from support.placements import violations, workload
from virtboost.catalogue.catalogue import ITEMS
from virtboost.check.judge import check
from virtboost.model.change import ContainerUpdate, GuestMemoryPolicy, GuestVcpuPin
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.model.numa import HugepagePool
from virtboost.model.plan import Plan
from virtboost.plan.fleet_file import fleet_server
from virtboost.plan.plan import plan_host
from virtboost.plan.planned import planned_host
from virtboost.plan.running import running_workload

ASKED = workload(
    [
        {"name": "db", "vcpus": 2, "memory": "2GiB", "huge_pages": "2MiB", "iothreads": 1},
        {"name": "wide", "vcpus": 5, "memory": "4GiB", "cells": 2},
    ]
)


@pytest.fixture(scope="module")
def before() -> Host:
    return patched_host({})


@pytest.fixture(scope="module")
def made(before: Host) -> Plan:
    return plan_host(before, ASKED, limit_s=1)


def test_pins_of_the_planned_host_are_those_of_the_plan(before: Host, made: Plan) -> None:
    after = planned_host(before, made)
    for placement in made.guests:
        guest = next(guest for guest in after.guests if guest.name == placement.name)
        assert guest.vcpu_pins == {vcpu.vcpu: vcpu.pcpus for vcpu in placement.vcpus}
        assert guest.node_ids == tuple(sorted({cell.node_id for cell in placement.cells}))


def test_a_check_finds_nothing_wrong_with_a_planned_host(before: Host, made: Plan) -> None:
    """The catalogue was written apart from the planner: what it warns of, no plan may do."""
    report = check(planned_host(before, made), ITEMS, name="planned")
    wrong = [each for each in report.findings if each.severity != "advice"]
    assert [(each.item, each.object, each.found) for each in wrong] == []


def test_what_runs_as_planned_stays(before: Host, made: Plan) -> None:
    after = planned_host(before, made)
    asked = running_workload(after)
    assert {request.name for request in asked.requests()} == {"db", "wide"}
    again = plan_host(after, asked, limit_s=1)
    assert list(violations(after, asked, again)) == []
    moves = (GuestVcpuPin, GuestMemoryPolicy, ContainerUpdate)
    assert [change for change in again.changes if isinstance(change, moves)] == []


def test_a_guest_that_straddles_is_moved_together() -> None:
    """Two vCPUs on nodes 0 and 3, memory on node 0: the plan puts them on one node."""
    host = patched_host(
        {
            "guests": [
                {
                    "name": "torn",
                    "vcpu_count": 2,
                    "max_vcpu_count": 2,
                    "vcpu_pins": {"0": "1", "1": "13"},
                    "node_ids": [0],
                    "memory_mode": "strict",
                }
            ]
        }
    )
    asked = running_workload(host)
    made = plan_host(host, asked, limit_s=1)
    pins = [change for change in made.changes if isinstance(change, GuestVcpuPin)]
    assert pins
    cpus = CpuSet(vcpu.pcpus.first for vcpu in made.guests[0].vcpus)
    assert any(cpus <= node.cpus for node in host.topology.numa_nodes)


def test_floating_guests_share_with_the_ratio_that_they_have() -> None:
    """20 vCPUs on the 16 pCPUs of the base host: two for each pCPU, rounded up."""
    guest = {"name": "f", "vcpu_count": 20, "max_vcpu_count": 20, "vcpu_pins": {}}
    (asked,) = running_workload(patched_host({"guests": [guest]})).guests
    assert (asked.cpus, asked.overcommit_ratio) == ("shared", 2)


@pytest.mark.parametrize("pages", [(), (2 << 20,)])
def test_memory_of_a_guest_that_stays_is_not_given_again(pages: tuple[int, ...]) -> None:
    """Node 0 has 64 GiB, the guest that runs there 40: of 30 GiB more there is no room."""
    host = patched_host(
        {
            "guests": [
                {
                    "name": "there",
                    "vcpu_count": 1,
                    "max_vcpu_count": 1,
                    "vcpu_pins": {"0": "2"},
                    "memory_bytes": 40 << 30,
                    "page_sizes_bytes": pages,
                    "node_ids": [0],
                }
            ],
        }
    )
    first, *others = host.topology.numa_nodes
    pools = [HugepagePool(size_bytes=page, total=(40 << 30) // page, free=0) for page in pages]
    first = replace(first, free_bytes=(first.free_bytes or 0) - (40 << 30), hugepages=tuple(pools))
    host = replace(host, topology=replace(host.topology, numa_nodes=(first, *others)))
    asked = workload([{"name": "more", "vcpus": 1, "memory": "30GiB", "nodes": [0]}])
    assert [each.name for each in plan_host(host, asked, limit_s=0).unplaced] == ["more"]
    assert fleet_server("host", host).nodes[0].memory_bytes < 24 << 30


def test_what_no_workload_can_name_stays() -> None:
    """A name with a control character, and a container that is called like a guest."""
    torn = {"vcpu_count": 1, "max_vcpu_count": 1, "vcpu_pins": {"0": "5"}}
    guests = [{"name": "bad\x1b[2J", **torn}, {"name": "both", **torn}]
    host = patched_host({"guests": guests, "containers": [{"name": "both", "cpuset": "9"}]})
    asked = running_workload(host)
    assert [each.name for each in asked.requests()] == ["both"]
    made = plan_host(host, asked, limit_s=0)
    assert made.guests[0].pcpus.isdisjoint(CpuSet.parse("5"))
