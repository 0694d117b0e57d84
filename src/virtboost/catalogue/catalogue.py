"""Every item, by id."""

from __future__ import annotations

from virtboost.catalogue import (
    block,
    container,
    container_pinning,
    cpu,
    guest_devices,
    guest_machine,
    guest_memory,
    guest_pinning,
    guest_sharing,
    guest_threads,
    guest_topology,
    hugepage,
    irq,
    kernel,
    memory,
    net,
    numa,
    pci,
    power,
    service,
)
from virtboost.catalogue.item import AnyItem

ITEMS: tuple[AnyItem, ...] = (
    *memory.ITEMS,
    *hugepage.ITEMS,
    *numa.ITEMS,
    *cpu.ITEMS,
    *power.ITEMS,
    *kernel.ITEMS,
    *irq.ITEMS,
    *net.ITEMS,
    *pci.ITEMS,
    *block.ITEMS,
    *service.ITEMS,
    *guest_pinning.ITEMS,
    *guest_sharing.ITEMS,
    *guest_threads.ITEMS,
    *guest_topology.ITEMS,
    *guest_memory.ITEMS,
    *guest_devices.ITEMS,
    *guest_machine.ITEMS,
    *container_pinning.ITEMS,
    *container.ITEMS,
)
