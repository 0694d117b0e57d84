"""What a host can give: whole free cores by CPU cluster, memory by NUMA node, pCPUs for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.numa import NumaNode
from virtboost.model.topology import Topology
from virtboost.model.workload import HostShare

LOCAL = 10
"""SLIT distance of a node to itself (ACPI, System Locality Information Table)."""

REMOTE = 20
"""Distance where firmware tells none: ``REMOTE_DISTANCE`` of Linux, include/linux/topology.h."""

FIRST_NODE_PCPUS = 4
"""Kunpeng KVM tuning guide, core binding: CPUs 0-3 stay with the host."""

LARGEST_SHARE = 4
"""``auto`` keeps at most one core of this many for the host, so that small nodes have room."""

FLOOR_BYTES = 512 << 20
"""Least memory that a host keeps: Nova's default of ``reserved_host_memory_mb``."""


class CoreGroup(Struct, frozen=True, kw_only=True):
    """Free cores that are alike: of one node, socket, die and cluster, with as many threads."""

    index: int
    """Its place in ``Supply.groups``."""
    node_id: int
    domain: tuple[int, int]
    """Socket and die; -1 is a die that the kernel does not tell."""
    cluster: int | None
    """Number of the cluster on this host; None where clusters are not told."""
    threads: int
    """Online pCPUs of each core."""
    cores: tuple[CpuSet, ...]
    whole: bool
    """Whether it is a whole cluster: nothing of it was taken before."""


class NodeSupply(Struct, frozen=True, kw_only=True):
    """What one NUMA node with CPUs can give."""

    id: int
    memory_bytes: int
    """Memory for guests and containers, in pages of any size."""
    distances: dict[int, int]
    """SLIT distance to each other node with CPUs."""
    host_pcpus: CpuSet
    """pCPUs that are kept for the host here."""
    groups: tuple[CoreGroup, ...]

    @property
    def cores(self) -> int:
        """Free cores."""
        return sum(len(group.cores) for group in self.groups)

    @property
    def pcpus(self) -> int:
        """How many pCPUs the free cores have."""
        return sum(len(group.cores) * group.threads for group in self.groups)


class Supply(Struct, frozen=True, kw_only=True):
    """What a host can give to guests and containers."""

    nodes: dict[int, NodeSupply]
    """Nodes with online CPUs, by id."""
    groups: tuple[CoreGroup, ...]
    host_pcpus: CpuSet
    clustered: bool
    """Whether it is known which cores share a cluster."""
    threads: int
    """Most online threads of a free core; 1 where no core is free."""
    notes: tuple[str, ...]

    def distance(self, one: int, other: int) -> int:
        """Return the SLIT distance between two nodes."""
        if one == other:
            return LOCAL
        node = self.nodes.get(one)
        return REMOTE if node is None else node.distances.get(other, REMOTE)


def supply_of(host: Host, share: HostShare, taken: CpuSet, used_bytes: Mapping[int, int]) -> Supply:
    """Return what a host can give.

    Args:
        host: What was scanned.
        share: What stays with the host.
        taken: pCPUs that guests have already which are not to be planned.
        used_bytes: By node, the memory that those guests have.
    """
    topology = _with_nodes(host)
    nodes = [node for node in topology.numa_nodes if node.cpus]
    cores, notes = _usable(topology, nodes)
    pmds = CpuSet() if host.ovs is None else host.ovs.pmd_cpus
    free = [core for core in cores if core.isdisjoint(taken | pmds)]
    kept = {node.id: _kept(free, node, topology, share, first=node is nodes[0]) for node in nodes}
    reserved = union(kept.values())
    groups = tuple(_groups(topology, nodes, [core for core in free if core.isdisjoint(reserved)]))
    memory = _memory(host, nodes, share, used_bytes)
    return Supply(
        nodes={
            node.id: NodeSupply(
                id=node.id,
                memory_bytes=memory[node.id],
                distances={other.id: node.distances.get(other.id, REMOTE) for other in nodes},
                host_pcpus=kept[node.id],
                groups=tuple(group for group in groups if group.node_id == node.id),
            )
            for node in nodes
        },
        groups=groups,
        host_pcpus=reserved,
        clustered=bool(_clusters(topology)),
        threads=max((group.threads for group in groups), default=1),
        notes=(*notes, *_unknown(topology, nodes)),
    )


def _with_nodes(host: Host) -> Topology:
    """Return the topology; a host without NUMA is one node."""
    topology = host.topology
    if topology.numa_nodes or not topology.online:
        return topology
    node = NumaNode(
        id=0,
        cpus=topology.online,
        memory_bytes=host.memory.total_bytes,
        free_bytes=host.memory.available_bytes,
        distances={0: LOCAL},
        hugepages=(),
    )
    return Topology(
        **{name: getattr(topology, name) for name in topology.__struct_fields__[:-1]},
        numa_nodes=(node,),
    )


def _usable(topology: Topology, nodes: list[NumaNode]) -> tuple[list[CpuSet], list[str]]:
    """Return the cores, lowest pCPU first, that lie in one node, and notes on the others."""
    inside, notes = [], []
    for core in sorted(topology.cores, key=lambda core: core.cpus.first):
        if any(core.cpus <= node.cpus for node in nodes):
            inside.append(core.cpus)
        else:
            notes.append(f"CPUs {core.cpus} are one core but not in one NUMA node: not used")
    known = union(core.cpus for core in topology.cores)
    if topology.online - known:
        notes.append(f"CPUs {topology.online - known}: their core is not told: not used")
    return inside, notes


def _kept(
    free: list[CpuSet], node: NumaNode, topology: Topology, share: HostShare, *, first: bool
) -> CpuSet:
    """Return the pCPUs that the host keeps on a node: not isolated ones if others are there."""
    cores = [core for core in free if core <= node.cpus]
    wanted, most = share.cpus, len(cores)
    if wanted == "auto":
        wanted = FIRST_NODE_PCPUS if first else 1
        most = max(len(cores) // LARGEST_SHARE, int(first))
    kept = CpuSet()
    ordered = sorted(cores, key=lambda core: (not core.isdisjoint(topology.isolated), core.first))
    for core in ordered[:most]:
        if len(kept) < wanted:
            kept |= core
    return kept


def _clusters(topology: Topology) -> tuple[CpuSet, ...]:
    """Return who shares a cluster; where none is told, who shares a last cache within a node."""
    if topology.shared_clusters:
        return tuple(cluster.cpus for cluster in topology.shared_clusters)
    last = max((cache.level for cache in topology.caches if cache.type == "Unified"), default=0)
    cores = {core.cpus for core in topology.cores}
    sharers = {cache.cpus for cache in topology.caches if cache.level == last >= 2} - cores
    nodes = [node.cpus for node in topology.numa_nodes]
    split = sorted((cpus for cpus in sharers if any(cpus < node for node in nodes)), key=str)
    return tuple(split)


def _groups(topology: Topology, nodes: list[NumaNode], free: list[CpuSet]) -> Iterator[CoreGroup]:
    clusters = _clusters(topology)
    all_cores = [core.cpus for core in topology.cores]
    found: dict[tuple[int, tuple[int, int], int, int], list[CpuSet]] = {}
    for core in free:
        node = next(node.id for node in nodes if core <= node.cpus)
        cluster = next((n for n, cpus in enumerate(clusters) if core <= cpus), -1)
        key = (node, _domain(topology, core), cluster, len(core))
        found.setdefault(key, []).append(core)
    for index, (key, cores) in enumerate(sorted(found.items())):
        mates = [core for core in all_cores if key[2] >= 0 and core <= clusters[key[2]]]
        yield CoreGroup(
            index=index,
            node_id=key[0],
            domain=key[1],
            cluster=None if key[2] < 0 else key[2],
            threads=key[3],
            cores=tuple(cores),
            whole=len(cores) == len(mates),
        )


def _domain(topology: Topology, core: CpuSet) -> tuple[int, int]:
    socket = next((socket.id for socket in topology.sockets if core <= socket.cpus), -1)
    die = next((die.id for die in topology.dies if core <= die.cpus), -1)
    return socket, die


def _memory(
    host: Host, nodes: list[NumaNode], share: HostShare, used_bytes: Mapping[int, int]
) -> dict[int, int]:
    """Return what each node has for guests: all but the host's share and that of ``used_bytes``."""
    if share.memory is not None:
        kept = {node.id: int(share.memory) for node in nodes}
    else:
        kept = _host_bytes(host, nodes)
    return {
        node.id: max((node.memory_bytes or 0) - kept[node.id] - used_bytes.get(node.id, 0), 0)
        for node in nodes
    }


def _host_bytes(host: Host, nodes: list[NumaNode]) -> dict[int, int]:
    """Return what the host itself uses of each node and cannot give back, as far as it is told.

    ``MemFree`` leaves out what the page cache would give back; ``MemAvailable`` does not, but is
    told of the whole host only.  So the used memory of each node is scaled to the host's.
    """
    in_base_pages = [guest for guest in host.running_guests if not guest.page_sizes_bytes]
    guests = guest_bytes(host, in_base_pages)
    used = {
        node.id: max(
            (node.memory_bytes or 0)
            - (node.memory_bytes if node.free_bytes is None else node.free_bytes or 0)
            - sum((pool.total + pool.surplus) * pool.size_bytes for pool in node.hugepages)
            - guests.get(node.id, 0),
            0,
        )
        if node.memory_bytes and node.free_bytes is not None
        else 0
        for node in nodes
    }
    ratio = _firm_ratio(host, nodes, sum(used.values()), sum(guests.values()))
    floor = FLOOR_BYTES // max(len(nodes), 1)
    return {node_id: max(int(count * ratio), floor) for node_id, count in used.items()}


def _firm_ratio(host: Host, nodes: list[NumaNode], used: int, guests: int) -> float:
    """Return how much of the used memory cannot be given back, 0 to 1."""
    memory = host.memory
    if memory.total_bytes is None or memory.available_bytes is None or not used:
        return 1.0
    pools = sum(p.total * p.size_bytes for node in nodes for p in node.hugepages)
    firm = memory.total_bytes - memory.available_bytes - pools - guests
    return min(max(firm / used, 0.0), 1.0)


def roams(topology: Topology, cpus: CpuSet) -> bool:
    """Tell whether who may use some pCPUs has none of its own: they are a NUMA node or more."""
    nodes = [node.cpus for node in topology.numa_nodes if node.cpus] or [topology.online]
    return any(node <= cpus for node in nodes)


def guest_bytes(host: Host, guests: Iterable[Guest]) -> dict[int, int]:
    """Return the memory that some guests of a host have on each node.

    One without a rule has it where its pins are; one without either is left out.
    """
    sums: Counter[int] = Counter()
    for guest in guests:
        cells = [(cell.node_ids or guest.node_ids, cell.memory_bytes) for cell in guest.cells]
        for node_ids, count in cells or [(guest.node_ids, guest.memory_bytes)]:
            pinned = host.topology.nodes_of(union(guest.vcpu_pins.values()))
            places = node_ids or tuple(node.id for node in pinned)
            for node_id in places:
                sums[node_id] += count // len(places)
    return dict(sums)


def _unknown(topology: Topology, nodes: list[NumaNode]) -> Iterator[str]:
    if not topology.online:
        yield "it is not told which CPUs are online: nothing can be placed"
    if nodes and not _clusters(topology):
        yield "CPU clusters are not told: whether a guest fills or spreads over them is left open"
    for node in topology.numa_nodes:
        if node.memory_bytes is None:
            yield f"the memory of node {node.id} is not told: nothing is placed there"
        elif not node.cpus and node.memory_bytes:
            yield f"node {node.id} has memory and no CPUs: guests get none of it"
    missing = any(other.id not in node.distances for node in nodes for other in nodes)
    if missing and len(nodes) > 1:
        yield f"distances between NUMA nodes are not told: each is taken for {REMOTE}"
