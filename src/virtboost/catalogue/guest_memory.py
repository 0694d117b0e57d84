"""Items on the memory of guests: where it comes from, its pages, who may see it."""

from __future__ import annotations

from virtboost.catalogue.conditions import NUMA, dedicated
from virtboost.catalogue.guest import (
    FLOATS,
    GUESTS,
    PLATFORMS,
    by_virsh,
    confined,
    fits,
    ids,
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
    HUGETLB_ARM,
    KAE_MIGRATION,
    KVM_GUIDE,
    KVM_MEMORY,
    LIBVIRT_DOMAIN,
    LOSS_OPTIMIZATION,
    OVERVIEW_FIGURE,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import Change, GuestMemoryBacking, GuestMemoryPolicy
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.wording import listed, size

_MIB = 1 << 20

PAGES = {
    4 << 10: (2 * _MIB, 1024 * _MIB),
    16 << 10: (32 * _MIB,),
    64 << 10: (512 * _MIB, 2 * _MIB),
}
"""Sizes of huge pages for guests by base page, the usual one first (hugetlbpage.rst of arm64)."""


def _policies(guest: Guest) -> list[tuple[tuple[int, ...], str]]:
    """Return nodes and mode of each rule on memory; libvirt's mode is strict unless it says so."""
    own = [(c.node_ids, c.memory_mode) for c in guest.cells]
    rules = [*own, (guest.node_ids, guest.memory_mode)]
    return [(nodes, mode or "strict") for nodes, mode in rules if nodes is not None]


def _memory_bound(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if guest.placement == "auto":
        return NotApplicable("numad places it (placement='auto')")
    if not confined(host, guest):
        return NotApplicable("its vCPUs float over the host")
    near = host.topology.nodes_of(reach(host, guest))
    nodes = tuple(node.id for node in near)
    unbound = [cell.id for cell in guest.cells if cell.node_ids is None]
    if guest.node_ids is not None or (guest.cells and not unbound):
        return Ok(f"bound to {_policy_text(guest)}")
    if set(nodes) == {node.id for node in host.topology.numa_nodes}:
        return NotApplicable("its vCPUs use every node")
    what = f"cells {ids(unbound)}" if len(guest.cells) > 1 else "memory"
    change = GuestMemoryPolicy(guest=guest.name, mode="strict", node_ids=nodes)
    return Wrong(
        found=f"vCPUs on node {ids(nodes)}, {what} bound to none",
        wanted=f"memory from node {ids(nodes)}",
        reason="the kernel takes memory where the thread runs that touches it first, which is "
        "often QEMU's main thread, and elsewhere when the node is short of it",
        changes=by_virsh(host, change) if len(near) == 1 and fits(near[0], guest) else (),
    )


def _policy_text(guest: Guest) -> str:
    return listed(f"{mode} node {ids(nodes)}" for nodes, mode in dict.fromkeys(_policies(guest)))


def _memory_strict(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    policies = _policies(guest)
    if not policies:
        return NotApplicable("its memory is bound to no node")
    single = [(nodes, mode) for nodes, mode in policies if len(nodes) == 1]
    if not single:
        return NotApplicable("its memory may come from several nodes")
    loose = [(nodes, mode) for nodes, mode in single if not wanted.accepts(mode)]
    if not loose:
        return Ok(_policy_text(guest))
    changes: tuple[Change, ...] = ()
    if not guest.cells:
        mode, nodes = wanted.choices[0], loose[0][0]
        changes = by_virsh(host, GuestMemoryPolicy(guest=guest.name, mode=mode, node_ids=nodes))
    return Wrong(
        found=listed(f"{mode} node {ids(nodes)}" for nodes, mode in dict.fromkeys(loose)),
        wanted=wanted.text,
        reason="when the node is short of memory, the guest gets remote memory and nobody is told",
        changes=changes,
    )


# Pages.


def _hugepages(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not dedicated(guest) or not guest.accelerated:
        return NotApplicable(FLOATS if guest.accelerated else "KVM does not run it")
    if guest.page_sizes_bytes:
        sizes = (each or host.memory.default_hugepage_bytes for each in guest.page_sizes_bytes)
        return Ok(f"pages of {listed(size(each) for each in sizes)}")
    base = host.memory.page_size_bytes
    if base is None:
        return Unknown("the base page size, on which the sizes of huge pages depend")
    fitting = [
        each
        for each in PAGES.get(base, ())
        if each in host.memory.hugepage_sizes_bytes and guest.memory_bytes % each == 0
    ]
    if not fitting:
        return NotApplicable(
            f"no size of huge pages beside base pages of {size(base)} divides its memory, "
            f"{size(guest.memory_bytes)}"
        )
    enough = [each for each in fitting if _pages_free(host, guest, each)]
    return Wrong(
        found=f"base pages of {size(base)}",
        wanted=f"pages of {' or '.join(size(each) for each in fitting)}",
        reason=f"{guest.memory_bytes // base} pages to translate instead of "
        f"{guest.memory_bytes // fitting[0]}"
        + ("" if enough else "; the pools of its nodes hold too few free ones as yet"),
        changes=by_virsh(
            host,
            *(GuestMemoryBacking(guest=guest.name, page_size_bytes=each) for each in enough[:1]),
        ),
    )


def _pages_free(host: Host, guest: Guest, size_bytes: int) -> bool:
    nodes = host.topology.nodes_of(reach(host, guest))
    pools = [pool for node in nodes if (pool := node.pool(size_bytes)) is not None]
    return sum(pool.free for pool in pools) * size_bytes >= guest.memory_bytes


def _kae_pages(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if "kaezip" not in guest.environment.get("LD_LIBRARY_PATH", ""):
        return NotApplicable("it is not set up for migration with KAE (LD_LIBRARY_PATH)")
    if not guest.page_sizes_bytes:
        return Ok("base pages")
    return Wrong(
        found=f"huge pages of {listed(size(each) for each in guest.page_sizes_bytes if each)}",
        wanted="base pages",
        reason="QEMU with KAE compression is not made for guests on huge pages",
    )


def _shared_memory(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    ports = [nic for nic in guest.nics if nic.kind == "vhostuser"]
    if not ports:
        return NotApplicable("it has no vhost-user interface")
    if guest.memory_shared_access:
        return Ok("shared memory")
    return Wrong(
        found=f"{len(ports)} vhost-user interfaces, private memory",
        wanted="shared memory",
        reason="the switch cannot read the guest's rings: the interfaces carry no packet",
    )


def _balloon(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    kept = "huge pages" if guest.page_sizes_bytes else "devices passed through"
    if not guest.page_sizes_bytes and not guest.pci_addresses:
        return NotApplicable("its memory goes back to the host when the balloon takes it")
    if guest.balloon == "none":
        return Ok("no balloon")
    if guest.current_memory_bytes is None:
        return Unknown("how much memory its balloon leaves it")
    taken = guest.memory_bytes - guest.current_memory_bytes
    if taken <= 0:
        return Ok("the balloon is empty")
    return Wrong(
        found=f"the balloon holds {size(taken)} of {size(guest.memory_bytes)}",
        wanted="an empty balloon, or none",
        reason=f"a guest with {kept} does not give memory back: it is missing there and no gain "
        "for the host",
    )


NUMATUNE = "virsh numatune GUEST --mode strict --nodeset NODE --config"

UNNUMATUNE = "virsh edit GUEST  # the <numatune> that was there before"

ITEMS = (
    Item(
        id="guest.memory_bound",
        title="Memory of a placed guest is bound to the node of its vCPUs",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="the guest does not start where the node has too little memory: see hugepage.pool",
        effect=Effect(
            figure="2.1 s or 3.2 s for the same program",
            conditions="CPUs pinned and memory not, so that some runs had remote memory",
            source="AztecProtocol/aztec-packages, issue 24276",
        ),
        why=(
            "Pinning the vCPUs alone is half of it. Memory comes from the node of the thread that "
            "touches it first, and huge pages are touched by QEMU before a vCPU runs; the same "
            "guest is then fast or slow by the chance of its start. Guests that float over the "
            "host are left to the kernel's NUMA balancing."
        ),
        sources=(OVERVIEW_FIGURE, KVM_GUIDE, KVM_MEMORY),
        by_hand=NUMATUNE,
        undo_by_hand=UNNUMATUNE,
        applies=(NUMA,),
        subjects=GUESTS,
        judge=_memory_bound,
    ),
    Item(
        id="guest.memory_strict",
        title="Memory that is bound to a node is bound strictly",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="guest restart",
        risk="with strict, a guest does not start, or is killed, where the node has too little",
        effect=Effect(
            figure="about 5 %",
            conditions="strict against preferred, proofs of concept and benchmarks",
            source="Kunpeng KVM tuning guide, memory binding",
        ),
        why=(
            "preferred falls back to other nodes without a word; strict makes a lack of memory "
            "visible when the guest starts. That is what a guest with a promise of speed wants. "
            "Where starting at all matters more, preferred is right: accept it in virtboost.yaml."
        ),
        sources=(KVM_MEMORY, LIBVIRT_DOMAIN),
        by_hand=NUMATUNE,
        undo_by_hand="virsh numatune GUEST --mode preferred --nodeset NODE --config",
        applies=(NUMA,),
        subjects=GUESTS,
        wanted=Wanted("strict | restrictive"),
        judge=_memory_strict,
    ),
    Item(
        id="guest.hugepages",
        title="A pinned guest has huge pages of a size that fits the host's base page",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="guest restart",
        risk="the pages are taken from the host whether the guest uses them or not",
        effect=Effect(
            figure="about 5 %",
            conditions="512 MB pages with THP off, CPU benchmark in a guest, CentOS 7.6 (64 KiB "
            "base pages)",
            source=OVERVIEW_FIGURE,
        ),
        why=(
            "Fewer and larger pages mean fewer TLB misses, twice over in a guest. 512 MB pages "
            "exist with 64 KiB base pages only; with 4 KiB there are 2 MB and 1 GB (32 MB too on "
            "aarch64), with 16 KiB 32 MB. Static pages suit pinned guests, whose memory is theirs "
            "anyway; they rule out overcommit of memory, KSM, live migration with KAE compression "
            "and, with 64 KiB base pages, the isolation of single bad pages. Guests that float "
            "are served by transparent huge pages."
        ),
        sources=(OVERVIEW_FIGURE, LOSS_OPTIMIZATION, HUGETLB_ARM),
        by_hand=(
            "virsh edit GUEST  # <memoryBacking><hugepages><page size='2' unit='MiB'/>"
            "</hugepages></memoryBacking>"
        ),
        undo_by_hand="virsh edit GUEST  # take <hugepages> out",
        conflicts=("guest.kae_pages",),
        subjects=GUESTS,
        judge=_hugepages,
    ),
    Item(
        id="guest.kae_pages",
        title="No huge pages in a guest that migrates with KAE compression",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="the guest loses what huge pages bring",
        effect=NO_FIGURE,
        why=(
            "The guide to live migration with KAE compression says not to configure huge pages "
            "for the guest: they need more work in QEMU. A guest shows that it is set up for it "
            "by the library path of KAE zip in its XML (qemu:env); parameters of the migration "
            "itself cannot be seen on the host."
        ),
        sources=(KAE_MIGRATION,),
        by_hand="virsh edit GUEST  # take <hugepages> out, or the qemu:env of kaezip",
        undo_by_hand="virsh edit GUEST  # <hugepages> as before",
        conflicts=("guest.hugepages",),
        rule="R5",
        subjects=GUESTS,
        judge=_kae_pages,
    ),
    Item(
        id="guest.shared_memory",
        title="A guest with vhost-user interfaces shares its memory",
        layer="guest",
        platforms=("kvm", "openstack", "ovs"),
        severity="critical",
        takes_effect="guest restart",
        risk="none: without it the interfaces do not work",
        effect=NO_FIGURE,
        why=(
            "Open vSwitch with DPDK reads and writes the rings in the guest's memory. It can map "
            "that memory only if it is shared: <access mode='shared'/>, or memAccess='shared' in "
            "the cells, as Nova writes it."
        ),
        sources=(LIBVIRT_DOMAIN,),
        by_hand="virsh edit GUEST  # in <memoryBacking>: <access mode='shared'/>",
        undo_by_hand="virsh edit GUEST  # take <access mode='shared'/> out",
        subjects=GUESTS,
        judge=_shared_memory,
    ),
    Item(
        id="guest.balloon",
        title="No balloon in use where it gives nothing back",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="the guest uses the memory that it was sold",
        effect=NO_FIGURE,
        why=(
            "A balloon returns base pages. QEMU ignores what is smaller than the guest's huge "
            "pages, and inhibits ballooning under a device that is passed through: the guest is "
            "short of memory and the host does not have it either. An empty balloon is harmless "
            "and tells the guest's memory use; it is no finding."
        ),
        sources=(LIBVIRT_DOMAIN,),
        by_hand="virsh setmem GUEST SIZE --live --config  # SIZE: virsh dominfo GUEST, Max memory",
        undo_by_hand="virsh setmem GUEST OLD-SIZE --live --config",
        subjects=GUESTS,
        judge=_balloon,
    ),
)
