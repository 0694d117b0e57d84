"""Memory of the whole host and how the kernel manages it."""

from __future__ import annotations

from msgspec import Struct


class Memory(Struct, frozen=True, kw_only=True):
    """Memory and its policies; what cannot be read, or this kernel does not have, is None."""

    total_bytes: int | None = None
    """``MemTotal`` of ``/proc/meminfo``."""
    available_bytes: int | None = None
    """``MemAvailable``: what programs can get without swapping."""
    swap_bytes: int | None = None
    """``SwapTotal``; 0 without swap."""
    page_size_bytes: int | None = None
    """Base page: 4, 16 or 64 KiB on aarch64."""
    hugepage_sizes_bytes: tuple[int, ...] = ()
    """Sizes of huge pages that this kernel has, smallest first."""
    default_hugepage_bytes: int | None = None
    """``Hugepagesize`` of ``/proc/meminfo``."""
    thp_enabled: str | None = None
    """Transparent huge pages: ``always``, ``madvise``, ``never``."""
    thp_defrag: str | None = None
    """``always``, ``defer``, ``defer+madvise``, ``madvise``, ``never``."""
    thp_size_bytes: int | None = None
    """Size of a transparent huge page (``hpage_pmd_size``)."""
    ksm_run: int | None = None
    """Kernel samepage merging: 0 stopped, 1 runs, 2 stopped and unmerged."""
    ksm_merge_across_nodes: int | None = None
    """1 where KSM merges pages of different NUMA nodes."""
    ksm_pages_sharing: int | None = None
    """Pages that KSM saves."""
