"""One host and everything that is to run on it, ready to be planned."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from virtboost.errors import InputError
from virtboost.model.container import Container
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.topology import Topology
from virtboost.model.workload import GuestRequest, Workload
from virtboost.plan.demand import Demand, demands_of
from virtboost.plan.supply import Supply, guest_bytes, roams, supply_of


class Problem(Struct, frozen=True, kw_only=True):
    """What is to be planned."""

    host: Host
    supply: Supply
    demands: tuple[Demand, ...]
    notes: tuple[str, ...]
    """What could not be known, and who stays where it is."""


def problem_of(host: Host, workload: Workload) -> Problem:
    """Return what is to be planned; what runs and is not in the workload stays where it is.

    Raises:
        InputError: The workload names what the host does not have, or contradicts itself.
    """
    names = {name for request in workload.requests() for name in request.names()}
    staying, notes = _staying(host, names)
    decided = _decided(host, workload)
    if not decided.isdisjoint(staying):
        raise InputError(f"pins: CPUs {decided & staying} belong to what runs there already")
    taken = _with_siblings(host.topology, decided | staying)
    others = [guest for guest in host.running_guests if guest.name not in names]
    supply = supply_of(host, workload.host, taken, guest_bytes(host, others))
    return Problem(
        host=host,
        supply=supply,
        demands=demands_of(host, supply, workload),
        notes=(*supply.notes, *notes),
    )


def _staying(host: Host, names: set[str]) -> tuple[CpuSet, list[str]]:
    """Return the pCPUs of what runs and is not planned, and notes on it."""
    taken, notes = CpuSet(), []
    for user, cpus in _users(host):
        if user.name in names:
            continue
        if cpus is None or roams(host.topology, cpus):
            notes.append(f"{user.name} runs and floats: it may use the pCPUs of this plan too")
        else:
            notes.append(f"{user.name} runs and is not planned: it keeps CPUs {cpus}")
            taken |= cpus
    return taken, notes


def _users(host: Host) -> Iterator[tuple[Guest | Container, CpuSet | None]]:
    for guest in host.running_guests:
        yield guest, union(guest.vcpu_pins.values()) if guest.pinned else None
    for container in host.containers:
        yield container, container.cpuset


def _decided(host: Host, workload: Workload) -> CpuSet:
    """Return the pCPUs that pins of the workload take, and refuse those that take one twice."""
    owners: dict[int, str] = {}
    for request in workload.requests():
        pins = request.pins if isinstance(request, GuestRequest) else None
        for pcpu in sorted(set((pins or {}).values())):
            for mate in _with_siblings(host.topology, CpuSet((pcpu,)) if pcpu >= 0 else CpuSet()):
                owner = owners.setdefault(mate, request.name)
                if owner != request.name:
                    raise InputError(
                        f"pins: {owner} and {request.name} would share the core of CPU {pcpu}"
                    )
    pinned = [
        pcpu
        for request in workload.guests
        for pcpu in (request.pins or {}).values()
        if pcpu in host.topology.online
    ]
    return CpuSet(pinned)


def _with_siblings(topology: Topology, cpus: CpuSet) -> CpuSet:
    """Return some pCPUs with every one that shares a core with them."""
    return cpus | union(core.cpus for core in topology.cores_of(cpus))
