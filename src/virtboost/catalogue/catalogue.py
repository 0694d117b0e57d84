"""Every item, by id."""

from __future__ import annotations

from virtboost.catalogue import (
    cpu,
    hugepage,
    irq,
    kernel,
    memory,
    net,
    numa,
    pci,
    power,
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
)
