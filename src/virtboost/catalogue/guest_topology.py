"""Items on what a guest is told of the CPUs below it: SMT, CPU clusters, dies, caches, cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from msgspec import Struct

from virtboost.catalogue.conditions import NUMA, dedicated
from virtboost.catalogue.guest import (
    FLOATS,
    GUESTS,
    PLATFORMS,
    affinity,
    by_virsh,
    confined,
    fits,
    ids,
    manager,
    node_ids,
    reach,
)
from virtboost.catalogue.item import (
    NO_FIGURE,
    Effect,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import (
    AUTO_TOPOLOGY,
    CLUSTER_AWARENESS,
    FEATURES,
    LIBVIRT_DOMAIN,
    NUMA_AWARENESS,
    TOPOLOGY_AWARENESS,
    TOPOLOGY_GUIDE,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import GuestTopologyEdit
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import MOST_VCPUS, Guest, GuestCell, GuestTopology
from virtboost.model.host import Host
from virtboost.model.wording import listed, size

MISLED = "the guest's scheduler and programs keep to caches that are not there"

Groups = frozenset[CpuSet]
"""vCPUs, grouped by what they share."""


class Level(Struct, frozen=True, kw_only=True):
    """One level of a topology: how the pins group the vCPUs, and what the guest is told."""

    noun: str
    """What groups them: ``core``, ``CPU cluster``, ``die``."""
    pinned: Groups
    told: Groups


def _topology(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    why = _without_topology(host, guest)
    if why is not None:
        return NotApplicable(why)
    if guest.topology is not None and guest.topology.auto:
        return Ok("auto_topology, from the pins")
    levels = _levels(host, guest)
    if not levels:
        return NotApplicable("there are no SMT, CPU clusters or dies that it can be told of")
    wrong = [level for level in levels if level.pinned != level.told]
    if not wrong:
        return Ok(_line(guest.topology or _flat(guest)))
    right = _topology_of(host, guest)
    if right is None:
        return NotApplicable(
            "its pins are not in the regular order that a topology line can tell "
            "(Kunpeng's auto_topology can)"
        )
    level = wrong[0]
    return Wrong(
        found=_line(guest.topology or _flat(guest)),
        wanted=_line(right),
        reason=f"pins put vCPUs {_listed(level.pinned)} on a {level.noun} each, the guest is told "
        f"{_listed(level.told)}",
        changes=by_virsh(host, _edit(guest, right)),
    )


def _without_topology(host: Host, guest: Guest) -> str | None:
    if not dedicated(guest):
        return FLOATS
    if guest.vcpu_count < 2:
        return "it has one vCPU"
    if guest.max_vcpu_count != guest.vcpu_count:
        return "it has room for more vCPUs, whose pins nobody knows"
    return None


def _flat(guest: Guest) -> GuestTopology:
    """Return what a guest without a topology is told: a socket for each vCPU."""
    return GuestTopology(sockets=guest.vcpu_count)


def _levels(host: Host, guest: Guest) -> list[Level]:
    told = guest.topology or _flat(guest)
    topology = host.topology
    levels = []
    if topology.smt or told.threads > 1:
        levels.append(_level(guest, "core", (c.cpus for c in topology.cores), told.threads))
    cores = told.threads * told.cores
    if _tells_clusters(host):
        groups = (cluster.cpus for cluster in topology.shared_clusters)
        levels.append(_level(guest, "CPU cluster", groups, cores))
    if _tells_dies(host):
        dies = cores * told.clusters
        levels.append(_level(guest, "die", (die.cpus for die in topology.dies), dies))
    return levels


def _level(guest: Guest, noun: str, groups: Iterable[CpuSet], told: int) -> Level:
    return Level(noun=noun, pinned=_pinned(guest, groups), told=_blocks(guest.vcpu_count, told))


def _pinned(guest: Guest, groups: Iterable[CpuSet]) -> Groups:
    """Group the vCPUs by the group of pCPUs that they are pinned into."""
    pins = guest.vcpu_pins.items()
    found = (CpuSet(vcpu for vcpu, pin in pins if pin <= cpus) for cpus in groups)
    return frozenset(vcpus for vcpus in found if vcpus)


def _blocks(count: int, block: int) -> Groups:
    """Group vCPUs as QEMU does: neighbours, a block at a time."""
    size, count = max(block, 1), min(count, MOST_VCPUS)
    return frozenset(
        CpuSet(range(first, min(first + size, count))) for first in range(0, count, size)
    )


_CLUSTERS_SINCE = (9, 10)
"""libvirt 10.1 tells clusters to guests; openEuler's 9.10 does too."""


def _tells_clusters(host: Host) -> bool:
    """Tell whether guests of this host can be told of CPU clusters.

    QEMU's Arm machines only; and Nova and oVirt have no word for them.
    """
    if host.arch != "aarch64" or not host.topology.shared_clusters or manager(host) is not None:
        return False
    version = (host.libvirt.version if host.libvirt is not None else None) or ""
    match = re.match(r"(\d{1,4})\.(\d{1,4})", version)
    return match is None or (int(match[1]), int(match[2])) >= _CLUSTERS_SINCE


def _tells_dies(host: Host) -> bool:
    """Tell whether guests can be told of dies: QEMU's PC machines only."""
    sockets = {socket.cpus for socket in host.topology.sockets}
    return (
        host.arch == "x86_64"
        and manager(host) is None
        and not {die.cpus for die in host.topology.dies} <= sockets
    )


def _topology_of(host: Host, guest: Guest) -> GuestTopology | None:
    """Return the topology that the pins make; None where they make no regular one."""
    topology, count = host.topology, guest.vcpu_count
    sockets = (socket.cpus for socket in topology.sockets)
    dies = (die.cpus for die in topology.dies)
    clusters = (cluster.cpus for cluster in topology.shared_clusters)
    in_socket = _block_size(guest, sockets)
    in_die = _block_size(guest, dies) if _tells_dies(host) else in_socket
    in_cluster = _block_size(guest, clusters) if _tells_clusters(host) else in_die
    in_core = _block_size(guest, (core.cpus for core in topology.cores))
    sizes = (count, in_socket, in_die, in_cluster, in_core, 1)
    if not all(sizes) or any(outer % inner for outer, inner in pairwise(sizes)):
        return None
    return GuestTopology(
        sockets=count // in_socket,
        dies=in_socket // in_die,
        clusters=in_die // in_cluster,
        cores=in_cluster // in_core,
        threads=in_core,
    )


def _block_size(guest: Guest, groups: Iterable[CpuSet]) -> int:
    """Return how many neighbouring vCPUs each group has; 0 where they are not alike."""
    pinned = _pinned(guest, groups)
    block = max((len(vcpus) for vcpus in pinned), default=0)
    return block if block and pinned == _blocks(guest.vcpu_count, block) else 0


def _edit(guest: Guest, right: GuestTopology) -> GuestTopologyEdit:
    return GuestTopologyEdit(
        guest=guest.name,
        sockets=right.sockets,
        dies=right.dies,
        clusters=right.clusters,
        cores=right.cores,
        threads=right.threads,
    )


def _line(told: GuestTopology) -> str:
    levels = (
        ("socket", told.sockets),
        ("die", told.dies),
        ("cluster", told.clusters),
        ("core", told.cores),
        ("thread", told.threads),
    )
    optional = ("die", "cluster")
    return " x ".join(
        f"{count} {noun}{'' if count == 1 else 's'}"
        for noun, count in levels
        if count > 1 or noun not in optional
    )


def _listed(groups: Groups) -> str:
    return listed(str(vcpus) for vcpus in sorted(groups, key=lambda vcpus: vcpus.first))


def _auto_topology(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if guest.topology is None or not guest.topology.auto:
        return NotApplicable("it does not ask for auto_topology")
    if dedicated(guest):
        return Ok("each vCPU has exactly one pCPU")
    loose = [v for v in guest.vcpu_ids if len(guest.vcpu_pins.get(v, ())) != 1]
    return Wrong(
        found=f"vCPUs {listed(map(str, loose))} have no pCPU, or several",
        wanted="exactly one pCPU for each vCPU",
        reason=f"auto_topology is not in force: the guest is told {_line(guest.topology)}",
    )


def _cache(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not dedicated(guest):
        return NotApplicable(FLOATS)
    if guest.caches:
        return _described_caches(host, guest)
    if host.arch != "x86_64":
        return NotApplicable(f"nothing in its XML describes caches; upstream cannot on {host.arch}")
    if guest.cpu_mode != "host-passthrough":
        return NotApplicable(f"its CPU is {guest.cpu_mode or 'the default'}, not host-passthrough")
    found = guest.cache_mode or "passthrough, by default"
    if guest.cache_mode in (None, "passthrough"):
        return Ok(found)
    return Wrong(found=found, wanted="passthrough", reason=MISLED)


CACHE_NAMES = {
    (1, "Data"): "l1d",
    (1, "Instruction"): "l1i",
    (2, "Unified"): "l2",
    (3, "Unified"): "l3",
}


def _described_caches(host: Host, guest: Guest) -> Outcome:
    cpus = reach(host, guest)
    near = [cache for cache in host.topology.caches if not cache.cpus.isdisjoint(cpus)]
    real = {CACHE_NAMES.get((cache.level, cache.type)): cache.size_bytes for cache in near}
    untold = [name for name in guest.caches if real.get(name) is None]
    if untold:
        return Unknown(f"the size of the host's {listed(untold)}")
    wrong = {name: told for name, told in guest.caches.items() if told != real[name]}
    if not wrong:
        return Ok(listed(f"{name} {size(told)}" for name, told in guest.caches.items()))
    return Wrong(
        found=listed(f"{name} {size(told)}" for name, told in wrong.items()),
        wanted=listed(f"{name} {size(real[name])}" for name in wrong),
        reason=MISLED,
    )


# Cells.


def _cells(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not confined(host, guest):
        return NotApplicable("its vCPUs float over the host")
    if len(guest.cells) > 1:
        wrong = [text for cell in guest.cells for text in _wrong_cell(host, guest, cell)]
        return _cells_wrong(wrong) if wrong else Ok(f"{len(guest.cells)} cells, a node for each")
    nodes = node_ids(host, reach(host, guest))
    if len(nodes) < 2:
        return NotApplicable("it is on one NUMA node")
    if _floats_across(host, guest):
        return NotApplicable("its vCPUs float between nodes: no cell would stay true")
    if any(fits(node, guest) for node in host.topology.nodes_of(reach(host, guest))):
        return NotApplicable("it fits on one NUMA node; guest.one_node looks at that")
    return Wrong(
        found=f"one cell, vCPUs on nodes {ids(nodes)}",
        wanted=f"{len(nodes)} cells, one for each node",
        reason="the guest cannot keep a program and its memory together: it sees one node",
    )


def _cells_wrong(wrong: list[str]) -> Wrong:
    return Wrong(
        found=listed(wrong),
        wanted="each cell on one node",
        reason="the guest keeps programs near memory that is far: it believes what it is told",
    )


def _wrong_cell(host: Host, guest: Guest, cell: GuestCell) -> Iterator[str]:
    nodes = node_ids(host, union(affinity(host, guest, vcpu) for vcpu in cell.vcpus))
    memory = cell.node_ids
    if len(nodes) > 1:
        yield f"cell {cell.id}: vCPUs {cell.vcpus} on nodes {ids(nodes)}"
    elif nodes and memory is not None and not set(memory) <= set(nodes):
        yield f"cell {cell.id}: vCPUs on node {ids(nodes)}, memory from {ids(memory)}"


def _floats_across(host: Host, guest: Guest) -> bool:
    return any(len(node_ids(host, affinity(host, guest, vcpu))) > 1 for vcpu in guest.vcpu_ids)


ITEMS = (
    Item(
        id="guest.topology",
        title="A pinned guest is told the SMT, CPU clusters and dies that its pins make",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="guest restart",
        risk="licences that count sockets; the guest cannot move to pins of another shape",
        effect=Effect(
            figure="2 to 20 %",
            conditions="cluster awareness in guest and host, multi-threaded programs, openEuler",
            source="Kunpeng BoostKit, features of virtualization",
        ),
        why=(
            "The guest's scheduler does for its programs what the host's does: it keeps what "
            "shares data near, and spreads what wants bandwidth, if it knows what is near. It is "
            "true for pinned guests only, and a wrong topology (threads='2' over pCPUs that are no "
            "siblings) is worse than none. In the guest, the cluster scheduler must be on "
            "(kernel.sched_cluster=1 on openEuler). Arm guests can be told clusters and no dies, "
            "x86 guests dies and no clusters; Nova and oVirt have words for neither."
        ),
        sources=(CLUSTER_AWARENESS, TOPOLOGY_GUIDE, FEATURES, LIBVIRT_DOMAIN),
        by_hand=(
            "virsh edit GUEST  # in <cpu>: "
            "<topology sockets='1' dies='1' clusters='4' cores='4' threads='1'/>"
        ),
        undo_by_hand="virsh edit GUEST  # the <topology> that was there before",
        rule="R9",
        subjects=GUESTS,
        judge=_topology,
    ),
    Item(
        id="guest.auto_topology",
        title="auto_topology has exactly one pCPU for each vCPU",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="none: without the pins, the attribute does nothing",
        effect=NO_FIGURE,
        why=(
            "Kunpeng's libvirt and QEMU derive the guest's topology from its pins, but only if "
            "each vCPU has exactly one pCPU. Otherwise libvirt logs a warning and the guest gets "
            "the explicit topology of the same line, which nobody may have meant."
        ),
        sources=(AUTO_TOPOLOGY,),
        by_hand="virsh vcpupin GUEST VCPU CPU --config  # for each vCPU, one CPU",
        undo_by_hand="virsh edit GUEST  # auto_topology='no'",
        rule="R10",
        subjects=GUESTS,
        judge=_auto_topology,
    ),
    Item(
        id="guest.cache",
        title="A pinned guest sees the host's caches",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="guest restart",
        risk="the guest cannot migrate to a CPU with other caches",
        effect=NO_FIGURE,
        why=(
            "With host-passthrough, libvirt passes the caches on unless the XML says otherwise; "
            "an emulated L3 or none misleads the guest's scheduler. On aarch64, upstream libvirt "
            "has no such setting; openEuler's has <cacheinfo>, whose sizes somebody wrote by hand "
            "and which stay when the guest moves to another generation. A guest without it is no "
            "finding: it needs patches that cannot be seen."
        ),
        sources=(LIBVIRT_DOMAIN, TOPOLOGY_AWARENESS),
        by_hand=(
            "virsh edit GUEST  # in <cpu mode='host-passthrough'>: <cache mode='passthrough'/>\n"
            "# openEuler on aarch64: <cacheinfo cache='l3' size='BYTES'/>"
        ),
        undo_by_hand="virsh edit GUEST  # the <cache> or <cacheinfo> that was there before",
        subjects=GUESTS,
        judge=_cache,
    ),
    Item(
        id="guest.cells",
        title="Cells of a guest match the NUMA nodes that it is on",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="programs that know nothing of NUMA may get slower in a guest with cells",
        effect=Effect(
            figure="5 to 15 %",
            conditions="memory access of programs that know NUMA, guest pinned 1:1",
            source="Kunpeng BoostKit, features of virtualization",
        ),
        why=(
            "A guest on several nodes that sees one spreads its programs over both and cannot do "
            "better. With a cell for each node, it can; the pins of a cell's vCPUs and its "
            "memnode must name the same node, or the guest is misled. With Nova, the flavor says "
            "hw:numa_nodes."
        ),
        sources=(NUMA_AWARENESS, FEATURES, LIBVIRT_DOMAIN),
        by_hand=(
            "virsh edit GUEST  # in <cpu>: <numa><cell id='0' cpus='0-7' memory='4' unit='GiB'/>"
            "<cell id='1' cpus='8-15' memory='4' unit='GiB'/></numa>; in <numatune>: "
            "<memnode cellid='0' mode='strict' nodeset='0'/>"
            "<memnode cellid='1' mode='strict' nodeset='1'/>"
        ),
        undo_by_hand="virsh edit GUEST  # take <numa> and <memnode> out",
        applies=(NUMA,),
        subjects=GUESTS,
        judge=_cells,
    ),
)
