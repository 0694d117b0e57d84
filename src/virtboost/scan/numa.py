"""NUMA nodes from ``/sys/devices/system/node``.

Source: Documentation/ABI/stable/sysfs-devices-node of Linux.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtboost.model.cpuset import CpuSet
from virtboost.model.numa import HugepagePool, NumaNode
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import cpu_mask, integer, kib, pairs
from virtboost.transport.source import Capture, Files

NODES = "/sys/devices/system/node"

NODE_LISTS = Files(NODES, ("online", "possible", "has_cpu", "has_memory"))

NODE = Files(f"{NODES}/node[0-9]*", ("cpumap", "distance", "meminfo"))

NODE_HUGEPAGES = Files(
    f"{NODES}/node[0-9]*/hugepages/hugepages-[0-9]*kB",
    ("nr_hugepages", "free_hugepages", "surplus_hugepages"),
)

SOURCES = (NODE_LISTS, NODE, NODE_HUGEPAGES)


def parse(capture: Capture, gaps: Gaps) -> tuple[NumaNode, ...]:
    """Return the NUMA nodes, by id; none where the kernel has no NUMA."""
    texts = {int(groups[0]): texts for groups, texts in capture.matches(NODE)}
    if not texts:
        gaps.add("NUMA nodes", NODES, "the kernel does not tell NUMA nodes")
    ids = sorted(texts)
    pools = _pools(capture)
    return tuple(
        NumaNode(
            id=node_id,
            cpus=_cpus(texts[node_id].get("cpumap"), gaps),
            memory_bytes=_memory(texts[node_id], "MemTotal", gaps),
            free_bytes=_memory(texts[node_id], "MemFree", gaps),
            distances=_distances(texts[node_id].get("distance"), ids, gaps),
            hugepages=tuple(sorted(pools.get(node_id, ()), key=lambda pool: pool.size_bytes)),
        )
        for node_id in ids
    )


def _cpus(text: str | None, gaps: Gaps) -> CpuSet:
    cpus = cpu_mask(text)
    if cpus is None:
        gaps.add("CPUs of a NUMA node", f"{NODES}/node*/cpumap", "not told")
    return cpus or CpuSet()


def _memory(texts: Mapping[str, str], name: str, gaps: Gaps) -> int | None:
    """Read one field of ``Node 0 MemTotal:  131061320 kB``."""
    fields = {key.split(" ")[-1]: value for key, value in pairs(texts.get("meminfo"))}
    if name not in fields:
        gaps.add("memory of a NUMA node", f"{NODES}/node*/meminfo", f"no {name}")
    return kib(fields, name)


def _distances(text: str | None, ids: list[int], gaps: Gaps) -> dict[int, int]:
    """Read a row of the SLIT, which has a column for each online node in the order of ids."""
    row = [integer(word) for word in (text or "").split()]
    distances = [distance for distance in row if distance is not None]
    if len(distances) != len(ids):
        gaps.add("distances", f"{NODES}/node*/distance", "not one distance for each node")
        return {}
    return dict(zip(ids, distances, strict=True))


def _pools(capture: Capture) -> dict[int, list[HugepagePool]]:
    pools: dict[int, list[HugepagePool]] = {}
    for (node_id, size_kib), texts in capture.matches(NODE_HUGEPAGES):
        total, free = integer(texts.get("nr_hugepages")), integer(texts.get("free_hugepages"))
        if total is None or free is None:
            continue
        pool = HugepagePool(
            size_bytes=int(size_kib) << 10,
            total=total,
            free=free,
            surplus=integer(texts.get("surplus_hugepages")) or 0,
        )
        pools.setdefault(int(node_id), []).append(pool)
    return pools
