"""CPUs, sockets, dies, CPU clusters, cores and caches from ``/sys/devices/system/cpu``.

Source: Documentation/ABI/stable/sysfs-devices-system-cpu and
Documentation/admin-guide/cputopology.rst of Linux.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from virtboost.model.cpuset import MAX_CPU_ID, CpuSet, union
from virtboost.model.numa import NumaNode
from virtboost.model.topology import Cache, Core, CpuCluster, Die, Socket, Topology
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import cpu_list, cpu_mask, integer, size_bytes
from virtboost.transport.source import Capture, Files

CPUS = "/sys/devices/system/cpu"

CPU_LISTS = Files(CPUS, ("online", "present", "possible", "isolated", "nohz_full"))

CPU_TOPOLOGY = Files(
    f"{CPUS}/cpu[0-9]*/topology",
    (
        "physical_package_id",
        "die_id",
        "cluster_id",
        "core_id",
        "core_siblings",
        "die_cpus",
        "cluster_cpus",
        "thread_siblings",
    ),
)
"""``core_siblings`` and ``thread_siblings`` are the old names of ``package_cpus`` and
``core_cpus``; every kernel has them."""

CPU_CACHES = Files(
    f"{CPUS}/cpu[0-9]*/cache/index[0-9]*", ("level", "type", "size", "shared_cpu_map")
)

SOURCES = (CPU_LISTS, CPU_TOPOLOGY, CPU_CACHES)

NOT_TOLD = {-1, 65535, 4294967295}
"""Ids that mean *not told*: -1, and the x86 kernel's ``BAD_APICID`` in 16 and 32 bits."""

KUNPENG_920_CLUSTER_CORES = 4
"""Cores of a CPU cluster of Kunpeng 920: Documentation/admin-guide/perf/hisi-pmu.rst."""


class _Place(Struct, frozen=True, kw_only=True):
    """Where one online pCPU is; a set that the kernel does not tell is None."""

    pcpu: int
    socket_id: int
    die_id: int | None
    cluster_id: int | None
    core_id: int
    socket: CpuSet | None
    die: CpuSet | None
    cluster: CpuSet | None
    core: CpuSet | None


def parse(
    capture: Capture, gaps: Gaps, *, nodes: Sequence[NumaNode], kunpeng_920: bool
) -> Topology:
    """Return the topology.

    Args:
        capture: With ``SOURCES``.
        gaps: Gets what is not told.
        nodes: The NUMA nodes, from ``scan/numa.py``.
        kunpeng_920: Whether CPU clusters may be inferred: the part number is Kunpeng 920's, and
            the firmware is a server's.  A guest has the part number and not the clusters.
    """
    lists = capture.entries(CPU_LISTS).get(CPUS, {})
    places = _places(capture, cpu_list(lists.get("online")))
    online = cpu_list(lists.get("online")) or CpuSet(place.pcpu for place in places)
    if not online:
        gaps.add("CPUs", f"{CPUS}/online", "no CPU is told")
    present = cpu_list(lists.get("present")) or online
    sockets = _sockets(places, nodes)
    socket_of = {cpu: socket.id for socket in sockets for cpu in socket.cpus}
    caches = _caches(capture, online, gaps)
    return Topology(
        online=online,
        offline=present - online,
        isolated=cpu_list(lists.get("isolated")) or CpuSet(),
        nohz_full=_nohz_full(lists.get("nohz_full")),
        sockets=sockets,
        dies=_dies(places, socket_of, gaps),
        clusters=_clusters(places, socket_of, gaps, caches if kunpeng_920 else ()),
        cores=_cores(places, socket_of),
        caches=caches,
        numa_nodes=tuple(nodes),
    )


def _nohz_full(text: str | None) -> CpuSet:
    """Read the list; kernels without any print ``(null)``."""
    return cpu_list(text) or CpuSet()


def _places(capture: Capture, online: CpuSet | None) -> list[_Place]:
    found = {
        int(cpu): texts for (cpu,), texts in capture.matches(CPU_TOPOLOGY) if int(cpu) <= MAX_CPU_ID
    }
    return [
        _place(pcpu, found[pcpu], online)
        for pcpu in sorted(found)
        if online is None or pcpu in online
    ]


def _place(pcpu: int, texts: Mapping[str, str], online: CpuSet | None) -> _Place:
    def cpus(name: str) -> CpuSet | None:
        told = cpu_mask(texts.get(name))
        return told & online if told is not None and online is not None else told

    socket_id = integer(texts.get("physical_package_id"))
    core_id = integer(texts.get("core_id"))
    return _Place(
        pcpu=pcpu,
        socket_id=-1 if socket_id is None else socket_id,
        die_id=_told(texts.get("die_id")),
        cluster_id=_told(texts.get("cluster_id")),
        core_id=-1 if core_id is None else core_id,
        socket=cpus("core_siblings"),
        die=cpus("die_cpus"),
        cluster=cpus("cluster_cpus"),
        core=cpus("thread_siblings"),
    )


def _told(text: str | None) -> int | None:
    number = integer(text)
    return None if number in NOT_TOLD else number


def _sockets(places: Sequence[_Place], nodes: Sequence[NumaNode]) -> tuple[Socket, ...]:
    groups: dict[object, list[_Place]] = {}
    for place in places:
        groups.setdefault(place.socket or place.socket_id, []).append(place)
    sockets = []
    for members in groups.values():
        cpus = CpuSet(place.pcpu for place in members)
        node_ids = tuple(node.id for node in nodes if not node.cpus.isdisjoint(cpus))
        sockets.append(Socket(id=members[0].socket_id, cpus=cpus, node_ids=node_ids))
    return tuple(sockets)


def _dies(places: Sequence[_Place], socket_of: Mapping[int, int], gaps: Gaps) -> tuple[Die, ...]:
    dies: dict[object, Die] = {}
    for place in places:
        if place.die_id is None:
            gaps.add("dies", f"{CPUS}/cpu0/topology/die_id", "the kernel does not tell dies")
            return ()
        socket_id = socket_of[place.pcpu]
        cpus = place.die or CpuSet(
            p.pcpu for p in places if (socket_of[p.pcpu], p.die_id) == (socket_id, place.die_id)
        )
        dies.setdefault(cpus, Die(id=place.die_id, socket_id=socket_id, cpus=cpus))
    return tuple(dies.values())


def _clusters(
    places: Sequence[_Place],
    socket_of: Mapping[int, int],
    gaps: Gaps,
    caches: Sequence[Cache],
) -> tuple[CpuCluster, ...]:
    clusters: dict[CpuSet, CpuCluster] = {}
    for place in places:
        if place.cluster_id is None or place.cluster is None:
            inferred = _inferred_clusters(places, socket_of, caches)
            if not inferred:
                reason = "the kernel does not tell CPU clusters"
                gaps.add("clusters", f"{CPUS}/cpu0/topology/cluster_id", reason)
            return inferred
        clusters.setdefault(
            place.cluster,
            CpuCluster(
                id=place.cluster_id,
                socket_id=socket_of[place.pcpu],
                cpus=place.cluster,
                inferred=False,
            ),
        )
    return tuple(clusters.values())


def _inferred_clusters(
    places: Sequence[_Place], socket_of: Mapping[int, int], caches: Sequence[Cache]
) -> tuple[CpuCluster, ...]:
    """Group the cores of each L3 of a Kunpeng 920 by four.

    The numbering is by die and then by cluster (Huawei's 5250 and the 128-CPU capture agree).
    Nothing is inferred where an L3's CPUs are not one run of whole clusters that begins where a
    cluster does: an offline CPU or another numbering would put the borders wrong.
    """
    clusters: list[CpuCluster] = []
    size = KUNPENG_920_CLUSTER_CORES
    level_3 = [cache.cpus for cache in caches if cache.level == 3]
    known = union(level_3)
    if not level_3 or any(place.pcpu not in known for place in places):
        return ()
    for cpus in level_3:
        ids = list(cpus)
        if ids[0] % size or len(ids) % size or ids != list(range(ids[0], ids[0] + len(ids))):
            return ()
        for first in range(ids[0], ids[0] + len(ids), size):
            clusters.append(
                CpuCluster(
                    id=len(clusters),
                    socket_id=socket_of[first],
                    cpus=CpuSet(range(first, first + size)),
                    inferred=True,
                )
            )
    return tuple(clusters)


def _cores(places: Sequence[_Place], socket_of: Mapping[int, int]) -> tuple[Core, ...]:
    cores: dict[CpuSet, Core] = {}
    for place in places:
        cpus = place.core or CpuSet([place.pcpu])
        core = Core(id=place.core_id, socket_id=socket_of[place.pcpu], cpus=cpus)
        cores.setdefault(cpus, core)
    return tuple(cores.values())


def _caches(capture: Capture, online: CpuSet, gaps: Gaps) -> tuple[Cache, ...]:
    caches: dict[tuple[int, str, CpuSet], Cache] = {}
    for _, texts in capture.matches(CPU_CACHES):
        level = integer(texts.get("level"))
        cpus = cpu_mask(texts.get("shared_cpu_map"))
        if level is None or cpus is None or not cpus & online:
            continue
        key = (level, texts.get("type", "Unified"), cpus & online)
        if key not in caches:
            size = size_bytes(texts.get("size"))
            caches[key] = Cache(level=level, type=key[1], size_bytes=size, cpus=key[2])
    if not caches:
        gaps.add("caches", f"{CPUS}/cpu0/cache", "the kernel does not tell caches")
    return tuple(sorted(caches.values(), key=lambda c: (c.cpus.first, c.level, c.type)))
