"""Every item, by id."""

from __future__ import annotations

from virtboost.catalogue import (
    cpu,
    hugepage,
    kernel,
    memory,
    numa,
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
)
