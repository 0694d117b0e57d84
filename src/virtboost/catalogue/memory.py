"""Items on memory: transparent huge pages, KSM, page reclaim, room for the guests."""

from __future__ import annotations

from collections.abc import Sequence

from virtboost.catalogue.commands import sysctl
from virtboost.catalogue.conditions import (
    NUMA,
    RUNNING_GUESTS,
    WORKLOADS,
    base_page_bytes,
    bound_bytes,
    bound_guests,
    more_than_memory,
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
    Subjects,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import KSM, OVERVIEW, OVERVIEW_FIGURE, SYSCTL_VM, TUNED
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import Change, Ksm, Sysctl, TransparentHugepages
from virtboost.model.host import Host
from virtboost.model.numa import NumaNode
from virtboost.model.wording import listed, size

HUGEPAGE_GUESTS = Condition(
    when="a guest has static huge pages",
    otherwise="no guest has static huge pages, which is what THP gets in the way of",
    holds=lambda host: any(guest.page_sizes_bytes for guest in host.guests),
    gap="guests",
)

KSM_PRESENT = Condition(
    when="the kernel has KSM",
    otherwise="this kernel has no KSM",
    holds=lambda host: host.memory.ksm_run is not None,
)


def _thp(host: Host, _: Host, wanted: Wanted) -> Outcome:
    found = host.memory.thp_enabled
    if found is None:
        return NotApplicable("this kernel has no transparent huge pages")
    if wanted.accepts(found):
        return Ok(found)
    value = _thp_value(host, wanted)
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="khugepaged scans and compacts memory beside guests that have their own pages",
        changes=(TransparentHugepages(setting="enabled", value=value),) if value else (),
    )


def _thp_value(host: Host, wanted: Wanted) -> str | None:
    """Return ``madvise`` where that will do and a guest lives on base pages: QEMU asks for THP."""
    plain = any(not guest.page_sizes_bytes for guest in host.running_guests)
    return "madvise" if plain and wanted.accepts("madvise") else wanted.value


def _ksm(host: Host, _: Host, wanted: Wanted) -> Outcome:
    found = str(host.memory.ksm_run)
    if wanted.accepts(found):
        return Ok(found)
    bound = bound_guests(host)
    if not bound:
        return NotApplicable("no running guest is bound to a NUMA node; sharing may be wanted")
    needed = more_than_memory(host)
    if needed is not None:
        return NotApplicable(needed)
    value = wanted.value
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason=f"ksmd takes CPU time and can leave {listed(guest.name for guest in bound)} with "
        "pages of another node, and every write to a shared page faults",
        changes=(Ksm(setting="run", value=int(value)),) if value in ("0", "2") else (),
    )


def _ksm_across_nodes(host: Host, _: Host, wanted: Wanted) -> Outcome:
    if host.memory.ksm_run != 1:
        return NotApplicable("KSM does not run")
    if bound_guests(host):
        return NotApplicable("guests are bound to NUMA nodes: memory.ksm tells whether it may run")
    found = host.memory.ksm_merge_across_nodes
    if found is None:
        return Unknown("/sys/kernel/mm/ksm/merge_across_nodes")
    if wanted.accepts(str(found)):
        return Ok(str(found))
    return Wrong(
        found=str(found),
        wanted=wanted.text,
        reason="one of the guests that share a page reads it from another node",
        changes=_remerged() if wanted.value == "0" else (),
    )


def _remerged() -> tuple[Change, ...]:
    """Unmerge, change, merge again: the kernel refuses while pages are shared (ksm.rst)."""
    return (
        Ksm(setting="run", value=2),
        Ksm(setting="merge_across_nodes", value=0),
        Ksm(setting="run", value=1),
    )


def _zone_reclaim(host: Host, _: Host, wanted: Wanted) -> Outcome:
    name = "vm.zone_reclaim_mode"
    found = host.kernel.sysctls.get(name)
    if found is None:
        return Unknown(name)
    if wanted.accepts(found):
        return Ok(found)
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="a node that is full throws out its page cache although other nodes have free "
        "memory, and whoever allocates waits for it",
        changes=(Sysctl(name=name, value=wanted.value),) if wanted.value else (),
    )


def _pool_bytes(nodes: Sequence[NumaNode]) -> int:
    return sum(pool.total * pool.size_bytes for node in nodes for pool in node.hugepages)


def _fit(asked: int, there: int, names: Sequence[str], wanted: Wanted, reason: str) -> Outcome:
    percent = 100 * asked // there
    found = f"{percent} % ({size(asked)} of {size(there)})"
    if wanted.accepts(str(percent)):
        return Ok(found)
    return Wrong(found=found, wanted=f"{wanted.text} %", reason=reason.format(guests=listed(names)))


def _guests_fit(host: Host, _: Host, wanted: Wanted) -> Outcome:
    total = host.memory.total_bytes
    if total is None:
        return Unknown("the memory of the host")
    there = total - _pool_bytes(host.topology.numa_nodes)
    if there <= 0:
        return Unknown("the memory besides huge pages")
    names = [guest.name for guest in host.running_guests if not guest.page_sizes_bytes]
    swap = size(host.memory.swap_bytes)
    reason = f"when they touch all they have, the host swaps (it has {swap}) or ends one"
    return _fit(base_page_bytes(host), there, names, wanted, reason)


def _bound_nodes(host: Host) -> Sequence[tuple[str, NumaNode]]:
    bound = {node_id for guest in host.running_guests for node_id in bound_bytes(guest)}
    return [(str(node.id), node) for node in host.topology.numa_nodes if node.id in bound]


def _bound_guests_fit(host: Host, node: NumaNode, wanted: Wanted) -> Outcome:
    guests = [guest for guest in host.running_guests if not guest.page_sizes_bytes]
    shares = {guest.name: bound_bytes(guest).get(node.id, 0) for guest in guests}
    there = (node.memory_bytes or 0) - _pool_bytes([node])
    if there <= 0:
        return Unknown(f"the memory of node {node.id} besides huge pages")
    names = [name for name, share in shares.items() if share]
    reason = (
        f"they may take memory from node {node.id} only: when they touch all they have, it runs "
        "out while other nodes have some"
    )
    return _fit(sum(shares.values()), there, names, wanted, reason)


def _pressure(host: Host, _: Host, wanted: Wanted) -> Outcome:
    pressure = host.kernel.pressure.get("memory")
    if pressure is None:
        return Unknown("pressure stall information (the kernel has none, or needs psi=1)")
    some = f"{pressure.some_avg60_percent:g}"
    if wanted.accepts(some):
        return Ok(f"{some} %")
    free = size(host.memory.available_bytes)
    return Wrong(
        found=f"{some} %",
        wanted=f"{wanted.text} %",
        reason=f"for that share of the last minute some task waited for memory; {free} of "
        f"{size(host.memory.total_bytes)} is available",
    )


ITEMS = (
    Item(
        id="memory.thp",
        title="Transparent huge pages off where guests have static ones",
        layer="kernel",
        platforms=("kvm", "openstack", "ovirt"),
        severity="warning",
        takes_effect="live",
        risk="programs outside guests that gained from THP lose it",
        effect=Effect(
            figure="about 5 %",
            conditions="THP off together with 512 MB pages, CPU benchmark in a guest, CentOS 7.6",
            source=OVERVIEW_FIGURE,
        ),
        why=(
            "A guest with static huge pages gets nothing from transparent ones, and pays for "
            "khugepaged's scans and for compaction. A guest on base pages is another matter: "
            "transparent huge pages are all it has, so a host without guests on static ones is "
            "left alone, and madvise, which QEMU asks for, is enough where both kinds run. TuneD's "
            "virtual-host profile sets always."
        ),
        sources=(OVERVIEW, TUNED),
        by_hand="echo never > /sys/kernel/mm/transparent_hugepage/enabled",
        undo_by_hand="echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        conflicts=("service.tuned",),
        applies=(HUGEPAGE_GUESTS,),
        subjects=HOST,
        wanted=Wanted("never | madvise"),
        judge=_thp,
    ),
    Item(
        id="memory.ksm",
        title="KSM off beside guests that are bound to NUMA nodes",
        layer="kernel",
        platforms=("kvm", "openstack", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="0 keeps what is merged; 2 unmerges it and needs memory for every copy",
        effect=NO_FIGURE,
        why=(
            "KSM buys memory with CPU time, with write faults, and, on a host with several nodes, "
            "with pages that lie on another node than the guest. Who binds guests to nodes wants "
            "the opposite. Leave it on where guests have more memory than the host: there it is "
            "what makes them fit, and this item does not apply."
        ),
        sources=(KSM,),
        by_hand=(
            "systemctl disable --now ksmtuned  # where it is installed: it sets the next again\n"
            "echo 0 > /sys/kernel/mm/ksm/run"
        ),
        undo_by_hand="echo 1 > /sys/kernel/mm/ksm/run",
        applies=(KSM_PRESENT, RUNNING_GUESTS),
        subjects=HOST,
        wanted=Wanted("0 | 2"),
        judge=_ksm,
    ),
    Item(
        id="memory.ksm_across_nodes",
        title="KSM merges pages of one NUMA node only",
        layer="kernel",
        platforms=("kvm", "openstack", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="every shared page is unmerged first, which takes memory and time; less is shared "
        "afterwards",
        effect=NO_FIGURE,
        why=(
            "A page that guests of two nodes share is remote for one of them. The kernel's "
            "documentation expects a gain on systems with more nodes at significant distances, "
            "and advises small systems that need the memory to keep merging across nodes."
        ),
        sources=(KSM,),
        by_hand=("cd /sys/kernel/mm/ksm\necho 2 > run\necho 0 > merge_across_nodes\necho 1 > run"),
        undo_by_hand=(
            "cd /sys/kernel/mm/ksm\necho 2 > run\necho 1 > merge_across_nodes\necho 1 > run"
        ),
        applies=(NUMA, KSM_PRESENT, RUNNING_GUESTS),
        subjects=HOST,
        wanted=Wanted("0"),
        judge=_ksm_across_nodes,
    ),
    Item(
        id="memory.zone_reclaim",
        title="No reclaim of a node's own page cache while other nodes have memory",
        layer="kernel",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt"),
        severity="warning",
        takes_effect="live",
        risk="a program that is not bound may get memory of another node where it waited before",
        effect=NO_FIGURE,
        why=(
            "With a zone_reclaim_mode other than 0, an allocation on a full node reclaims there "
            "before it looks at other nodes, which stalls file caches and unbound programs. Guests "
            "with strict memory get nothing from it: their policy already keeps them on the node. "
            "The kernel's documentation keeps it for loads that are partitioned so that each part "
            "fits into a node and suffers measurably from remote memory."
        ),
        sources=(SYSCTL_VM,),
        by_hand=sysctl("vm.zone_reclaim_mode", "0"),
        undo_by_hand=sysctl("vm.zone_reclaim_mode", "OLD"),
        applies=(NUMA,),
        subjects=HOST,
        wanted=Wanted("0"),
        judge=_zone_reclaim,
    ),
    Item(
        id="memory.guests_fit",
        title="Running guests fit into the memory besides huge pages",
        layer="host",
        platforms=("kvm", "openstack", "ovirt"),
        severity="warning",
        takes_effect="guest restart",
        risk="a guest with less memory may swap inside",
        effect=NO_FIGURE,
        why=(
            "Guests rarely touch all their memory, so more than the host has can work for long, "
            "with ballooning, KSM or swap behind it. When they do touch it, everything waits, or "
            "the kernel ends a guest. A site that overcommits on purpose raises the wanted value."
        ),
        sources=(
            "libvirt, domain memory: https://libvirt.org/formatdomain.html#memory-allocation",
        ),
        by_hand="virsh setmem GUEST SIZE --live --config  # or migrate a guest away",
        undo_by_hand="virsh setmem GUEST OLD --live --config",
        applies=(RUNNING_GUESTS,),
        subjects=HOST,
        wanted=Wanted("<= 100"),
        judge=_guests_fit,
    ),
    Item(
        id="memory.bound_guests_fit",
        title="Guests with strict memory fit into their NUMA node",
        layer="host",
        platforms=("kvm", "openstack", "ovirt"),
        severity="warning",
        takes_effect="guest restart",
        risk="a guest on another node needs its vCPUs there too",
        effect=NO_FIGURE,
        why=(
            "strict is about 5 % faster than preferred in Huawei's measurement because memory "
            "never comes from another node. The price: when the node runs out, the kernel reclaims "
            "and then ends processes there, however much other nodes have."
        ),
        sources=(
            "Huawei, QEMU-KVM tuning on Kunpeng, memory binding: https://www.hikunpeng.com/"
            "document/detail/en/kunpengcpfs/ecosystemEnable/QEMU-KVM/kunpengkvm_05_0009.html",
        ),
        by_hand="virsh numatune GUEST --nodeset NODE --config  # and its vCPUs with it",
        undo_by_hand="virsh numatune GUEST --nodeset OLD --config",
        rule="R16",
        subjects=Subjects(
            kind="node",
            select=_bound_nodes,
            none="no running guest must take its memory from one node",
            gap="guests",
        ),
        wanted=Wanted("<= 100"),
        judge=_bound_guests_fit,
    ),
    Item(
        id="memory.pressure",
        title="Nobody waits for memory",
        layer="host",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt"),
        severity="warning",
        takes_effect="live",
        risk="none: it is a sign, not a setting",
        effect=NO_FIGURE,
        why=(
            "Pressure stall information tells the share of time in which tasks waited for reclaim, "
            "swap or a refault. On a host of guests it should be near nothing; where it is not, "
            "other settings cannot be judged. The limit of 10 % is this project's choice: the "
            "kernel's documentation names none."
        ),
        sources=("Linux, pressure stall information: https://docs.kernel.org/accounting/psi.html",),
        by_hand="cat /proc/pressure/memory  # then give guests less memory, or huge pages",
        undo_by_hand="# nothing was set",
        applies=(WORKLOADS,),
        subjects=HOST,
        wanted=Wanted("<= 10"),
        judge=_pressure,
    ),
)
