"""Interrupts."""

from __future__ import annotations

from msgspec import Struct

from virtboost.model.cpuset import CpuSet


class Irq(Struct, frozen=True, kw_only=True):
    """One numbered interrupt."""

    number: int
    name: str
    """What its handlers call themselves: ``mlx5_comp3@pci:0000:01:00.0``; empty without one."""
    chip: str | None
    """The interrupt controller, as ``/proc/interrupts`` tells: ``ITS-MSI``; None: not told."""
    count: int
    """Since boot, over all CPUs."""
    counts: dict[int, int]
    """Since boot, by pCPU; only pCPUs that took one."""
    affinity: CpuSet | None
    """Where it may go (``smp_affinity``); None: not readable."""
    effective_affinity: CpuSet | None
    """Where it goes (``effective_affinity``); None: not told."""
    node_id: int | None
    """NUMA node of its device; None: not told."""
    pci_address: str | None
    """The PCI function that it belongs to, by ``msi_irqs`` or by name; None: not told."""
    interface: str | None
    """The network interface that it belongs to, by device or by name; None for others."""
