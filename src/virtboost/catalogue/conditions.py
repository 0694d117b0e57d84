"""Conditions that items share, and which pCPUs a host has given away."""

from __future__ import annotations

from virtboost.catalogue.item import Condition
from virtboost.model.agent import Agent
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.wording import size


def dedicated(guest: Guest) -> bool:
    """Tell whether each vCPU is pinned to one pCPU."""
    return guest.pinned and all(len(pin) == 1 for pin in guest.vcpu_pins.values())


def dedicated_guests(host: Host) -> tuple[Guest, ...]:
    """Return the running guests with one pCPU for each vCPU."""
    return tuple(guest for guest in host.running_guests if dedicated(guest))


def bound_guests(host: Host) -> tuple[Guest, ...]:
    """Return the running guests of which each vCPU stays on one NUMA node."""
    return tuple(guest for guest in host.running_guests if _bound(host, guest))


def vcpu_cpus(host: Host) -> CpuSet:
    """Return the pCPUs that running guests have for a vCPU of their own."""
    return union(pin for guest in dedicated_guests(host) for pin in guest.vcpu_pins.values())


def busy_cpus(host: Host) -> CpuSet:
    """Return the pCPUs that a vCPU or a PMD thread has for itself."""
    pmds = host.ovs.pmd_cpus if host.ovs is not None else CpuSet()
    return vcpu_cpus(host) | pmds


def given_cpus(host: Host) -> CpuSet:
    """Return the pCPUs that are not the host's own: of vCPUs, of PMD threads, isolated ones."""
    return busy_cpus(host) | host.topology.isolated


def base_page_bytes(host: Host) -> int:
    """Return how much memory running guests have on base pages, as their balloons are now."""
    return sum(
        guest.memory_bytes if guest.current_memory_bytes is None else guest.current_memory_bytes
        for guest in host.running_guests
        if not guest.page_sizes_bytes
    )


def more_than_memory(host: Host) -> str | None:
    """Say that running guests have more memory than the host; None where they have not."""
    asked, there = base_page_bytes(host), host.memory.total_bytes
    if there is None or asked <= there:
        return None
    return f"the guests have {size(asked)} and the host {size(there)}: KSM may make them fit"


def bound_bytes(guest: Guest) -> dict[int, int]:
    """Return the memory that a guest must take from one certain node, by node."""
    if not guest.cells:
        parts = [(guest.node_ids, guest.memory_mode, guest.memory_bytes)]
    else:
        parts = [
            (cell.node_ids, cell.memory_mode, cell.memory_bytes)
            if cell.node_ids is not None
            else (guest.node_ids, guest.memory_mode, cell.memory_bytes)
            for cell in guest.cells
        ]
    bound: dict[int, int] = {}
    for node_ids, mode, count_bytes in parts:
        if node_ids is not None and len(node_ids) == 1 and mode in (None, "strict", "restrictive"):
            bound[node_ids[0]] = bound.get(node_ids[0], 0) + count_bytes
    return bound


def _bound(host: Host, guest: Guest) -> bool:
    nodes = host.topology.numa_nodes
    pins = guest.vcpu_pins.values()
    return guest.pinned and all(any(pin <= node.cpus for node in nodes) for pin in pins)


def proxied_by_tap(kubelet: Agent) -> bool:
    """Tell whether the kubelet talks to its runtime through Kunpeng's TAP proxy."""
    return any("kunpeng/tap" in value for value in kubelet.options.values())


def runs_tap(host: Host) -> bool:
    """Tell whether Kunpeng TAP is here: as the kubelet's proxy, a process, or a container."""
    kubelet = host.agent("kubelet")
    return (
        (kubelet is not None and proxied_by_tap(kubelet))
        or host.agent("kunpeng-tap") is not None
        or any("kunpeng-tap" in f"{each.name} {each.image or ''}" for each in host.containers)
    )


NUMA = Condition(
    when="the host has more than one NUMA node with CPUs",
    otherwise="the host has one NUMA node",
    holds=lambda host: sum(bool(node.cpus) for node in host.topology.numa_nodes) > 1,
    gap="NUMA nodes",
)

RUNNING_GUESTS = Condition(
    when="a guest runs",
    otherwise="no guest runs",
    holds=lambda host: bool(host.running_guests),
    gap="guests",
)

WORKLOADS = Condition(
    when="guests or containers run",
    otherwise="neither guests nor containers run",
    holds=lambda host: bool(host.running_guests or host.containers),
    gap="guests",
)

DEDICATED_GUESTS = Condition(
    when="a running guest has a pCPU for each vCPU",
    otherwise="no running guest has a pCPU for each vCPU",
    holds=lambda host: bool(dedicated_guests(host)),
    gap="guests",
)

BUSY_CPUS = Condition(
    when="a vCPU or a PMD thread has a pCPU for itself",
    otherwise="no vCPU and no PMD thread has a pCPU for itself",
    holds=lambda host: bool(busy_cpus(host)),
    gap="guests",
)

BOUND_GUESTS = Condition(
    when="a running guest has each vCPU bound to one NUMA node",
    otherwise="no running guest is bound to a NUMA node",
    holds=lambda host: bool(bound_guests(host)),
    gap="guests",
)

ARM = Condition(
    when="the host is aarch64",
    otherwise="the host is not aarch64",
    holds=lambda host: host.arch == "aarch64",
)

KUNPENG = Condition(
    when="the CPU is a Kunpeng",
    otherwise="the CPU is no Kunpeng",
    holds=lambda host: host.cpu.kunpeng,
    gap="CPU identity",
)

NEW_GENERATIONS = ("new Kunpeng 920", "Kunpeng 950")
"""Generations with GICv4.1 and MPAM (BoostVirt's guides to interrupt passthrough and MPAM)."""

NEW_KUNPENG = Condition(
    when="the CPU is a new Kunpeng 920 or a Kunpeng 950",
    otherwise="the CPU is no new Kunpeng 920 and no Kunpeng 950, which have GICv4.1",
    holds=lambda host: host.cpu.generation in NEW_GENERATIONS,
    gap="CPU identity",
)

ISOLATED = Condition(
    when="the kernel isolates CPUs",
    otherwise="the kernel isolates no CPU",
    holds=lambda host: bool(host.topology.isolated),
    gap="CPUs",
)
