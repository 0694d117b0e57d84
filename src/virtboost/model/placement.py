"""Where guests and containers go on a host."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import GuestTopology


class VcpuPlacement(Struct, frozen=True, kw_only=True):
    """On which pCPUs a vCPU may run."""

    vcpu: int
    """Number of the vCPU, from 0."""
    pcpus: CpuSet


class CellPlacement(Struct, frozen=True, kw_only=True):
    """A NUMA cell of a guest and the node that holds it."""

    cell: int
    """Number of the guest's cell, from 0."""
    node_id: int
    vcpus: CpuSet
    memory_bytes: int
    page_size_bytes: int
    """Size of the pages that back it: a huge page, or the host's base page."""
    distances: dict[int, int] = {}
    """SLIT distance to each cell of the guest, by cell, as the host's nodes have it."""

    @property
    def pages(self) -> int:
        """How many pages of its size back it."""
        return -(-self.memory_bytes // self.page_size_bytes)


class IothreadPlacement(Struct, frozen=True, kw_only=True):
    """On which pCPUs an I/O thread may run."""

    id: int
    pcpus: CpuSet


class GuestPlacement(Struct, frozen=True, kw_only=True):
    """Where a guest, or a container, goes."""

    name: str
    kind: Literal["guest", "container"] = "guest"
    """A guest of libvirt, or a container, whose CPUs are one set."""
    dedicated: bool = True
    """Whether its pCPUs are its own; else each vCPU may use the shared pool of its node."""
    vcpus: tuple[VcpuPlacement, ...]
    cells: tuple[CellPlacement, ...]
    emulator_pcpus: CpuSet
    iothreads: tuple[IothreadPlacement, ...] = ()
    host_pcpus: CpuSet
    """pCPUs of the host's own, kept free of guests' vCPUs, on the nodes that the guest uses."""
    topology: GuestTopology | None = None
    """What the guest is to be told of its CPUs; None: the truth has no regular form, or there is
    nothing to tell (a container, a shared pool)."""
    caches: dict[str, int] = {}
    """Sizes in bytes of what its pCPUs have, by ``l1d``, ``l1i``, ``l2``, ``l3``; empty where the
    host does not tell, or they differ."""
    why: tuple[str, ...] = ()
    """Why it is here, in sentences."""
    given_up: tuple[str, ...] = ()
    """What it would rather have."""
    better: tuple[str, ...] = ()
    """What would give it that."""

    @property
    def memory_bytes(self) -> int:
        """Memory of all cells."""
        return sum(cell.memory_bytes for cell in self.cells)

    @property
    def node_ids(self) -> tuple[int, ...]:
        """NUMA nodes that hold its cells, each once, the smallest first."""
        return tuple(sorted({cell.node_id for cell in self.cells}))

    @property
    def pcpus(self) -> CpuSet:
        """PCPUs of all its vCPUs."""
        return union(vcpu.pcpus for vcpu in self.vcpus)


class Unplaced(Struct, frozen=True, kw_only=True):
    """A guest or container that has no place."""

    name: str
    reason: str
    """What is missing, with the smallest change that would make it fit."""
