"""Where guests and containers go on a host."""

from __future__ import annotations

from msgspec import Struct

from virtboost.model.cpuset import CpuSet


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


class IothreadPlacement(Struct, frozen=True, kw_only=True):
    """On which pCPUs an I/O thread may run."""

    id: int
    pcpus: CpuSet


class GuestPlacement(Struct, frozen=True, kw_only=True):
    """Where a guest, or a container, goes."""

    name: str
    vcpus: tuple[VcpuPlacement, ...]
    cells: tuple[CellPlacement, ...]
    emulator_pcpus: CpuSet
    iothreads: tuple[IothreadPlacement, ...] = ()
    host_pcpus: CpuSet
    """pCPUs of the host's own, kept free of guests' vCPUs, on the nodes that the guest uses."""


class Unplaced(Struct, frozen=True, kw_only=True):
    """A guest or container that has no place."""

    name: str
    reason: str
    """What is missing, with the smallest change that would make it fit."""
