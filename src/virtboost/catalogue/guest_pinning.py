"""Items on where the vCPUs of a guest run: pins, NUMA nodes, dies, CPU clusters."""

from __future__ import annotations

from collections import Counter

from virtboost.catalogue.conditions import NUMA, RUNNING_GUESTS, dedicated
from virtboost.catalogue.guest import (
    CLUSTERS,
    FAR_APART,
    FLOATS,
    GUESTS,
    PIN,
    PLATFORMS,
    UNPIN,
    confined,
    fits,
    floating_guests,
    ids,
    manager,
    node_ids,
    one_to_one,
    reach,
)
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Condition,
    Effect,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import (
    CONTAINER_BINDING,
    KVM_GUIDE,
    OVERVIEW_FIGURE,
    TOPOLOGY_GUIDE,
    WAYCA,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.cpuset import CpuSet
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.topology import CpuCluster
from virtboost.model.wording import listed, size

KEPT_FOR_HOST = 2
"""pCPUs that a plan leaves to the host (the smaller number of the topology tuning guide)."""


def _pinned(host: Host, _: Host, wanted: Wanted) -> Outcome:
    floating = [guest for guest in floating_guests(host) if guest.accelerated]
    if not floating:
        return Ok(f"each vCPU of {len(host.running_guests)} running guests has a pCPU")
    vcpus = sum(guest.vcpu_count for guest in host.running_guests)
    pmds = host.ovs.pmd_cpus if host.ovs is not None else CpuSet()
    room = len(host.topology.online - pmds) - KEPT_FOR_HOST
    if vcpus > room:
        return NotApplicable(f"{vcpus} vCPUs on {room} pCPUs: the host overcommits on purpose")
    names = listed(guest.name for guest in floating)
    pins = [one_to_one(host, guest) for guest in floating]
    return Wrong(
        found=f"{len(floating)} of {len(host.running_guests)} running guests float: {names}",
        wanted="one pCPU for each vCPU",
        reason=f"{vcpus} vCPUs could each have one of {room} pCPUs",
        changes=tuple(change for changes in pins for change in changes) if all(pins) else (),
    )


# One NUMA node, one die.


def _one_node(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    without = _without_one_node(host, guest)
    if without is not None:
        return without
    cpus, memory = reach(host, guest), guest.node_ids
    nodes = node_ids(host, cpus)
    if len(nodes) > 1:
        return Wrong(
            found=f"vCPUs on nodes {ids(nodes)} (pCPUs {cpus})",
            wanted="vCPUs and memory on one node",
            reason=f"{guest.vcpu_count} vCPUs and {size(guest.memory_bytes)} fit on one node, and "
            "every access to another one is slower",
        )
    if memory is not None and not set(memory) <= set(nodes):
        return Wrong(
            found=f"vCPUs on node {ids(nodes)}, memory from {ids(memory)}",
            wanted=f"vCPUs and memory on node {ids(nodes)}",
            reason="every access to memory crosses to another node",
        )
    return Ok(f"on node {ids(nodes)}")


def _without_one_node(host: Host, guest: Guest) -> NotApplicable | Unknown | None:
    if not confined(host, guest) and guest.node_ids is None:
        return NotApplicable("nobody placed it: vCPUs and memory float over the host")
    if len(guest.cells) > 1:
        return NotApplicable("it has several cells; guest.cells looks at each")
    if all(node.memory_bytes is None for node in host.topology.numa_nodes):
        return Unknown("how much memory the NUMA nodes have")
    if not any(fits(node, guest) for node in host.topology.numa_nodes):
        return NotApplicable(
            f"no NUMA node has {guest.vcpu_count} pCPUs and {size(guest.memory_bytes)} of memory"
        )
    return None


DIES_IN_A_NODE = Condition(
    when="a NUMA node of the host has more than one die",
    otherwise="no NUMA node of the host has more than one die",
    holds=lambda host: any(
        len(host.topology.dies_of(node.cpus)) > 1 for node in host.topology.numa_nodes
    ),
    gap="dies",
)


def _one_die(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    cpus = reach(host, guest)
    nodes = host.topology.nodes_of(cpus)
    if not confined(host, guest) or len(nodes) != 1:
        return NotApplicable("it is not on one NUMA node; guest.one_node looks at that")
    dies = host.topology.dies_of(cpus)
    if not any(guest.vcpu_count <= len(die.cpus) for die in host.topology.dies_of(nodes[0].cpus)):
        return NotApplicable(f"no die of node {nodes[0].id} has {guest.vcpu_count} pCPUs")
    if len(dies) < 2:
        return Ok(f"pCPUs {cpus}, one die")
    parts = ", ".join(f"{cpus & die.cpus} on die {die.id}" for die in dies)
    return Wrong(
        found=f"pCPUs {parts} of node {nodes[0].id}",
        wanted="one die",
        reason="the dies of a node have an L3 each: a line that both use crosses between them, and "
        "no NUMA tool shows it",
    )


# CPU clusters.


def _cluster_fit(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    chooser = manager(host)
    if chooser is not None:
        return NotApplicable(f"{chooser} chooses its pCPUs and knows no CPU clusters")
    if not dedicated(guest):
        return NotApplicable(FLOATS)
    clusters = host.topology.clusters_of(reach(host, guest))
    needed = _clusters_needed(host, guest)
    if len(clusters) <= needed:
        return Ok(_count(len(clusters)))
    if _spread(host, guest) and not _adjacent(reach(host, guest)):
        return NotApplicable("one vCPU in each CPU cluster, as guest.cluster_spread wants it")
    return Wrong(
        found=f"{_count(len(clusters))} for {guest.vcpu_count} vCPUs (pCPUs {reach(host, guest)})",
        wanted=_count(needed),
        reason="cores of one CPU cluster share an L3 tag: what they share stays near",
    )


def _clusters_needed(host: Host, guest: Guest) -> int:
    """Return into how many CPU clusters its vCPUs go, node by node."""
    sizes = Counter(len(cluster.cpus) for cluster in host.topology.shared_clusters)
    usual = sizes.most_common(1)[0][0]
    cpus = reach(host, guest)
    on_nodes = (len(cpus & node.cpus) for node in host.topology.nodes_of(cpus))
    return sum(-(-count // usual) for count in on_nodes)


def _adjacent(cpus: CpuSet) -> bool:
    return any(cpu + 1 in cpus for cpu in cpus)


def _spread(host: Host, guest: Guest) -> bool:
    return len(host.topology.clusters_of(reach(host, guest))) == guest.vcpu_count


def _cluster_spread(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not dedicated(guest):
        return NotApplicable(FLOATS)
    clusters = _clusters_near(host, guest)
    if guest.vcpu_count < 2 or guest.vcpu_count > len(clusters):
        return NotApplicable(f"{guest.vcpu_count} vCPUs on nodes with {len(clusters)} CPU clusters")
    used = len(host.topology.clusters_of(reach(host, guest)))
    if _spread(host, guest):
        return Ok(f"one vCPU in each of {_count(used)}")
    return Wrong(
        found=f"{guest.vcpu_count} vCPUs in {_count(used)}",
        wanted="one vCPU in each CPU cluster",
        reason="the vCPUs of one CPU cluster share the bandwidth of its L3 tag",
    )


def _cluster_range(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not guest.pinned:
        return NotApplicable("not each of its vCPUs has a pin")
    whole = {cluster.cpus for cluster in host.topology.shared_clusters}
    pins = set(guest.vcpu_pins.values())
    if pins <= whole:
        return Ok(
            f"each vCPU pinned to a whole CPU cluster: {listed(map(str, sorted(pins, key=str)))}"
        )
    return Wrong(
        found=listed(f"vCPU {vcpu} on {pin}" for vcpu, pin in guest.vcpu_pins.items()),
        wanted="a CPU cluster for each vCPU",
        reason="inside a CPU cluster a vCPU may move without losing the L3 tag",
    )


def _clusters_near(host: Host, guest: Guest) -> list[CpuCluster]:
    nodes = host.topology.nodes_of(reach(host, guest))
    return [c for c in host.topology.shared_clusters if any(c.cpus <= n.cpus for n in nodes)]


def _count(clusters: int) -> str:
    return f"{clusters} CPU cluster{'' if clusters == 1 else 's'}"


ITEMS = (
    Item(
        id="guest.pinned",
        title="Each vCPU has a pCPU of its own",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="a pinned vCPU cannot move away from a busy pCPU: pin all guests of a host or none",
        effect=NO_FIGURE,
        why=(
            "A vCPU that moves loses its caches, and a pCPU that serves several guests changes the "
            "VMID often, which flushes TLBs. On a host that keeps fewer vCPUs than pCPUs, nothing "
            "is lost by giving each its own. A host that overcommits on purpose needs the "
            "scheduler's freedom: there, a pin makes one guest wait while pCPUs are idle. A "
            "change is given where each guest already has exactly as many pCPUs as vCPUs; "
            "everything else is a placement, planned for all guests together. The overview calls "
            "the gain notable and gives no figure."
        ),
        sources=(OVERVIEW_FIGURE, KVM_GUIDE),
        by_hand=PIN,
        undo_by_hand=UNPIN,
        conflicts=("guest.cluster_range",),
        applies=(RUNNING_GUESTS, FAR_APART),
        subjects=HOST,
        judge=_pinned,
    ),
    Item(
        id="guest.one_node",
        title="vCPUs and memory of a guest on one NUMA node",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="the node may be full: see that pCPUs and memory are free there",
        effect=NO_FIGURE,
        why=(
            "A guest that fits on one NUMA node and is spread over several pays for remote memory "
            "with each miss, and the guest's kernel cannot know it. The item looks at guests that "
            "somebody placed: their pins, cpuset or numatune say where. A guest that is larger "
            "than a node needs cells instead (guest.cells). The overview calls the gain notable "
            "and gives no figure."
        ),
        sources=(OVERVIEW_FIGURE, KVM_GUIDE),
        by_hand=PIN + "\nvirsh numatune GUEST --mode strict --nodeset NODE --config",
        undo_by_hand=UNPIN + "\nvirsh numatune GUEST --nodeset NODES --config",
        applies=(NUMA,),
        subjects=GUESTS,
        judge=_one_node,
    ),
    Item(
        id="guest.one_die",
        title="A guest on one NUMA node stays inside one die",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="the die may have no free pCPUs",
        effect=NO_FIGURE,
        why=(
            "With One NUMA Per Socket and Die Interleaving, a new Kunpeng 920 has two dies in one "
            "NUMA node: NUMA tools see one place where the hardware has two. A guest that fits on "
            "a die and lies across both pays for each shared cache line. A guest that is larger "
            "than a die cannot avoid it."
        ),
        sources=(TOPOLOGY_GUIDE,),
        by_hand=PIN,
        undo_by_hand=UNPIN,
        rule="R8",
        applies=(DIES_IN_A_NODE,),
        subjects=GUESTS,
        judge=_one_die,
    ),
    Item(
        id="guest.cluster_fit",
        title="A pinned guest uses as few CPU clusters as its vCPUs need",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="workloads that only want memory bandwidth run faster when they are spread",
        effect=NO_FIGURE,
        why=(
            "The newer guides pin 1:1, use the fewest CPU clusters and describe them to the guest. "
            "That is right where vCPUs share data: on a Kunpeng 920, a pipe between two cores "
            "takes 5.7 us within a cluster and 7.6 us across two. It is wrong for pure memory "
            "bandwidth, where four threads in four clusters got 25 % more than in one; a guest "
            "that is laid out so (one vCPU in each cluster) is left alone. Measure before you "
            "choose."
        ),
        sources=(TOPOLOGY_GUIDE, WAYCA),
        by_hand=PIN,
        undo_by_hand=UNPIN,
        conflicts=("guest.cluster_range", "guest.cluster_spread"),
        rule="R8",
        applies=(CLUSTERS,),
        subjects=GUESTS,
        judge=_cluster_fit,
    ),
    Item(
        id="guest.cluster_spread",
        title="vCPUs pinned one to a CPU cluster (first reading of the 2021 guide)",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        usage="poc_only",
        takes_effect="live",
        risk="vCPUs that share data get slower: a contended lock took 27.5 s spread, 11.6 s packed",
        effect=Effect(
            figure="+25 % STREAM triad with 4 threads, +10 % with 8, none with 16",
            conditions="threads 0,4,8,12 against 0-3 on a Kunpeng 920, bare metal, one machine",
            source=WAYCA,
        ),
        why=(
            "The 2021 overview lists pinning at the scope of CPU clusters, for proofs of concept "
            "only, with a gain in memory bandwidth; it does not say how. One reading is a vCPU in "
            "each cluster, so that each has an L3 tag to itself; the other is guest.cluster_range. "
            "It fills a host badly and contradicts guest.cluster_fit: use it to show bandwidth."
        ),
        sources=(OVERVIEW_FIGURE, KVM_GUIDE, WAYCA),
        by_hand="virsh vcpupin GUEST 0 4 --live --config; virsh vcpupin GUEST 1 8 --live --config",
        undo_by_hand=UNPIN,
        conflicts=("guest.cluster_fit", "guest.cluster_range"),
        rule="R14",
        applies=(CLUSTERS,),
        subjects=GUESTS,
        judge=_cluster_spread,
    ),
    Item(
        id="guest.cluster_range",
        title="Each vCPU pinned to a whole CPU cluster (second reading of the 2021 guide)",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        usage="poc_only",
        takes_effect="live",
        risk="several vCPUs may meet on one pCPU of the cluster",
        effect=NO_FIGURE,
        why=(
            "The other reading of pinning at the scope of CPU clusters: a vCPU may run on each "
            "pCPU of one cluster, keeps its L3 tag and gets away from a busy pCPU. A vCPU without "
            "a pCPU of its own is what guest.pinned warns of; for proofs of concept only, with a "
            "gain in bandwidth that the overview calls notable and does not tell."
        ),
        sources=(OVERVIEW_FIGURE, KVM_GUIDE, CONTAINER_BINDING),
        by_hand="virsh vcpupin GUEST 0 4-7 --live --config",
        undo_by_hand=UNPIN,
        conflicts=("guest.cluster_fit", "guest.cluster_spread", "guest.pinned"),
        rule="R14",
        applies=(CLUSTERS,),
        subjects=GUESTS,
        judge=_cluster_range,
    ),
)
