"""Hosts and findings as lines of text for a terminal of 80 columns, or a pipe."""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.model.host import Host
from virtboost.model.topology import Topology
from virtboost.model.wording import size
from virtboost.report.printable import printable


def host_lines(name: str, host: Host) -> Iterator[str]:
    """Yield what a person wants to know first of a host."""
    yield printable(f"{host.hostname or name}: {machine(host)}")
    yield printable(f"  {counts(host.topology)}")
    for node in host.topology.numa_nodes:
        pages = ", ".join(
            f"{pool.free}/{pool.total} free of {size(pool.size_bytes)}"
            for pool in node.hugepages
            if pool.total
        )
        cpus = f"CPUs {node.cpus}" if node.cpus else "no CPUs"
        distances = " ".join(str(distance) for distance in node.distances.values())
        yield printable(f"  node {node.id}: {cpus}, {size(node.memory_bytes)}, {distances}")
        if pages:
            yield f"          huge pages: {pages}"
    for gap in host.gaps:
        yield printable(f"  cannot tell {gap.what}: {gap.path}: {gap.reason}")


def machine(host: Host) -> str:
    """Return what machine it is, in a line."""
    model = host.cpu.generation or host.cpu.model or host.cpu.vendor or "unknown CPU"
    server = " ".join(part for part in (host.firmware.vendor, host.firmware.product) if part)
    kernel = f"Linux {host.kernel.release}" if host.kernel.release else None
    parts = (host.arch, model, server, size(host.memory.total_bytes), kernel)
    return ", ".join(part for part in parts if part)


def counts(topology: Topology) -> str:
    """Return how many of what the host has."""
    counted = (
        ("socket", len(topology.sockets)),
        ("die", len(topology.dies)),
        ("NUMA node", len(topology.numa_nodes)),
        ("CPU cluster", len(topology.shared_clusters)),
        ("core", len(topology.cores)),
        ("CPU", len(topology.online)),
    )
    text = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for word, n in counted if n)
    extra = (("offline", topology.offline), ("isolated", topology.isolated))
    return text + "".join(f", {word} {cpus}" for word, cpus in extra if cpus)
