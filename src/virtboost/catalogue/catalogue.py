"""Every item, by id."""

from __future__ import annotations

from virtboost.catalogue import (
    hugepage,
    memory,
    numa,
)
from virtboost.catalogue.item import AnyItem

ITEMS: tuple[AnyItem, ...] = (
    *memory.ITEMS,
    *hugepage.ITEMS,
    *numa.ITEMS,
)
