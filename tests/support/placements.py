"""What must hold of every plan, said apart from the planner; and hosts and workloads to plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import strategies as st

from support.cases import capture_of
from support.synthetic import files, machines
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.host import Host
from virtboost.model.placement import GuestPlacement
from virtboost.model.plan import Plan
from virtboost.model.userfile import from_yaml
from virtboost.model.workload import Workload
from virtboost.scan.host import SOURCES, parse


def violations(host: Host, workload: Workload, plan: Plan) -> Iterator[str]:
    """Yield what a plan does that no plan may do."""
    wanted = {name: request for request in workload.requests() for name in request.names()}
    yield from _accounted(wanted, plan)
    yield from _pcpus(host, plan)
    yield from _memory(host, plan)
    for placement in plan.guests:
        yield from _shape(host, wanted[placement.name], placement)


def _accounted(wanted: dict[str, Any], plan: Plan) -> Iterator[str]:
    told = Counter([p.name for p in plan.guests] + [u.name for u in plan.unplaced])
    if told != Counter(list(wanted)):
        yield f"{told} is not what was asked for"
    if any(not unplaced.reason for unplaced in plan.unplaced):
        yield "something has no place and no reason"


def own_pcpus(placement: GuestPlacement) -> CpuSet:
    return union(vcpu.pcpus for vcpu in placement.vcpus)


def _pcpus(host: Host, plan: Plan) -> Iterator[str]:
    owners: Counter[int] = Counter()
    core_owners: dict[CpuSet, set[str]] = {}
    for placement in plan.guests:
        cpus = own_pcpus(placement)
        if not cpus <= host.topology.online:
            yield f"{placement.name} is on CPUs {cpus - host.topology.online}, which are not online"
        if placement.emulator_pcpus and not placement.emulator_pcpus <= host.topology.online:
            yield f"{placement.name}: emulator threads on CPUs that are not online"
        if not placement.dedicated:
            if not cpus <= plan.shared_pcpus:
                yield f"{placement.name} shares CPUs that are not the pool's"
            continue
        if placement.kind == "guest" and any(len(vcpu.pcpus) != 1 for vcpu in placement.vcpus):
            yield f"{placement.name} is not pinned one to one"
        owners.update(cpus)
        for core in host.topology.cores_of(cpus):
            core_owners.setdefault(core.cpus, set()).add(placement.name)
        if cpus & (plan.host_pcpus | plan.shared_pcpus | plan.free_pcpus):
            yield f"{placement.name} has CPUs of the host, of the pool or that are free"
    yield from (f"CPU {cpu} is given {count} times" for cpu, count in owners.items() if count > 1)
    yield from (f"core {core} is shared by {w}" for core, w in core_owners.items() if len(w) > 1)


def _memory(host: Host, plan: Plan) -> Iterator[str]:
    used: Counter[int] = Counter()
    for placement in plan.guests:
        used.update({cell.node_id: 0 for cell in placement.cells})
        for cell in placement.cells:
            used[cell.node_id] += cell.memory_bytes
    for node in host.topology.numa_nodes:
        if used.pop(node.id, 0) > (node.memory_bytes or 0):
            yield f"node {node.id} holds more than it has"
    if host.topology.numa_nodes:
        yield from (f"node {node_id} is none of the host's" for node_id in used)


def _shape(host: Host, request: Any, placement: GuestPlacement) -> Iterator[str]:
    name = placement.name
    if request.vcpus is not None and len(placement.vcpus) != request.vcpus:
        yield f"{name} has {len(placement.vcpus)} vCPUs and not {request.vcpus}"
    if sorted(v for cell in placement.cells for v in cell.vcpus) != list(
        range(len(placement.vcpus))
    ):
        yield f"{name}: its cells have not each vCPU once"
    if request.memory and sum(cell.memory_bytes for cell in placement.cells) < request.memory:
        yield f"{name} has less memory than it asked for"
    nodes = {node.id: node for node in host.topology.numa_nodes}
    for cell in placement.cells:
        cpus = union(v.pcpus for v in placement.vcpus if v.vcpu in cell.vcpus)
        if placement.kind == "guest" and nodes and not cpus <= nodes[cell.node_id].cpus:
            yield f"{name}: vCPUs of cell {cell.cell} are not on its node {cell.node_id}"
        if cell.memory_bytes % cell.page_size_bytes:
            yield f"{name}: memory of cell {cell.cell} is no whole number of pages"
    here = union(nodes[cell.node_id].cpus for cell in placement.cells) if nodes else None
    if here is not None and not own_pcpus(placement) <= here:
        yield f"{name}: CPUs are not on the nodes of its cells"


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """Draw a host of any topology: holes, offline CPUs, nodes without CPUs or memory."""
    return parse(capture_of({"files": files(draw(machines()))}, SOURCES))


@st.composite
def workloads(draw: st.DrawFn, most: int = 6) -> Workload:
    """Draw guests and containers of all kinds, some of which want to be near or apart."""
    guests: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, most))):
        guest: dict[str, Any] = {
            "name": f"g{number}",
            "vcpus": draw(st.integers(1, 9)),
            "memory": draw(st.sampled_from(("4MiB", "300MiB", "2GiB", "100GiB"))),
            "locality": draw(st.sampled_from(("bandwidth", "sharing", "isolation", "balanced"))),
            "cpus": draw(st.sampled_from(("dedicated", "dedicated", "shared"))),
            "iothreads": draw(st.integers(0, 2)),
            "emulator": draw(st.sampled_from(("host", "own"))),
            "cells": draw(st.sampled_from(("auto", "auto", 1, 2))),
        }
        if guests and draw(st.integers(0, 4)) == 0:
            relation = draw(st.sampled_from(("affinity", "anti_affinity")))
            guest[relation] = [draw(st.sampled_from(guests))["name"]]
        guests.append(guest)
    return workload(guests, host={"cpus": draw(st.sampled_from(("auto", 0, 1)))})


def workload(guests: list[dict[str, Any]], **more: Any) -> Workload:
    """Return a workload as its file would say it."""
    return from_yaml(yaml.safe_dump({"guests": guests, **more}), Workload, "workload.yaml")
