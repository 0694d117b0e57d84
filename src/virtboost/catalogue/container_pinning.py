"""Items on the pCPUs and NUMA nodes of containers."""

from __future__ import annotations

from itertools import combinations

from virtboost.catalogue.conditions import NUMA, RUNNING_GUESTS
from virtboost.catalogue.container import CONTAINERS, PLATFORMS, RUNNING_CONTAINERS, standalone
from virtboost.catalogue.guest import CLUSTERS, ids, node_ids, pinned_vcpus
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Effect,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Wrong,
)
from virtboost.catalogue.sources import (
    CONTAINER_BINDING,
    DOCKER_LIMITS,
    DOCKER_PINNING,
    DOCKER_TABLE,
    WAYCA,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import ContainerUpdate
from virtboost.model.container import Container
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.host import Host
from virtboost.model.wording import listed, size

FLOATS = "it has no cpuset: it floats over the host"


def _pinned(host: Host, _: Host, wanted: Wanted) -> Outcome:
    sized = [c for c in standalone(host) if (c.cpu_quota_ratio or 0) >= 1]
    if not sized:
        return NotApplicable("no container has a quota of a CPU or more, which tells its size")
    needed = sum(c.cpu_quota_ratio or 0 for c in sized)
    if needed > len(host.topology.online):
        return NotApplicable(f"quotas of {needed:g} CPUs: the host overcommits on purpose")
    floating = [c.name for c in sized if c.cpuset is None]
    if not floating:
        return Ok(f"{len(sized)} containers with a quota have a cpuset")
    return Wrong(
        found=f"{len(floating)} of {len(sized)} containers with a quota float: {listed(floating)}",
        wanted="a cpuset on one node for each",
        reason=f"{needed:g} CPUs are promised, {len(host.topology.online)} are there: each could "
        "have its own",
    )


def _one_node(host: Host, container: Container, wanted: Wanted) -> Outcome:
    cpus, mems = container.cpuset, container.node_ids
    if not cpus:
        return NotApplicable(FLOATS)
    nodes = node_ids(host, cpus)
    biggest = max(len(node.cpus) for node in host.topology.numa_nodes)
    if len(cpus) > biggest:
        return NotApplicable(f"{len(cpus)} pCPUs are more than a node has")
    if len(nodes) > 1:
        return Wrong(
            found=f"pCPUs {cpus} on nodes {ids(nodes)}",
            wanted="pCPUs of one node",
            reason=f"{len(cpus)} pCPUs fit on one node, and every access to another is slower",
        )
    if mems is not None and not set(mems) <= set(nodes):
        return Wrong(
            found=f"pCPUs on node {ids(nodes)}, memory from {ids(mems)}",
            wanted=f"pCPUs and memory on node {ids(nodes)}",
            reason="every access to memory crosses to another node",
        )
    return Ok(f"pCPUs {cpus} on node {ids(nodes)}")


def _mems(host: Host, container: Container, wanted: Wanted) -> Outcome:
    if not container.cpuset:
        return NotApplicable(FLOATS)
    nodes = node_ids(host, container.cpuset)
    if container.node_ids is not None:
        return Ok(f"memory from {ids(container.node_ids)}")
    if set(nodes) == {node.id for node in host.topology.numa_nodes}:
        return NotApplicable("its pCPUs are of every node")
    memory = sum(node.memory_bytes or 0 for node in host.topology.nodes_of(container.cpuset))
    limit = container.memory_limit_bytes
    fits = limit is None or limit <= memory
    change = ContainerUpdate(engine=container.engine, container=container.name, node_ids=nodes)
    return Wrong(
        found=f"pCPUs {container.cpuset}, memory from any node",
        wanted=f"memory from {ids(nodes)}",
        reason="its memory stays where it was touched first, and page cache comes from anywhere"
        + ("" if fits else f"; its limit, {size(limit)}, is more than the node has"),
        changes=(change,) if fits else (),
    )


def _overlap(host: Host, _: Host, wanted: Wanted) -> Outcome:
    placed = [(c, c.cpuset) for c in standalone(host) if c.cpuset]
    if not placed:
        return NotApplicable("no container has a cpuset")
    clashes = [
        f"{one.name} ({own}) and {other.name} ({its}) share {own & its}"
        for (one, own), (other, its) in combinations(placed, 2)
        if own != its and not own.isdisjoint(its)
    ]
    pools: dict[CpuSet, list[Container]] = {}
    for container, cpus in placed:
        pools.setdefault(cpus, []).append(container)
    clashes += [text for cpus, members in pools.items() if (text := _full(cpus, members))]
    if not clashes:
        return Ok(f"{len(placed)} containers on {len(pools)} cpusets")
    return Wrong(
        found=listed(clashes),
        wanted="cpusets equal or apart",
        reason="a container waits on pCPUs that it was given, while others of its own are idle",
    )


def _full(cpus: CpuSet, members: list[Container]) -> str | None:
    """Say so where containers that share a cpuset were promised more than it has."""
    promised = sum(member.cpu_quota_ratio or 0 for member in members)
    if len(members) < 2 or promised <= len(cpus):
        return None
    names = listed(member.name for member in members)
    return f"{names} have quotas of {promised:g} CPUs on {cpus}"


def _guest_overlap(host: Host, _: Host, wanted: Wanted) -> Outcome:
    pinned = pinned_vcpus(host.running_guests)
    if not pinned:
        return NotApplicable("no vCPU of a running guest is pinned to one pCPU")
    vcpus, isolated = CpuSet(pinned), host.topology.isolated
    # A thread without a cpuset of its own is not balanced onto an isolated pCPU.
    met = {
        c.name: vcpus & c.cpuset if c.cpuset is not None else vcpus - isolated
        for c in host.containers
    }
    inside = {name: cpus for name, cpus in met.items() if cpus}
    if not inside:
        return Ok(f"{len(met)} containers stay off pCPUs {vcpus}")
    first = union(inside.values()).first
    return Wrong(
        found=f"{listed(inside)} may run on pCPUs {union(inside.values())}, such as that of "
        f"{pinned[first][0]}",
        wanted=f"containers off pCPUs {vcpus}",
        reason="a pinned vCPU cannot move away from a container that is busy",
    )


def _quota(host: Host, container: Container, wanted: Wanted) -> Outcome:
    cpus, quota = container.cpuset, container.cpu_quota_ratio
    if cpus is None or quota is None:
        return NotApplicable("it has no cpuset" if cpus is None else "it has no quota")
    found = f"{quota:g} CPUs of time on {len(cpus)} pCPUs"
    if quota >= len(cpus):
        return Ok(found)
    return Wrong(
        found=f"{found} ({cpus})",
        wanted=f"{len(cpus)} CPUs, or no quota",
        reason="it is stopped for the rest of each period while pCPUs that it was given are idle",
    )


def _cluster_spread(host: Host, container: Container, wanted: Wanted) -> Outcome:
    if not container.cpuset:
        return NotApplicable(FLOATS)
    cpus = container.cpuset
    near = [
        cluster
        for cluster in host.topology.shared_clusters
        if any(cluster.cpus <= node.cpus for node in host.topology.nodes_of(cpus))
    ]
    if not 2 <= len(cpus) <= len(near):
        return NotApplicable(f"{len(cpus)} pCPUs on nodes with {len(near)} CPU clusters")
    used = len(host.topology.clusters_of(cpus))
    if used == len(cpus):
        return Ok(f"pCPUs {cpus}, one in each CPU cluster")
    return Wrong(
        found=f"pCPUs {cpus} in {used} CPU cluster{'' if used == 1 else 's'}",
        wanted="one pCPU of each CPU cluster",
        reason="cores of one CPU cluster share the bandwidth of its L3 tag",
    )


UPDATE = "docker update --cpuset-cpus CPUS --cpuset-mems NODE CONTAINER"

UNDO = "docker update --cpuset-cpus OLD-CPUS --cpuset-mems OLD-NODES CONTAINER"

ITEMS = (
    Item(
        id="container.pinned",
        title="Containers of a known size have pCPUs of their own",
        layer="container",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="a container cannot use idle pCPUs of others any more",
        effect=NO_FIGURE,
        why=(
            "The Docker tuning table pins containers 1:1 on one node. That makes sense for a "
            "container whose size is known, and its quota tells it. Containers without a quota "
            "share what is there, and a host that promises more than it has overcommits on "
            "purpose: both are left alone. The overview calls the gain notable and gives no figure."
        ),
        sources=(DOCKER_TABLE, DOCKER_PINNING),
        by_hand=UPDATE,
        undo_by_hand=UNDO,
        applies=(RUNNING_CONTAINERS, NUMA),
        subjects=HOST,
        judge=_pinned,
    ),
    Item(
        id="container.one_node",
        title="pCPUs and memory of a container on one NUMA node",
        layer="container",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="the node may be full",
        effect=NO_FIGURE,
        why=(
            "A cpuset across nodes makes threads of one program pay for each other's memory. Only "
            "containers with a cpuset are looked at: somebody placed them. One that needs more "
            "pCPUs than a node has must cross."
        ),
        sources=(DOCKER_TABLE, DOCKER_PINNING),
        by_hand=UPDATE,
        undo_by_hand=UNDO,
        applies=(NUMA,),
        subjects=CONTAINERS,
        judge=_one_node,
    ),
    Item(
        id="container.mems",
        title="A container with a cpuset has its memory from the same nodes",
        layer="container",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="with too little memory on the node, programs in the container are killed",
        effect=NO_FIGURE,
        why=(
            "--cpuset-cpus says where threads run; only --cpuset-mems says where memory comes "
            "from. Without it, memory that was touched before the cpuset was set, and memory that "
            "the node was short of, stays remote. The limit of a container must fit the node."
        ),
        sources=(DOCKER_PINNING, DOCKER_LIMITS),
        by_hand=UPDATE,
        undo_by_hand=UNDO,
        applies=(NUMA,),
        subjects=CONTAINERS,
        judge=_mems,
    ),
    Item(
        id="container.overlap",
        title="cpusets of containers do not overlap by halves",
        layer="container",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="one of the containers has to move",
        effect=NO_FIGURE,
        why=(
            "Containers with the same cpuset share a pool, which is a plan. Sets that overlap in "
            "part, or a pool whose quotas add up to more than it has, are the result of counting "
            "by hand. The guide's advice is no overlap at all."
        ),
        sources=(CONTAINER_BINDING,),
        by_hand=UPDATE,
        undo_by_hand=UNDO,
        applies=(RUNNING_CONTAINERS,),
        subjects=HOST,
        judge=_overlap,
    ),
    Item(
        id="container.guest_overlap",
        title="Containers stay off the pCPUs of pinned guests",
        layer="container",
        platforms=("kvm", "docker", "openstack", "ovirt"),
        severity="warning",
        takes_effect="live",
        risk="the containers share fewer pCPUs",
        effect=NO_FIGURE,
        why=(
            "Agents in containers (Kolla, Ceph) run beside guests and float over the host unless "
            "they are told otherwise. On a pinned vCPU's pCPU they take time that the guest was "
            "promised. pCPUs that are isolated are safe from containers without a cpuset."
        ),
        sources=(DOCKER_PINNING, DOCKER_LIMITS),
        by_hand="docker update --cpuset-cpus OTHER-CPUS CONTAINER",
        undo_by_hand="docker update --cpuset-cpus OLD-CPUS CONTAINER",
        applies=(RUNNING_GUESTS,),
        subjects=HOST,
        judge=_guest_overlap,
    ),
    Item(
        id="container.quota",
        title="A container with pCPUs of its own is not throttled on them",
        layer="container",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="the container can use its pCPUs fully",
        effect=NO_FIGURE,
        why=(
            "The Docker guide sets --cpus to the number of pCPUs of the cpuset, which never stops "
            "anything. A smaller quota throttles: in each period of 100 ms, the container stands "
            "still once it is used up. That is right where pCPUs are shared and sold by time, and "
            "adds latency everywhere else."
        ),
        sources=(DOCKER_PINNING, DOCKER_LIMITS),
        by_hand="docker update --cpus COUNT CONTAINER  # as many as its cpuset has",
        undo_by_hand="docker update --cpus OLD-COUNT CONTAINER",
        subjects=CONTAINERS,
        judge=_quota,
    ),
    Item(
        id="container.cluster_spread",
        title="pCPUs of a container one to a CPU cluster",
        layer="container",
        platforms=PLATFORMS,
        severity="advice",
        usage="poc_only",
        takes_effect="live",
        risk="threads that share data get slower; the host fills badly",
        effect=Effect(
            figure="+25 % STREAM triad with 4 threads, +10 % with 8, none with 16",
            conditions="threads 0,4,8,12 against 0-3 on a Kunpeng 920, bare metal, one machine",
            source=WAYCA,
        ),
        why=(
            "The Docker table lists binding at the scope of CPU clusters, for proofs of concept "
            "only; a cpuset such as 4,8,12,16 is one reading of it. A cpuset of whole clusters "
            "(4-7) is the other, and what the ordinary pinning of the same guide does."
        ),
        sources=(DOCKER_TABLE, DOCKER_PINNING, WAYCA),
        by_hand="docker update --cpuset-cpus 4,8,12,16 --cpuset-mems 0 CONTAINER",
        undo_by_hand=UNDO,
        rule="R14",
        applies=(CLUSTERS,),
        subjects=CONTAINERS,
        judge=_cluster_spread,
    ),
)
