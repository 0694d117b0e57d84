"""Hosts and findings as lines of text for a terminal of 80 columns, or a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from virtboost.model.block import BlockDevice
from virtboost.model.host import Host
from virtboost.model.net import NetInterface
from virtboost.model.topology import Topology
from virtboost.model.wording import listed, size
from virtboost.report.columns import wrapped
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
    cards = [nic for nic in host.net if nic.kind == "physical" and nic.role in (None, "pf")]
    for kind, named in (
        ("network cards", [(nic.name, _card(nic)) for nic in cards]),
        ("disks", [(disk.name, _disk(disk)) for disk in host.block]),
    ):
        if named:
            yield from wrapped(f"{kind}: {_alike(named)}", 80, indent=2)
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


def _card(nic: NetInterface) -> tuple[str, ...]:
    speed = f"{nic.speed_bps / 1e9:g} Gb/s" if nic.speed_bps else "down" if nic.up is False else ""
    return (speed, _node(nic.node_id))


def _disk(disk: BlockDevice) -> tuple[str, ...]:
    return (size(disk.size_bytes), _node(disk.node_id))


def _node(node_id: int | None) -> str:
    return "" if node_id is None else f"node {node_id}"


def _alike(named: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    """Return names with what is true of them: ``sda, sdb (3.6 TiB, node 0); vda (20 GiB)``."""
    alike: dict[str, list[str]] = {}
    for name, facts in named:
        alike.setdefault(", ".join(filter(None, facts)), []).append(name)
    return "; ".join(
        f"{listed(names)} ({facts})" if facts else listed(names) for facts, names in alike.items()
    )
