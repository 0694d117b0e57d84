"""The memory of a NUMA node as the parts of a bar."""

from __future__ import annotations

from msgspec import Struct

from virtboost.model.numa import HugepagePool, NumaNode
from virtboost.model.wording import size


class Part(Struct, frozen=True, kw_only=True):
    """A part of a bar."""

    kind: str
    """``pages-used``, ``pages-free``, ``used``, ``free``, ``unknown``."""
    percent: float
    """Of the whole bar."""
    label: str


def memory_parts(node: NumaNode) -> tuple[Part, ...]:
    """Return what the memory of a node is used for; empty where it has none or it is not told.

    ``MemFree`` does not have the huge pages in it (mm/hugetlb.c takes them from the allocator), so
    what is neither free nor a huge page is in ordinary use.
    """
    if not node.memory_bytes:
        return ()
    pools = node.hugepages
    pages_used = sum((pool.total - pool.free) * pool.size_bytes for pool in pools)
    pages_free = sum(pool.free * pool.size_bytes for pool in pools)
    rest = max(node.memory_bytes - pages_used - pages_free, 0)
    parts = [("pages-used", pages_used, "huge pages in use")]
    parts.append(("pages-free", pages_free, "huge pages free"))
    if node.free_bytes is None:
        parts.append(("unknown", rest, "of which it is not told whether it is free"))
    else:
        free = min(node.free_bytes, rest)
        parts.append(("used", rest - free, "other use"))
        parts.append(("free", free, "free"))
    return tuple(
        Part(kind=kind, percent=100 * amount / node.memory_bytes, label=f"{size(amount)} {label}")
        for kind, amount, label in parts
        if amount > 0
    )


def pool_label(pool: HugepagePool) -> str:
    """Return ``1 GiB pages: 48 of 64 used``."""
    surplus = f", {pool.surplus} surplus" if pool.surplus else ""
    used = pool.total - pool.free
    return f"{size(pool.size_bytes)} pages: {used} of {pool.total} used{surplus}"
