"""The ways in which one guest can lie on NUMA nodes: which nodes, and what of it on each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

from msgspec import Struct

from virtboost.plan.supply import LOCAL, Supply

SETS_OF_NODES = 256
"""Where there are more sets of nodes of one size, each node with its nearest is tried."""

CENTI = 100
"""Distances are counted in hundredths, so that sums are whole numbers."""

DEVICE_WEIGHT = 0.5
"""What a device's distance counts beside that of memory, which every access of a vCPU may meet."""


class CellFit(Struct, frozen=True, kw_only=True):
    """One cell of a guest on one node."""

    node_id: int
    vcpus: int
    memory_bytes: int


class Fit(Struct, frozen=True, kw_only=True):
    """One way in which a guest can lie on nodes."""

    cells: tuple[CellFit, ...]
    """By rising id of the node; each on a node of its own."""
    distance_cost: int
    """vCPUs times the mean SLIT distance above local between its cells, in hundredths."""
    device_cost: int
    """The same between its cells and its devices, weighted with ``DEVICE_WEIGHT``."""

    @property
    def node_ids(self) -> frozenset[int]:
        """The nodes that it uses."""
        return frozenset(cell.node_id for cell in self.cells)


def split(total: int, parts: int, grain: int = 1) -> tuple[int, ...]:
    """Divide a quantity in parts as equal as whole grains allow, the larger first.

    Raises:
        ValueError: There are more parts than grains.
    """
    grains = -(-total // grain)
    if parts > grains:
        raise ValueError(f"{total} in grains of {grain} has no {parts} parts")
    each, more = divmod(grains, parts)
    sizes = [(each + (index < more)) * grain for index in range(parts)]
    sizes[-1] -= sum(sizes) - total
    return tuple(sizes)


def fits(
    supply: Supply,
    node_ids: Sequence[int],
    *,
    vcpus: int,
    memory_bytes: int,
    page_bytes: int,
    cells: int | None,
    devices: Sequence[int] = (),
) -> Iterator[Fit]:
    """Yield every way in which a guest can lie on nodes, whatever else is there.

    Args:
        supply: The host.
        node_ids: Nodes that it may use.
        vcpus: vCPUs of the guest.
        memory_bytes: Its memory, a multiple of ``page_bytes``.
        page_bytes: Size of the pages that back it.
        cells: How many cells it has; None: any number.
        devices: The node of each of its devices.
    """
    counts = range(1, len(node_ids) + 1) if cells is None else (cells,)
    for count in counts:
        if count > -(-vcpus // supply.threads) or (
            memory_bytes and count > memory_bytes // page_bytes
        ):
            return
        cpus = split(vcpus, count, supply.threads)
        memory = split(memory_bytes, count, page_bytes) if memory_bytes else (0,) * count
        for chosen in _sets(supply, node_ids, count):
            yield Fit(
                cells=tuple(
                    CellFit(node_id=node_id, vcpus=cpu_count, memory_bytes=size)
                    for node_id, cpu_count, size in zip(chosen, cpus, memory, strict=True)
                ),
                distance_cost=_between(supply, chosen, chosen, vcpus),
                device_cost=round(
                    DEVICE_WEIGHT
                    * sum(_between(supply, chosen, (node,), vcpus) for node in devices)
                ),
            )


def _sets(supply: Supply, node_ids: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    if math.comb(len(node_ids), count) <= SETS_OF_NODES:
        yield from combinations(sorted(node_ids), count)
        return
    found = set()
    for first in node_ids:
        near = sorted(node_ids, key=lambda node: (supply.distance(first, node), node))
        found.add(tuple(sorted(near[:count])))
    yield from sorted(found)


def _between(supply: Supply, ones: Sequence[int], others: Sequence[int], vcpus: int) -> int:
    """Return vCPUs times the mean distance above local between two sets of nodes, in hundredths."""
    above = sum(supply.distance(one, other) - LOCAL for one in ones for other in others)
    return round(CENTI * vcpus * above / (len(ones) * len(others)))
