"""Items on the pCPUs of Open vSwitch: where PMD threads poll, and who else is there."""

from __future__ import annotations

import re

from virtboost.catalogue.commands import other_config, with_arguments, without_arguments
from virtboost.catalogue.conditions import NUMA
from virtboost.catalogue.guest import SMT, floating_guests, pinned_vcpus, reach
from virtboost.catalogue.item import (
    NO_FIGURE,
    Condition,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Platform,
    Subjects,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import LOSS_OPTIMIZATION, OSP_NFV, OVS_DB, OVS_PMD
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import OvsOtherConfig
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.model.ovs import Ovs, OvsInterface
from virtboost.model.wording import listed

PLATFORMS: tuple[Platform, ...] = ("ovs",)

SWITCHES: Subjects[Ovs] = Subjects(
    kind="ovs",
    select=lambda host: () if host.ovs is None else (("", host.ovs),),
    none="there is no Open vSwitch",
    gap="Open vSwitch",
)

USERSPACE = Condition(
    when="Open vSwitch has a bridge with the userspace datapath and DPDK",
    otherwise="Open vSwitch forwards in the kernel, or not at all",
    holds=lambda host: host.ovs is not None and host.ovs.dpdk_initialized,
    gap="Open vSwitch",
)

NO_PMD = "which pCPUs the PMD threads run on"


def ports(ovs: Ovs) -> list[OvsInterface]:
    """Return the physical ports that DPDK drives."""
    return [port for bridge in ovs.bridges for port in bridge.interfaces if port.type == "dpdk"]


def port_node(host: Host, port: OvsInterface) -> int | None:
    """Return the NUMA node of a DPDK port, from OVS or from its PCI function."""
    if port.node_id is not None:
        return port.node_id
    address = port.options.get("dpdk-devargs", "").partition(",")[0]
    device = host.pci_device(address)
    return None if device is None else device.node_id


def polling_cpus(ovs: Ovs) -> CpuSet | None:
    """Return the pCPUs of PMD threads, from the threads or from the mask; None: not told."""
    if ovs.pmds:
        return ovs.pmd_cpus
    digits = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{1,4096})", ovs.other_config.get("pmd-cpu-mask", ""))
    if digits is None:
        return None
    bits = int(digits[1], 16)
    return CpuSet(cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1)


def _pmd_mask(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    if not ports(ovs) and not ovs.pmds:
        return NotApplicable("no port needs a PMD thread")
    mask = ovs.other_config.get("pmd-cpu-mask")
    if mask:
        cpus = polling_cpus(ovs)
        return Unknown(f"pmd-cpu-mask: {mask[:20]!r} is no mask") if cpus is None else Ok(str(cpus))
    where = f"PMD threads on pCPUs {ovs.pmd_cpus}" if ovs.pmds else "one PMD thread a node"
    return Wrong(
        found=f"no pmd-cpu-mask: {where}",
        wanted="pCPUs that somebody chose",
        reason="Open vSwitch takes any pCPU of each node, often one that the host works on, and "
        "one for each node however much there is to do",
    )


def _pmd_node(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    found = ports(ovs)
    cpus = polling_cpus(ovs)
    if not found:
        return NotApplicable("no port of it is driven by DPDK")
    if cpus is None:
        return Unknown(NO_PMD)
    nodes = {port.name: port_node(host, port) for port in found}
    polled = {node.id for node in host.topology.nodes_of(cpus)}
    far = {name: node for name, node in nodes.items() if node is not None and node not in polled}
    if far:
        return Wrong(
            found=", ".join(f"{name} is on node {node}" for name, node in far.items())
            + f", PMD threads on {', '.join(map(str, sorted(polled)))} (pCPUs {cpus})",
            wanted="a PMD thread on its node",
            reason="each packet crosses to another node before anybody looks at it",
        )
    unknown = [name for name, node in nodes.items() if node is None]
    if unknown:
        return Unknown(f"the NUMA node of {listed(unknown)}")
    return Ok(listed(f"{name} on node {node}" for name, node in nodes.items()))


def _pmd_guests(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    cpus = polling_cpus(ovs)
    if cpus is None:
        return Unknown(NO_PMD)
    pinned = pinned_vcpus(host.running_guests)
    if not pinned:
        return NotApplicable("no vCPU of a running guest is pinned to one pCPU")
    both = [f"{vcpus[0]} on pCPU {pcpu}" for pcpu, vcpus in sorted(pinned.items()) if pcpu in cpus]
    if not both:
        return Ok(f"PMD threads on {cpus}, vCPUs on {CpuSet(pinned)}")
    return Wrong(
        found=f"{listed(both)}, where a PMD thread polls",
        wanted="pCPUs apart",
        reason="a PMD thread never sleeps: the vCPU gets half of the pCPU, and packets wait for it",
    )


def _pmd_isolated(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    cpus = polling_cpus(ovs)
    if cpus is None:
        return Unknown(NO_PMD)
    exposed = cpus - host.topology.isolated
    if not exposed:
        return Ok(f"PMD threads on isolated pCPUs {cpus}")
    floating = [g.name for g in floating_guests(host) if not reach(host, g).isdisjoint(exposed)]
    loose = [
        c.name for c in host.containers if c.cpuset is None or not c.cpuset.isdisjoint(exposed)
    ]
    if not floating and not loose:
        return Ok(f"no guest and no container reaches pCPUs {exposed}")
    who = [f"guest {name}" for name in floating] + [f"container {name}" for name in loose]
    return Wrong(
        found=f"pCPUs {exposed} of PMD threads are open to {listed(who)}",
        wanted="isolated pCPUs",
        reason="a PMD thread that is preempted drops packets: its queues fill in microseconds",
    )


def _pmd_siblings(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    cpus = polling_cpus(ovs)
    if cpus is None:
        return Unknown(NO_PMD)
    siblings = CpuSet(c for core in host.topology.cores_of(cpus) for c in core.cpus - cpus)
    if not siblings:
        return Ok(f"PMD threads on whole cores {cpus}")
    pinned = pinned_vcpus(host.running_guests)
    busy = [
        f"{vcpus[0]} on pCPU {pcpu}" for pcpu, vcpus in sorted(pinned.items()) if pcpu in siblings
    ]
    if not busy:
        return Ok(f"siblings {siblings} of PMD threads carry no pinned vCPU")
    return Wrong(
        found=f"{listed(busy)}, sibling of a PMD thread's pCPU",
        wanted="the sibling idle, or a PMD's",
        reason="a PMD thread is always busy: its sibling gets half of the core at best",
    )


def _auto_lb(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    if ovs.other_config.get("pmd-auto-lb") == "true":
        return Ok("true")
    if not ovs.pmds:
        return Unknown("what the PMD threads do")
    free = [pmd for pmd in ovs.pmds if not pmd.isolated]
    many = [pmd for pmd in free if len(pmd.queues) > 1]
    if len(free) < 2 or not many:
        return NotApplicable("nothing to move: fewer than two PMD threads, or one queue on each")
    busy = [pmd.busy_ratio for pmd in many if pmd.busy_ratio is not None]
    if not busy:
        return Unknown("how busy the PMD threads are")
    if wanted.accepts(f"{max(busy) * 100:.1f}"):
        return Ok(f"at most {max(busy) * 100:.0f} % busy")
    pmd = max(many, key=lambda each: each.busy_ratio or 0)
    return Wrong(
        found=f"PMD thread on pCPU {pmd.pcpu_id} is {max(busy) * 100:.0f} % busy with "
        f"{len(pmd.queues)} queues",
        wanted="pmd-auto-lb=true",
        reason="queues stay with the PMD thread that they were given at first",
        changes=(OvsOtherConfig(key="pmd-auto-lb", value="true"),),
    )


def _queues(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    if not ports(ovs):
        return NotApplicable("no port of it is driven by DPDK")
    if not ovs.pmds:
        return Unknown("which queues the PMD threads poll")
    idle = [str(pmd.pcpu_id) for pmd in ovs.pmds if not pmd.queues]
    if not idle:
        return Ok(f"{len(ovs.pmds)} PMD threads, each with a queue")
    queues = ", ".join(f"{port.name}: {port.options.get('n_rxq', '1')}" for port in ports(ovs))
    return Wrong(
        found=f"PMD threads on pCPUs {listed(idle)} poll nothing; queues of {queues}",
        wanted="a queue for each",
        reason="an idle PMD thread takes its pCPU whole all the same",
    )


MASK = other_config("pmd-cpu-mask", "0x3c  # a bit for each pCPU")

UNMASK = other_config("pmd-cpu-mask", "OLD")

MASK_RISK = "PMD threads restart: packets are lost for a moment"

ITEMS = (
    Item(
        id="ovs.pmd_mask",
        title="Somebody chose the pCPUs of PMD threads",
        layer="network",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk=MASK_RISK,
        effect=NO_FIGURE,
        why=(
            "Without a mask, Open vSwitch starts one PMD thread for each NUMA node on any of its "
            "pCPUs, and that pCPU is busy from then on. For a trial this is fine."
        ),
        sources=(OVS_DB, OVS_PMD),
        by_hand=MASK,
        undo_by_hand=UNMASK,
        applies=(USERSPACE,),
        subjects=SWITCHES,
        judge=_pmd_mask,
    ),
    Item(
        id="ovs.pmd_node",
        title="PMD threads on the NUMA node of each DPDK port",
        layer="network",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk=MASK_RISK,
        effect=NO_FIGURE,
        why=(
            "Open vSwitch polls a port from the PMD threads of its node; where it has none, from "
            "another node's, and says so in its log only. More PMD threads on the nodes of the "
            "guests are right as well, and no finding."
        ),
        sources=(OVS_PMD, OSP_NFV),
        by_hand=MASK,
        undo_by_hand=UNMASK,
        applies=(USERSPACE, NUMA),
        subjects=SWITCHES,
        judge=_pmd_node,
    ),
    Item(
        id="ovs.pmd_guests",
        title="No vCPU pinned to the pCPU of a PMD thread",
        layer="network",
        platforms=("kvm", "openstack", "ovs"),
        severity="critical",
        takes_effect="live",
        risk="the guest needs other pCPUs",
        effect=NO_FIGURE,
        why=(
            "A vCPU and a PMD thread on one pCPU take half of it from each other for ever: neither "
            "can move. The guest is slow and the switch drops packets of all guests."
        ),
        sources=(OSP_NFV, OVS_PMD),
        by_hand="virsh vcpupin GUEST VCPU CPU --live --config  # a pCPU without PMD thread",
        undo_by_hand="virsh vcpupin GUEST VCPU OLD-CPU --live --config",
        applies=(USERSPACE,),
        subjects=SWITCHES,
        judge=_pmd_guests,
    ),
    Item(
        id="ovs.pmd_isolated",
        title="Nothing else may run on the pCPUs of PMD threads",
        layer="network",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="reboot",
        risk="isolated pCPUs serve nobody else, busy or not",
        effect=NO_FIGURE,
        why=(
            "The scheduler sees a PMD thread as one busy program among others and lets floating "
            "guests and containers have their turn. Isolating the pCPUs, or keeping everybody "
            "else off them, are equally good."
        ),
        sources=(OSP_NFV,),
        by_hand=with_arguments("isolcpus=CPUS"),
        undo_by_hand=without_arguments("isolcpus"),
        applies=(USERSPACE,),
        subjects=SWITCHES,
        judge=_pmd_isolated,
    ),
    Item(
        id="ovs.pmd_siblings",
        title="The sibling of a PMD thread's pCPU carries no pinned vCPU",
        layer="network",
        platforms=("kvm", "openstack", "ovs"),
        severity="warning",
        takes_effect="live",
        risk="a pCPU less for guests",
        effect=NO_FIGURE,
        why=(
            "With SMT, a polling thread takes from its sibling all the time. Red Hat's guide "
            "pairs siblings: both for PMD threads, or both for a guest. One idle sibling gives "
            "the single PMD thread the most."
        ),
        sources=(OSP_NFV,),
        by_hand=MASK,
        undo_by_hand=UNMASK,
        applies=(USERSPACE, SMT),
        subjects=SWITCHES,
        judge=_pmd_siblings,
    ),
    Item(
        id="ovs.auto_lb",
        title="Queues are balanced where a PMD thread has too many",
        layer="network",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="packets of a queue that moves may be reordered or lost for a moment",
        effect=NO_FIGURE,
        why=(
            "Queues are assigned when ports change, by the load of that moment. The Kunpeng guide "
            "switches balancing on where one PMD thread carries several workloads and is more than "
            "70 % busy, with a threshold of 25 % for the improvement and at most once a minute. "
            "Queues that are pinned (pmd-rxq-affinity) are left where they are."
        ),
        sources=(LOSS_OPTIMIZATION, OVS_DB),
        by_hand=(
            other_config("pmd-auto-lb", "true") + " other_config:pmd-auto-lb-load-threshold=70 "
            "other_config:pmd-auto-lb-improvement-threshold=25 "
            "other_config:pmd-auto-lb-rebal-interval=1"
        ),
        undo_by_hand=other_config("pmd-auto-lb", "false"),
        applies=(USERSPACE,),
        subjects=SWITCHES,
        wanted=Wanted("<= 70"),
        judge=_auto_lb,
    ),
    Item(
        id="ovs.queues",
        title="Each PMD thread has a queue to poll",
        layer="network",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="the port restarts: packets are lost for a moment",
        effect=NO_FIGURE,
        why=(
            "n_rxq is 1 unless somebody sets it, so the second PMD thread of a node finds nothing "
            "to do and takes a pCPU for it. In Huawei's tests there are twice as many queues as "
            "forwarding pCPUs. Queues of guests (vhost-user) count as well."
        ),
        sources=(
            OVS_PMD,
            "Kunpeng OVS flow table normalization test guide: https://www.hikunpeng.com/document/"
            "detail/en/kunpengcpfs/testguide/tstg/kunpengcpfsovs_11_0021.html",
        ),
        by_hand="ovs-vsctl set Interface PORT options:n_rxq=4",
        undo_by_hand="ovs-vsctl set Interface PORT options:n_rxq=1",
        applies=(USERSPACE,),
        subjects=SWITCHES,
        judge=_queues,
    ),
)
