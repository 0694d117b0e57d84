"""A host as a person would draw it: boxes, what is in them, and who may use it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from virtboost.model.host import Host
from virtboost.model.numa import NumaNode
from virtboost.report.cell import FLAGS, Cell, cells
from virtboost.report.device import Device, devices
from virtboost.report.irq import amount, taken
from virtboost.report.memory import Part, memory_parts, pool_label
from virtboost.report.topology import Drawing, draw
from virtboost.report.workload import Workload, users, workloads

SHADES = 4
"""How many shades of distance a person can tell apart."""

MEMORY_KEY = {
    "pages-used": "huge pages in use",
    "pages-free": "huge pages that are free",
    "used": "other memory in use",
    "free": "free memory",
    "unknown": "memory of which it is not told whether it is free",
}
"""What the colours of a memory bar say."""


class NodeView(Struct, frozen=True, kw_only=True):
    """What stands in the box of a NUMA node beside its CPUs."""

    node: NumaNode
    parts: tuple[Part, ...]
    """Of its memory."""
    pools: tuple[str, ...]
    roaming: tuple[Workload, ...]
    """What may use every pCPU of it."""
    users: tuple[Workload, ...]
    """What has its memory here by rule."""
    devices: tuple[Device, ...]
    interrupts: str
    """How many interrupts its pCPUs took, ``12M``; empty where that is not told."""
    nearest: int | None
    """For a node without CPUs: the node with CPUs that it is nearest to."""
    shades: dict[int, int]
    """How far each other node is, by node id: 0 is local, ``SHADES`` the farthest of the host."""


class Picture(Struct, frozen=True, kw_only=True):
    """Everything that the page draws of a host."""

    drawing: Drawing
    cells: dict[int, Cell]
    nodes: dict[int, NodeView]
    workloads: tuple[Workload, ...]
    floating: tuple[Workload, ...]
    """What may use every pCPU of the host."""
    unplaced: tuple[Device, ...]
    """Devices whose node is not told."""
    flags: dict[str, str]
    """The flags that some pCPU has, and what they say."""
    inferred: bool
    """Whether the CPU clusters are inferred."""
    pmd: bool
    """Whether some pCPU runs a PMD thread."""
    helpers: bool
    """Whether some pCPU runs only emulator or I/O threads of a guest."""
    most_interrupts: str
    """How many the pCPU took that took most; empty where that is not told."""
    memory_key: dict[str, str]
    """The kinds of memory that some bar has, and what they say."""


def picture(host: Host) -> Picture:
    """Return what to draw of a host."""
    drawing = draw(host.topology)
    found = workloads(host)
    placed = devices(host, found)
    drawn = cells(host, found, room=3 if drawing.cell_px > 30 else 2)
    flags = {flag for cell in drawn.values() for flag in cell.flags}
    nodes = {node.id: _node(host, node, found, placed) for node in host.topology.numa_nodes}
    kinds = {part.kind for view in nodes.values() for part in view.parts}
    counts = taken(host)
    return Picture(
        drawing=drawing,
        cells=drawn,
        nodes=nodes,
        workloads=found,
        floating=tuple(workload for workload in found if workload.floats),
        unplaced=tuple(device for device in placed if device.node_id not in nodes),
        flags={flag: text for flag, text in FLAGS.items() if flag in flags},
        inferred=any(cluster.inferred for cluster in host.topology.shared_clusters),
        helpers=any(workload.helpers for workload in found),
        pmd=any(cell.pmd for cell in drawn.values()),
        most_interrupts=amount(max(counts.values())) if counts else "",
        memory_key={kind: text for kind, text in MEMORY_KEY.items() if kind in kinds},
    )


def _node(
    host: Host, node: NumaNode, found: Sequence[Workload], placed: Sequence[Device]
) -> NodeView:
    counts = taken(host)
    total = sum(counts.get(pcpu, 0) for pcpu in node.cpus)
    return NodeView(
        node=node,
        parts=memory_parts(node),
        pools=tuple(pool_label(pool) for pool in node.hugepages if pool.total or pool.surplus),
        roaming=tuple(workload for workload in found if node.id in workload.roams),
        users=users(found, node.id),
        devices=tuple(device for device in placed if device.node_id == node.id),
        interrupts=amount(total) if counts and node.cpus else "",
        nearest=_nearest(host, node),
        shades=_shades(host, node),
    )


def _nearest(host: Host, node: NumaNode) -> int | None:
    if node.cpus:
        return None
    others = [other for other in host.topology.numa_nodes if other.cpus]
    reached = [
        (node.distances[other.id], other.id) for other in others if other.id in node.distances
    ]
    return min(reached)[1] if reached else None


def _shades(host: Host, node: NumaNode) -> dict[int, int]:
    """Rank the distances of a node among all of the host."""
    told = {d for other in host.topology.numa_nodes for d in other.distances.values()}
    ranks = {distance: rank for rank, distance in enumerate(sorted(told))}
    last = max(len(ranks) - 1, 1)
    return {
        other: math.ceil(SHADES * ranks[distance] / last)
        for other, distance in node.distances.items()
    }
