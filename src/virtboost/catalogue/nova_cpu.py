"""Items on the pCPUs that Nova gives to guests."""

from __future__ import annotations

from msgspec import Struct

from virtboost.catalogue.commands import nova_option, without_nova_option
from virtboost.catalogue.conditions import ISOLATED, NUMA
from virtboost.catalogue.guest import SMT
from virtboost.catalogue.item import NO_FIGURE, Item, NotApplicable, Ok, Outcome, Unknown, Wrong
from virtboost.catalogue.nova import COMPUTE, COMPUTES, PLATFORMS, cpu_set
from virtboost.catalogue.sources import (
    KVM_GUIDE,
    NOVA_CONFIG,
    NOVA_TOPOLOGY,
    OSP_NFV,
    OSP_TUNING,
)
from virtboost.catalogue.wanted import Wanted, whole_number
from virtboost.model.agent import Agent
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.model.wording import listed

DEDICATED, SHARED = "compute.cpu_dedicated_set", "compute.cpu_shared_set"

PIN_SET, RESERVED = "DEFAULT.vcpu_pin_set", "DEFAULT.reserved_host_cpus"


class Sets(Struct, frozen=True, kw_only=True):
    """The pCPUs of pinned and of floating guests."""

    dedicated: CpuSet
    shared: CpuSet

    @property
    def all(self) -> CpuSet:
        """The pCPUs of all guests."""
        return self.dedicated | self.shared


def _sets(agent: Agent) -> Sets | NotApplicable | Unknown:
    """Return the sets; what the item says where there are none or they cannot be read."""
    if agent.options.get(DEDICATED) is None and agent.options.get(SHARED) is None:
        return NotApplicable("neither cpu_dedicated_set nor cpu_shared_set is set")
    try:
        return Sets(dedicated=cpu_set(agent, DEDICATED), shared=cpu_set(agent, SHARED))
    except ValueError as error:
        return Unknown(f"cpu_dedicated_set or cpu_shared_set: {error}")


def _pin_options(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    given = [key for key in (DEDICATED, SHARED, PIN_SET) if agent.options.get(key)]
    text = agent.options.get(RESERVED, "0")
    reserved = whole_number(text)
    if reserved is None:
        return Unknown(f"reserved_host_cpus: {text[:20]!r} is no number")
    if not given:
        return NotApplicable("no pCPUs are set aside for guests")
    names = [key.partition(".")[2] for key in given]
    clash = [DEDICATED, PIN_SET] if {DEDICATED, PIN_SET} <= set(given) else []
    if reserved and {DEDICATED, SHARED} & set(given):
        clash += [RESERVED, *given]
    if not clash:
        return Ok(listed(names))
    shown = listed(dict.fromkeys(key.partition(".")[2] for key in clash))
    return Wrong(
        found=f"{shown} together",
        wanted="the two sets alone",
        reason="nova-compute refuses to start with them",
    )


def _sets_exist(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    sets = _sets(agent)
    if not isinstance(sets, Sets):
        return sets
    managed = agent.options.get("libvirt.cpu_power_management", "").lower() == "true"
    present = host.topology.online | host.topology.offline
    problems = []
    if both := sets.dedicated & sets.shared:
        problems.append(f"pCPUs {both} are in both sets")
    if absent := sets.dedicated - (present if managed else host.topology.online):
        problems.append(f"cpu_dedicated_set: pCPUs {absent} are not online")
    if absent := sets.shared - host.topology.online:
        problems.append(f"cpu_shared_set: pCPUs {absent} are not online")
    if not problems:
        return Ok(_told(sets))
    return Wrong(
        found=listed(problems),
        wanted="online pCPUs, sets apart",
        reason="nova-compute refuses such sets and reports no pCPUs to placement",
    )


def _told(sets: Sets) -> str:
    named = (("dedicated", sets.dedicated), ("shared", sets.shared))
    return ", ".join(f"{name} {cpus}" for name, cpus in named if cpus)


def _whole_cores(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    sets = _sets(agent)
    if not isinstance(sets, Sets):
        return sets
    if not sets.dedicated:
        return NotApplicable("cpu_dedicated_set is not set")
    cores = [core.cpus for core in host.topology.cores_of(sets.dedicated)]
    halves = [cpus for cpus in cores if not cpus <= sets.dedicated]
    if not halves:
        return Ok(f"{len(cores)} whole cores")
    return Wrong(
        found=listed(f"{cpus & sets.dedicated} of core {cpus}" for cpus in halves),
        wanted="whole cores",
        reason="the sibling that is left out runs the host's own work on the core of a pinned vCPU",
    )


def _host_cpus(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    sets = _sets(agent)
    if not isinstance(sets, Sets):
        return sets
    pmds = host.ovs.pmd_cpus if host.ovs is not None else CpuSet()
    kept = host.topology.online - sets.all - pmds
    found = f"{len(kept)} ({kept})" if kept else "0"
    if wanted.accepts(str(len(kept))):
        return Ok(found)
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="agents, interrupts and vhost threads run on pCPUs that Nova gives to guests",
    )


def _pmd_cpus(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    sets = _sets(agent)
    if not isinstance(sets, Sets):
        return sets
    if host.ovs is None or not host.ovs.pmds:
        return NotApplicable("Open vSwitch has no PMD threads here")
    both = sets.all & host.ovs.pmd_cpus
    if not both:
        return Ok(f"PMD threads on {host.ovs.pmd_cpus}, guests on {sets.all}")
    return Wrong(
        found=f"pCPUs {both} are of PMD threads and in Nova's sets",
        wanted="PMD threads outside the sets",
        reason="a PMD thread takes all of its pCPU: a vCPU that Nova pins there gets half of it, "
        "and packets wait",
    )


def _node_balance(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    sets = _sets(agent)
    if not isinstance(sets, Sets):
        return sets
    if not sets.dedicated:
        return NotApplicable("cpu_dedicated_set is not set")
    counts = {
        node.id: len(sets.dedicated & node.cpus) for node in host.topology.numa_nodes if node.cpus
    }
    found = ", ".join(f"node {node_id}: {count}" for node_id, count in counts.items())
    if min(counts.values()) * 2 >= max(counts.values()):
        return Ok(found)
    return Wrong(
        found=found,
        wanted="about as many on each node",
        reason="guests with several cells fit as often as the smallest node has room; memory of "
        "that node stays unused",
    )


def _isolated(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    sets = _sets(agent)
    if not isinstance(sets, Sets):
        return sets
    isolated = host.topology.isolated
    if lost := sets.shared & isolated:
        return Wrong(
            found=f"cpu_shared_set: pCPUs {lost} are isolated",
            wanted="no isolated pCPU there",
            reason="the scheduler does not balance isolated pCPUs: the vCPUs of floating guests "
            "pile up on one",
        )
    exposed = sets.dedicated - isolated
    if sets.dedicated and exposed and exposed != sets.dedicated:
        return Wrong(
            found=f"cpu_dedicated_set: pCPUs {exposed} are not isolated, the others are",
            wanted="all of it isolated, or none",
            reason="which guest is undisturbed depends on the pCPUs that it happens to get",
        )
    return Ok(f"isolated {isolated}; {_told(sets)}")


def _shared_set(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    sets = _sets(agent)
    if not isinstance(sets, Sets):
        return sets
    if not sets.dedicated:
        return NotApplicable("cpu_dedicated_set is not set")
    if sets.shared:
        return Ok(f"cpu_shared_set {sets.shared}")
    return Wrong(
        found="cpu_dedicated_set without cpu_shared_set",
        wanted="some pCPUs in cpu_shared_set",
        reason="no guest with hw:emulator_threads_policy=share and no floating guest lands here; "
        "emulator threads stay on the pCPUs of the vCPUs",
    )


EDIT = "crudini --set /etc/nova/nova.conf compute cpu_dedicated_set CPUS\n" + nova_option(
    "compute", "cpu_shared_set", "OTHER-CPUS"
)

UNEDIT = "crudini --set /etc/nova/nova.conf compute cpu_dedicated_set OLD-CPUS\n" + nova_option(
    "compute", "cpu_shared_set", "OLD-OTHER-CPUS"
)

MOVE_RISK = "nova-compute does not start while a running guest is pinned outside of the new set"

ITEMS = (
    Item(
        id="nova.pin_options",
        title="Options for guests' pCPUs do not exclude each other",
        layer="cluster",
        platforms=PLATFORMS,
        severity="critical",
        takes_effect="service restart",
        risk=MOVE_RISK,
        effect=NO_FIGURE,
        why=(
            "vcpu_pin_set and reserved_host_cpus are from before Train. Beside cpu_dedicated_set "
            "the first is an error, beside either set the second is: nova-compute stops at its "
            "next start, which may be months away. vcpu_pin_set alone is deprecated and still "
            "works."
        ),
        sources=(NOVA_CONFIG, NOVA_TOPOLOGY),
        by_hand=(
            "crudini --del /etc/nova/nova.conf DEFAULT vcpu_pin_set\n"
            + without_nova_option("DEFAULT", "reserved_host_cpus")
        ),
        undo_by_hand=(
            "crudini --set /etc/nova/nova.conf DEFAULT vcpu_pin_set OLD\n"
            + nova_option("DEFAULT", "reserved_host_cpus", "OLD")
        ),
        rule="R15",
        applies=(COMPUTE,),
        subjects=COMPUTES,
        judge=_pin_options,
    ),
    Item(
        id="nova.cpu_sets",
        title="cpu_dedicated_set and cpu_shared_set are online and apart",
        layer="cluster",
        platforms=PLATFORMS,
        severity="critical",
        takes_effect="service restart",
        risk=MOVE_RISK,
        effect=NO_FIGURE,
        why=(
            "Sets are copied from host to host, and hosts differ: by SMT switched off, by a CPU "
            "that is offline. nova-compute checks both at its start. Only with "
            "cpu_power_management may dedicated pCPUs be offline."
        ),
        sources=(NOVA_CONFIG,),
        by_hand=EDIT,
        undo_by_hand=UNEDIT,
        applies=(COMPUTE,),
        subjects=COMPUTES,
        judge=_sets_exist,
    ),
    Item(
        id="nova.whole_cores",
        title="cpu_dedicated_set has whole cores",
        layer="cluster",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk=MOVE_RISK,
        effect=NO_FIGURE,
        why=(
            "With SMT, the sibling of a pinned vCPU's pCPU takes half of the core. What Nova "
            "does not know of, it cannot keep apart: guests with hw:cpu_thread_policy=isolate or "
            "require fail on half cores. Keep whole cores for the host as well."
        ),
        sources=(NOVA_TOPOLOGY, OSP_NFV),
        by_hand=EDIT,
        undo_by_hand=UNEDIT,
        applies=(COMPUTE, SMT),
        subjects=COMPUTES,
        judge=_whole_cores,
    ),
    Item(
        id="nova.host_cpus",
        title="Nova leaves pCPUs to the host",
        layer="cluster",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk=MOVE_RISK,
        effect=NO_FIGURE,
        why=(
            "What is in neither set is the host's. The 2021 guide keeps pCPUs 0-3 of a Kunpeng "
            "920, newer ones 2 to 4 for guests with virtual devices; a host with Ceph or with many "
            "agents needs more. cpu_shared_set is for guests: the host has nothing of it."
        ),
        sources=(NOVA_CONFIG, KVM_GUIDE),
        by_hand=EDIT,
        undo_by_hand=UNEDIT,
        applies=(COMPUTE,),
        subjects=COMPUTES,
        wanted=Wanted(">= 2"),
        judge=_host_cpus,
    ),
    Item(
        id="nova.pmd_cpus",
        title="Nova's pCPUs are none of Open vSwitch's PMD threads",
        layer="cluster",
        platforms=("openstack", "ovs"),
        severity="critical",
        takes_effect="service restart",
        risk=MOVE_RISK,
        effect=NO_FIGURE,
        why=(
            "Nova knows nothing of pmd-cpu-mask. As long as the host is not full, nobody notices; "
            "then a guest is pinned onto a pCPU that never sleeps, and both lose half of it."
        ),
        sources=(OSP_NFV,),
        by_hand=EDIT,
        undo_by_hand=UNEDIT,
        applies=(COMPUTE,),
        subjects=COMPUTES,
        judge=_pmd_cpus,
    ),
    Item(
        id="nova.node_balance",
        title="cpu_dedicated_set is spread over the NUMA nodes",
        layer="cluster",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="service restart",
        risk=MOVE_RISK,
        effect=NO_FIGURE,
        why=(
            "Each cell of a guest needs pCPUs and memory of one node. A few pCPUs less on the "
            "node that the host keeps are normal; a node with less than half of another's leaves "
            "memory that no pinned guest can use. On purpose only where a node serves floating "
            "guests or the storage."
        ),
        sources=(NOVA_TOPOLOGY,),
        by_hand=EDIT,
        undo_by_hand=UNEDIT,
        applies=(COMPUTE, NUMA),
        subjects=COMPUTES,
        judge=_node_balance,
    ),
    Item(
        id="nova.isolated",
        title="Nova's sets agree with isolcpus",
        layer="cluster",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk=MOVE_RISK,
        effect=NO_FIGURE,
        why=(
            "isolcpus and floating guests exclude each other: nothing spreads them. For pinned "
            "guests it is right, if it covers all of cpu_dedicated_set. Nova needs no isolcpus "
            "for ordinary pinned guests; its guide recommends it for real time only."
        ),
        sources=(NOVA_TOPOLOGY, OSP_NFV),
        by_hand=EDIT,
        undo_by_hand=UNEDIT,
        applies=(COMPUTE, ISOLATED),
        subjects=COMPUTES,
        judge=_isolated,
    ),
    Item(
        id="nova.shared_set",
        title="A host for pinned guests has a shared set for emulator threads",
        layer="cluster",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="service restart",
        risk="floating guests may be scheduled onto the host: keep them away by traits",
        effect=NO_FIGURE,
        why=(
            "hw:emulator_threads_policy=share puts emulator threads onto cpu_shared_set; a host "
            "without one cannot take such a guest. Without the policy, Nova pins them to the "
            "vCPUs' pCPUs. A host that is meant for guests with isolate, which pay for a pCPU of "
            "their own, needs no shared set."
        ),
        sources=(OSP_TUNING, NOVA_CONFIG),
        by_hand=EDIT,
        undo_by_hand=UNEDIT,
        applies=(COMPUTE,),
        subjects=COMPUTES,
        judge=_shared_set,
    ),
)
