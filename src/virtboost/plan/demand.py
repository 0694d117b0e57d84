"""What each guest or container needs on this very host: pages, devices' nodes, ways to lie."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

from msgspec import Struct

from virtboost.errors import InputError
from virtboost.model.cpuset import CpuSet
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.size import Size
from virtboost.model.wording import listed, size
from virtboost.model.workload import ContainerRequest, GuestRequest, Locality, Workload
from virtboost.plan.fit import CellFit, Fit, fits
from virtboost.plan.supply import Supply
from virtboost.plan.templates import filled

MILLI = 1000
"""A vCPU of the shared pool is counted in thousandths of a pCPU."""

BASE_PAGE_BYTES = 4096
"""Where the host does not tell its base page: the smallest that there is."""


class Demand(Struct, frozen=True, kw_only=True):
    """One guest or container, with everything that the host adds to the request."""

    name: str
    kind: Literal["guest", "container"]
    vcpus: int
    memory_bytes: int
    """Rounded up to whole pages."""
    page_bytes: int
    dedicated: bool
    load_milli: int
    """Of a shared one: what each vCPU takes of a pCPU, in thousandths."""
    locality: Locality
    iothreads: int
    own_emulator: bool
    """Whether its emulator threads have a core of their own."""
    cells: int | None
    """None: as few as it fits in."""
    node_ids: tuple[int, ...]
    devices: tuple[tuple[str, int | None], ...]
    """Its devices and their nodes; None is a node that is not told."""
    near: tuple[int, ...]
    """Indices of demands on whose nodes it must be."""
    apart: tuple[int, ...]
    """Indices of demands with which it shares no node."""
    pins: dict[int, int] | None
    """pCPUs by vCPU that were decided before."""
    now: CpuSet
    """pCPUs that it is pinned to now; empty where it is new or floats."""
    now_by_group: tuple[tuple[int, int], ...]
    """Index of each group of the supply that has some of them, and how many."""
    fits: tuple[Fit, ...]
    """Ways to lie on the empty host, best first."""
    refusal: str
    """Why it can never be placed here; empty otherwise."""

    @property
    def device_nodes(self) -> tuple[int, ...]:
        """The nodes of its devices that are told."""
        return tuple(node for _, node in self.devices if node is not None)

    def pcpus(self, cell: CellFit, fit: Fit, threads: int) -> int:
        """Return how many pCPUs of whole cores a cell needs.

        Emulator threads of its own have a core beside those of the first cell.
        """
        if self.own_emulator and cell is fit.cells[0]:
            return -(-cell.vcpus // threads) * threads + 1
        return cell.vcpus


def fits_alone(supply: Supply, demand: Demand, fit: Fit) -> bool:
    """Tell whether a host that holds nothing else has room for a guest that lies so."""
    return all(
        cell.memory_bytes <= supply.nodes[cell.node_id].memory_bytes
        and (
            demand.pins is not None
            or demand.pcpus(cell, fit, supply.threads) <= supply.nodes[cell.node_id].pcpus
        )
        for cell in fit.cells
        if cell.node_id in supply.nodes
    )


def demands_of(host: Host, supply: Supply, workload: Workload) -> tuple[Demand, ...]:
    """Return what is wanted, in the order of the workload.

    Raises:
        InputError: An entry lacks something, or names what the host does not have.
    """
    requests = [(name, request) for request in workload.requests() for name in request.names()]
    groups: dict[str, list[int]] = {}
    for index, (name, request) in enumerate(requests):
        for key in {name, request.name}:
            groups.setdefault(key, []).append(index)
    # Relations go both ways, whoever states them.
    near, apart = (
        _related([getattr(request, kind) for _, request in requests], groups)
        for kind in ("affinity", "anti_affinity")
    )
    shapes: dict[str, dict[str, Any]] = {}
    found = []
    for index, (name, request) in enumerate(requests):
        if request.name not in shapes:
            shapes[request.name] = _shape(host, supply, request)
        found.append(
            Demand(
                name=name,
                near=near[index],
                apart=apart[index],
                now=(now := _now(host, name)),
                now_by_group=_by_group(supply, now),
                **shapes[request.name],
            )
        )
    return tuple(found)


def _related(
    named: Sequence[tuple[str, ...]], groups: dict[str, list[int]]
) -> list[tuple[int, ...]]:
    found: list[set[int]] = [set() for _ in named]
    for index, names in enumerate(named):
        for other in (other for name in names for other in groups[name] if other != index):
            found[index].add(other)
            found[other].add(index)
    return [tuple(sorted(others)) for others in found]


def _shape(host: Host, supply: Supply, request: GuestRequest | ContainerRequest) -> dict[str, Any]:
    """Return the fields of a demand that all guests of one entry have in common."""
    said: dict[str, Any] = filled(request)
    guest = isinstance(request, GuestRequest)
    for key in ("vcpus", "memory") if guest else ("vcpus",):
        if said[key] is None:
            raise InputError(f"{request.name}: {key} is missing, and no template says it")
    vcpus, memory = int(said["vcpus"]), int(said["memory"] or 0)
    dedicated = said.get("cpus") != "shared"
    cells = said.get("cells")
    page, refusal = page_size(host, said.get("huge_pages"), memory)
    memory = -(-memory // page) * page
    shape: dict[str, Any] = {
        "kind": "guest" if guest else "container",
        "vcpus": vcpus,
        "memory_bytes": memory,
        "page_bytes": page,
        "dedicated": dedicated,
        "load_milli": -(-MILLI // 1)
        if dedicated
        else round(MILLI / (said["overcommit_ratio"] or 1)),
        "locality": said.get("locality") or "balanced",
        "iothreads": said.get("iothreads") or 0,
        "own_emulator": said.get("emulator") == "own" and dedicated,
        "cells": None if cells in (None, "auto") else cells,
        "node_ids": _nodes(supply, request),
        "devices": tuple((name, device_node(host, name)) for name in request.devices),
        "pins": said.get("pins"),
    }
    pinned = shape["pins"] is not None
    ways = (_pinned_fit(host, request.name, shape),) if pinned else tuple(_ways(supply, shape))
    refusal = refusal or ("" if ways else _too_many_cells(supply, shape))
    return {**shape, "fits": ways, "refusal": refusal}


def _ways(supply: Supply, shape: dict[str, Any]) -> Iterator[Fit]:
    found = fits(
        supply,
        shape["node_ids"],
        vcpus=shape["vcpus"],
        memory_bytes=shape["memory_bytes"],
        page_bytes=shape["page_bytes"],
        cells=shape["cells"],
        devices=[node for _, node in shape["devices"] if node is not None],
    )
    yield from sorted(
        found,
        key=lambda fit: (
            fit.distance_cost + fit.device_cost,
            len(fit.cells),
            [cell.node_id for cell in fit.cells],
        ),
    )


def _too_many_cells(supply: Supply, shape: dict[str, Any]) -> str:
    cells, nodes = shape["cells"], len(shape["node_ids"])
    if not nodes:
        return "the host has no NUMA node with online CPUs"
    if cells is not None and cells > nodes:
        return (
            f"{cells} cells need {cells} NUMA nodes, and it may use {nodes}: set cells to {nodes}"
        )
    cores = -(-shape["vcpus"] // supply.threads)
    return f"{cells} cells need {cells} whole cores and pages; it has {cores} cores: ask for fewer"


def _nodes(supply: Supply, request: GuestRequest | ContainerRequest) -> tuple[int, ...]:
    if request.nodes is None:
        return tuple(sorted(supply.nodes))
    unknown = sorted(set(request.nodes) - set(supply.nodes))
    if unknown:
        raise InputError(
            f"{request.name}: nodes: the host has no node {unknown[0]} with CPUs; "
            f"it has {listed(map(str, sorted(supply.nodes)), 16)}"
        )
    return tuple(sorted(set(request.nodes)))


def page_size(host: Host, wanted: object, memory_bytes: int) -> tuple[int, str]:
    """Return the size of the pages that back a guest, and why it can have none.

    ``auto`` takes the size of which the host has the largest pool, else its default size, else the
    largest that the guest's memory is a multiple of: never more than the memory.

    Args:
        host: What was scanned.
        wanted: ``auto``, ``none``, None or a size.
        memory_bytes: Memory of the guest.
    """
    base = host.memory.page_size_bytes or BASE_PAGE_BYTES
    sizes = host.memory.hugepage_sizes_bytes or tuple(sorted(_pools(host)))
    if wanted in (None, "none"):
        return base, ""
    if wanted != "auto":
        asked = Size.parse(str(wanted))
        if asked == base or asked in sizes:
            return int(asked), ""
        has = listed(map(size, sizes)) or "none"
        return int(asked), f"the host has no huge pages of {size(asked)}; it has {has}"
    fitting = [page for page in sizes if page <= memory_bytes and memory_bytes % page == 0]
    if not fitting:
        return base, ""
    pools = _pools(host)
    default = host.memory.default_hugepage_bytes
    return max(fitting, key=lambda page: (pools.get(page, 0), page == default, page)), ""


def _pools(host: Host) -> dict[int, int]:
    """Return bytes in pools by size of page."""
    pools: dict[int, int] = {}
    for node in host.topology.numa_nodes:
        for pool in node.hugepages:
            pools[pool.size_bytes] = pools.get(pool.size_bytes, 0) + pool.total * pool.size_bytes
    return pools


def device_node(host: Host, name: str) -> int | None:
    """Return the NUMA node of a device; None where it is not told.

    Args:
        host: What was scanned.
        name: A network interface, a disk or a PCI address.

    Raises:
        InputError: The host has no such device.
    """
    known: dict[str, int | None] = {device.address: device.node_id for device in host.pci}
    known |= {disk.name: disk.node_id for disk in host.block}
    known |= {nic.name: nic.node_id for nic in host.net if nic.kind == "physical"}
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"the host has no device {name!r}{hint}")
    return known[name]


def _pinned_fit(host: Host, name: str, shape: dict[str, Any]) -> Fit:
    """Return where pins that were decided put a guest: its cells are the nodes of its pCPUs."""
    pins: dict[int, int] = shape["pins"]
    if sorted(pins) != list(range(shape["vcpus"])):
        raise InputError(f"{name}: pins: name each of the vCPUs 0 to {shape['vcpus'] - 1} once")
    off = sorted(set(pins.values()) - set(host.topology.online))
    if off:
        raise InputError(f"{name}: pins: CPU {off[0]} is not online on this host")
    if len(set(pins.values())) < len(pins):
        raise InputError(f"{name}: pins: two vCPUs are on one pCPU")
    by_node: dict[int, int] = {}
    for pcpu in sorted(pins.values()):
        for node in host.topology.nodes_of(CpuSet((pcpu,))):
            by_node[node.id] = by_node.get(node.id, 0) + 1
    total, page = shape["memory_bytes"], shape["page_bytes"]
    shares = {node: total * count // len(pins) // page * page for node, count in by_node.items()}
    if shares:
        shares[min(shares)] += total - sum(shares.values())
    return Fit(
        cells=tuple(
            CellFit(node_id=node, vcpus=by_node[node], memory_bytes=shares[node])
            for node in sorted(by_node)
        ),
        distance_cost=0,
        device_cost=0,
    )


def _now(host: Host, name: str) -> CpuSet:
    """Return the pCPUs that a running guest or a container has for itself now."""
    for guest in host.running_guests:
        if guest.name == name:
            return exclusive(guest)
    for container in host.containers:
        if container.name == name and container.cpuset is not None:
            return container.cpuset
    return CpuSet()


def _by_group(supply: Supply, cpus: CpuSet) -> tuple[tuple[int, int], ...]:
    if not cpus:
        return ()
    counts = ((g.index, sum(len(core & cpus) for core in g.cores)) for g in supply.groups)
    return tuple((index, count) for index, count in counts if count)


def exclusive(guest: Guest) -> CpuSet:
    """Return the pCPUs of a guest that has one for each vCPU; empty where it has not."""
    pins: Callable[[], Iterable[CpuSet]] = guest.vcpu_pins.values
    if not guest.pinned or any(len(cpus) != 1 for cpus in pins()):
        return CpuSet()
    return CpuSet(cpus.first for cpus in pins())
