"""NUMA nodes and their pools of huge pages."""

from __future__ import annotations

from msgspec import Struct

from virtboost.model.cpuset import CpuSet


class HugepagePool(Struct, frozen=True, kw_only=True):
    """The huge pages of one size on one NUMA node."""

    size_bytes: int
    total: int
    """Pages in the pool (``nr_hugepages``)."""
    free: int
    """Pages that nobody uses (``free_hugepages``)."""
    surplus: int = 0
    """Pages above ``nr_hugepages`` by overcommit (``surplus_hugepages``)."""


class NumaNode(Struct, frozen=True, kw_only=True):
    """A NUMA node of the host; it may have no CPU or no memory."""

    id: int
    cpus: CpuSet
    """Online pCPUs; empty for a node of memory only."""
    memory_bytes: int | None
    """``MemTotal`` of the node; 0 for a node without memory, None where it is not told."""
    free_bytes: int | None = None
    """``MemFree`` of the node; None where it is not told."""
    distances: dict[int, int]
    """SLIT distance to each node, by node id; 10 is local, no unit."""
    hugepages: tuple[HugepagePool, ...]

    def pool(self, size_bytes: int) -> HugepagePool | None:
        """Return the pool of one page size."""
        return next((pool for pool in self.hugepages if pool.size_bytes == size_bytes), None)
