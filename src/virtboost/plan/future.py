"""How many more guests a host could take: the closed form for guests of several NUMA cells.

Source: arXiv 2604.15033, the complete-graph case: VMCAP(K_n, K_k, b) is the least, over 0 <= r < k,
of floor((sum of b minus its r largest) / (k - r)).
"""

from __future__ import annotations

from collections.abc import Sequence


def capacity(slots: Sequence[int], cells: int) -> int:
    """Return how many guests fit whose cells lie on different nodes, one slot for each cell.

    Args:
        slots: How many cells each node can still hold.
        cells: Cells of each guest, at least 1.
    """
    if cells > len(slots):
        return 0
    largest = sorted(slots, reverse=True)
    left = sum(largest)
    fits = []
    for without in range(cells):
        fits.append(left // (cells - without))
        left -= largest[without]
    return min(fits)
