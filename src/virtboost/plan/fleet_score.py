"""What free room is good for, from nothing but arrays of it and the sizes that are asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Counts = NDArray[np.float64]
"""Whole numbers: floats divide faster, and are exact for sizes below 2^53."""

Rows = NDArray[np.intp]


class Flavor(NamedTuple):
    """The size of a guest: what it takes of each of its nodes."""

    vcpus: int
    memory_bytes: int
    cells: int


def worth(cpus: Counts, memory: Counts, asked: Counter[Flavor]) -> Counts:
    """Return what empty servers are worth: what they take of the mix, less what that strands.

    Each beside the average server: of what is asked for, in its mean proportion of memory to pCPUs,
    twice the share that its nodes take, less the pCPUs and the memory that are over then.
    """
    vcpus, size = demand(asked)
    shares = (cpus / vcpus, memory / size)
    taken = np.minimum(*shares)
    over = sum(_relative(share - taken, share) for share in shares)
    beside: Counts = 2 * _relative(taken, taken) - over
    return beside


def stranded(cpus: Counts, memory: Counts, asked: Collection[Flavor]) -> Counts:
    """Return what no guests of any mix could use of each node, in pCPUs.

    The pCPUs that would be left if all guests were those with the least memory for each, or the
    memory left if all were those with the most.  A pCPU's worth of memory is halfway between.
    """
    least, most = _proportions(asked)
    idle = np.maximum(memory - cpus * most, 0) / ((least + most) / 2)
    pcpus: Counts = np.maximum(cpus - memory / least, 0) + idle
    return pcpus


def unusable(cpus: Counts, memory: Counts, asked: Collection[Flavor]) -> Counts:
    """Return what is free of each node where no cell of any flavor fits, in pCPUs.

    The pCPUs, or the memory if it is worth more; a pCPU's worth as in ``stranded``.
    """
    fits, smallest = np.zeros(cpus.shape, bool), math.inf
    for vcpus, memory_bytes in sorted({flavor[:2] for flavor in asked}):
        if memory_bytes < smallest:
            fits |= (cpus >= vcpus) & (memory >= memory_bytes)
            smallest = memory_bytes
    least, most = _proportions(asked)
    return np.where(fits, 0, np.maximum(cpus, memory / ((least + most) / 2)))


def _proportions(asked: Collection[Flavor]) -> tuple[float, float]:
    """Return the least and the most bytes of memory that a flavor has for each vCPU."""
    ratios = [flavor.memory_bytes / flavor.vcpus for flavor in asked]
    return min(ratios), max(ratios)


def demand(asked: Counter[Flavor]) -> tuple[int, int]:
    """Return vCPUs and bytes of memory of all that was asked for."""
    vcpus = sum(count * flavor.cells * flavor.vcpus for flavor, count in asked.items())
    size = sum(count * flavor.cells * flavor.memory_bytes for flavor, count in asked.items())
    return vcpus, size


def _relative(values: Counts, beside: Counts) -> Counts:
    """Return the sum over the nodes of each server beside an average."""
    mean = float(beside.sum(1).mean())
    relative: Counts = values.sum(1) / (mean or 1.0)
    return relative


def per_node(cpus: Counts, memory: Counts, flavor: Flavor) -> Counts:
    """Return how many cells of a flavor each node could take."""
    slots = np.minimum(cpus / flavor.vcpus, memory / flavor.memory_bytes)
    whole: Counts = np.maximum(np.floor(slots), 0)
    return whole


def slots(per_node: Counts, cells: int) -> Counts:
    """Return how many guests of some cells fit: arXiv 2604.15033's VMCAP of a complete graph.

    min over r from 0 to cells - 1 of (sum less the r largest) // (cells - r).
    """
    total: Counts = per_node.sum(1)
    if cells == 1:
        return total
    if cells == per_node.shape[1]:
        return np.asarray(per_node.min(1))
    ordered = -np.sort(-per_node, axis=1)
    best: Counts = np.floor(total / cells)
    for r in range(1, cells):
        total = total - ordered[:, r - 1]
        best = np.minimum(best, np.floor(total / (cells - r)))
    return best
