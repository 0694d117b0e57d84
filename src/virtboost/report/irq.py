"""Where interrupts are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.model.irq import Irq
from virtboost.model.topology import Topology


def taken(host: Host) -> dict[int, int]:
    """Return how many interrupts each pCPU took since boot; those that took none are not there."""
    total: Counter[int] = Counter()
    for irq in host.irq:
        total.update(irq.counts)
    return {pcpu: count for pcpu, count in total.items() if count}


def goes_to(irq: Irq) -> CpuSet | None:
    """Return the pCPUs that an interrupt goes to: the effective ones where the kernel tells."""
    return irq.effective_affinity or irq.affinity


def interfaces_by_cpu(host: Host) -> dict[int, tuple[str, ...]]:
    """Return the network interfaces whose interrupts go to a pCPU, where they go to one node.

    An interrupt that may go anywhere is nowhere in particular.
    """
    found: dict[int, dict[str, None]] = {}
    for irq in host.irq:
        cpus = goes_to(irq)
        if irq.interface is None or cpus is None or len(host.topology.nodes_of(cpus)) != 1:
            continue
        for pcpu in cpus:
            found.setdefault(pcpu, {})[irq.interface] = None
    return {pcpu: tuple(names) for pcpu, names in found.items()}


def by_node(irqs: Iterable[Irq], topology: Topology) -> dict[int | None, int]:
    """Return how many of the interrupts go to each node; None: to several.

    One whose affinity is not told is left out.
    """
    found: Counter[int | None] = Counter()
    for irq in irqs:
        if cpus := goes_to(irq):
            nodes = topology.nodes_of(cpus)
            found[nodes[0].id if len(nodes) == 1 else None] += 1
    return dict(found)


def amount(count: int) -> str:
    """Return a count in three digits: ``812``, ``9.4k``, ``12M``, ``1.2G``."""
    value = float(count)
    for suffix in ("", "k", "M", "G"):
        if value < 1000 or suffix == "G":
            break
        value /= 1000
    return f"{value:.1f}{suffix}" if 0 < value < 10 and suffix else f"{value:.0f}{suffix}"
