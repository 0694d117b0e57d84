"""Guests, containers and PMD threads on the pCPUs that they may use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct, structs

from virtboost.model.container import Container
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.topology import Topology
from virtboost.model.wording import size

COLOURS = 8
"""How many colours the picture has; then they come again, striped."""


class Workload(Struct, frozen=True, kw_only=True):
    """A guest or a container as the picture shows it."""

    tag: str = ""
    """``A``: what stands in the cells; every one has its own."""
    colour: int = 0
    """Which of the ``COLOURS``."""
    striped: bool = False
    """Whether its colour comes for the second time or later."""
    kind: str
    """``guest`` or ``container``."""
    name: str
    wants: str
    """What it has, in words: ``8 vCPUs, 16 GiB``."""
    cpus: CpuSet
    """pCPUs that its vCPUs or its processes may use."""
    helpers: CpuSet
    """pCPUs that only its emulator or I/O threads may use."""
    duties: dict[int, str]
    """By pCPU, what it does there, where that is told: ``vCPU 3``."""
    node_ids: tuple[int, ...] | None
    """NUMA nodes that its memory may come from; None: all."""
    roams: tuple[int, ...]
    """NUMA nodes where it may use every pCPU, which are more than it has vCPUs."""
    floats: bool
    """Whether it may use every pCPU of the host."""


def workloads(host: Host) -> tuple[Workload, ...]:
    """Return the running guests and the containers, tagged in the order of their first pCPU.

    What may run everywhere comes last: it is not painted.
    """
    found = (
        *(_guest(guest, host.topology) for guest in host.running_guests),
        *(_container(container, host.topology) for container in host.containers),
    )
    return tuple(
        structs.replace(workload, tag=tag(index), colour=index % COLOURS, striped=index >= COLOURS)
        for index, workload in enumerate(sorted(found, key=_place))
    )


def _place(workload: Workload) -> tuple[bool, bool, int]:
    cpus = workload.cpus | workload.helpers
    first = cpus.first if cpus else 0
    return workload.floats, bool(workload.roams), first


def tag(index: int) -> str:
    """Return ``A``, ``B``, ..., ``Z``, ``AA``, ``AB``, ... for 0, 1, 2, ..."""
    text = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        text = chr(ord("A") + letter) + text
    return text


def _guest(guest: Guest, topology: Topology) -> Workload:
    default = guest.cpuset or topology.online
    pins = [guest.vcpu_pins.get(vcpu, default) for vcpu in guest.vcpu_ids]
    cpus = union(pins or [default]) & topology.online
    emulator = guest.emulator_pins or CpuSet()
    helpers = union((emulator, *guest.iothread_pins.values())) & topology.online
    floats = topology.online <= cpus and len(cpus) > guest.vcpu_count
    return Workload(
        kind="guest",
        name=guest.name,
        wants=_guest_wants(guest),
        cpus=cpus,
        helpers=CpuSet() if floats else helpers - cpus,
        duties=_duties(guest),
        node_ids=_memory_nodes(guest),
        roams=() if floats else _roamed(cpus, guest.vcpu_count, topology),
        floats=floats,
    )


def _guest_wants(guest: Guest) -> str:
    vcpus = f"{guest.vcpu_count} vCPU{'' if guest.vcpu_count == 1 else 's'}"
    pages = [size(page) if page else "huge" for page in guest.page_sizes_bytes]
    memory = f"{size(guest.memory_bytes)} in {' and '.join(pages)} pages" if pages else ""
    return f"{vcpus}, {memory or size(guest.memory_bytes)}"


def _duties(guest: Guest) -> dict[int, str]:
    """Say which vCPU, emulator or I/O thread is pinned to a pCPU of its own."""
    pinned = [
        *((f"vCPU {vcpu}", cpus) for vcpu, cpus in guest.vcpu_pins.items()),
        *((f"I/O thread {thread}", cpus) for thread, cpus in guest.iothread_pins.items()),
        ("emulator", guest.emulator_pins or CpuSet()),
    ]
    duties: dict[int, list[str]] = {}
    for duty, cpus in pinned:
        for pcpu in cpus if len(cpus) == 1 or duty == "emulator" else ():
            duties.setdefault(pcpu, []).append(duty)
    return {pcpu: ", ".join(names) for pcpu, names in duties.items()}


def _memory_nodes(guest: Guest) -> tuple[int, ...] | None:
    nodes = set(guest.node_ids or ())
    for cell in guest.cells:
        nodes |= set(cell.node_ids or ())
    return tuple(sorted(nodes)) or None


def _container(container: Container, topology: Topology) -> Workload:
    cpus = (container.cpuset or topology.online) & topology.online
    floats = topology.online <= cpus
    quota = container.cpu_quota_ratio
    return Workload(
        kind="container",
        name=container.name,
        wants=_container_wants(container),
        cpus=cpus,
        helpers=CpuSet(),
        duties={},
        node_ids=container.node_ids,
        roams=() if floats else _roamed(cpus, quota or 0, topology),
        floats=floats,
    )


def _container_wants(container: Container) -> str:
    quota = container.cpu_quota_ratio
    limit = container.memory_limit_bytes
    told = (
        f"{quota:g} CPUs' time" if quota is not None else "",
        f"{size(limit)} at most" if limit is not None else "",
    )
    return ", ".join(text for text in told if text) or "no limits"


def _roamed(cpus: CpuSet, needed: float, topology: Topology) -> tuple[int, ...]:
    """Return the nodes that make up ``cpus`` where these are whole nodes and more than needed."""
    nodes = [node for node in topology.nodes_of(cpus) if node.cpus <= cpus]
    whole = union(node.cpus for node in nodes) == cpus
    return tuple(node.id for node in nodes) if whole and len(cpus) > needed else ()


def painted(found: Iterable[Workload]) -> Iterator[tuple[int, Workload]]:
    """Yield (pCPU, workload) for everything that is drawn in a cell."""
    for workload in found:
        cpus = CpuSet() if workload.roams or workload.floats else workload.cpus
        for pcpu in cpus | workload.helpers:
            yield pcpu, workload


def users(found: Sequence[Workload], node_id: int) -> tuple[Workload, ...]:
    """Return what takes its memory from a NUMA node by rule."""
    return tuple(w for w in found if w.node_ids is not None and node_id in w.node_ids)
