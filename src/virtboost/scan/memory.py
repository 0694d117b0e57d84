"""Memory, huge-page sizes, transparent huge pages and KSM.

Source: Documentation/admin-guide/mm/{transhuge,ksm,hugetlbpage}.rst of Linux.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtboost.model.memory import Memory
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import chosen, integer, kib, pairs
from virtboost.transport.source import Capture, Command, Files

MEMINFO = Files("/proc", ("meminfo",))

HWLOC_INFO = Files("/proc", ("hwloc-nofile-info",))
"""What ``hwloc-gather-topology`` adds of things that are in no file."""

PAGE_SIZE = Command("page-size", ("getconf", "PAGESIZE"))

HUGEPAGE_SIZES = Files("/sys/kernel/mm/hugepages/hugepages-[0-9]*kB", ("nr_hugepages",))

THP = Files("/sys/kernel/mm/transparent_hugepage", ("enabled", "defrag", "hpage_pmd_size"))

KSM = Files("/sys/kernel/mm/ksm", ("run", "merge_across_nodes", "pages_sharing"))

SOURCES = (MEMINFO, HWLOC_INFO, PAGE_SIZE, HUGEPAGE_SIZES, THP, KSM)

_KIB = 1 << 10
_PMD_BASE_PAGE = {2048 * _KIB: 4 * _KIB, 32768 * _KIB: 16 * _KIB, 524288 * _KIB: 64 * _KIB}
"""Base page by the size of a PMD page on aarch64 (Documentation/arch/arm64/hugetlbpage.rst)."""


def parse(capture: Capture, gaps: Gaps, *, arch: str | None) -> Memory:
    """Return the memory of the host and its policies."""
    meminfo = dict(pairs(capture.text(MEMINFO, "meminfo")))
    if not meminfo:
        gaps.add("memory", "/proc/meminfo", "not readable")
    sizes = tuple(sorted(int(size) << 10 for (size,), _ in capture.matches(HUGEPAGE_SIZES)))
    thp_size = integer(capture.text(THP, "hpage_pmd_size"))
    page_size = _page_size(capture, arch, thp_size, sizes)
    if page_size is None:
        gaps.add("base page size", "getconf PAGESIZE", "not in the recording, nor told by sysfs")
    return Memory(
        total_bytes=kib(meminfo, "MemTotal"),
        available_bytes=kib(meminfo, "MemAvailable"),
        swap_bytes=kib(meminfo, "SwapTotal"),
        page_size_bytes=page_size,
        hugepage_sizes_bytes=sizes,
        default_hugepage_bytes=kib(meminfo, "Hugepagesize"),
        thp_enabled=chosen(capture.text(THP, "enabled")),
        thp_defrag=chosen(capture.text(THP, "defrag")),
        thp_size_bytes=thp_size,
        ksm_run=integer(capture.text(KSM, "run")),
        ksm_merge_across_nodes=integer(capture.text(KSM, "merge_across_nodes")),
        ksm_pages_sharing=integer(capture.text(KSM, "pages_sharing")),
    )


def _page_size(
    capture: Capture, arch: str | None, thp_size: int | None, sizes: Sequence[int]
) -> int | None:
    told = integer(capture.stdout(PAGE_SIZE))
    if told is None:
        hwloc = dict(pairs(capture.text(HWLOC_INFO, "hwloc-nofile-info")))
        told = integer(hwloc.get("PageSize"))
    if told is None and arch == "x86_64":
        told = 4 * _KIB
    if told is None and thp_size is not None:
        told = _PMD_BASE_PAGE.get(thp_size)
    if told is None:
        told = next((_PMD_BASE_PAGE[s] for s in (524288 * _KIB,) if s in sizes), None)
    return told
