"""Every item, by id."""

from __future__ import annotations

from virtboost.catalogue import (
    block,
    cpu,
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
)
