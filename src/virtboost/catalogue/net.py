"""Items on network cards: queues, and steering of packets by software."""

from __future__ import annotations

from collections.abc import Mapping

from virtboost.catalogue.conditions import given_cpus
from virtboost.catalogue.irq import NICS
from virtboost.catalogue.item import NO_FIGURE, Item, NotApplicable, Ok, Outcome, Unknown, Wrong
from virtboost.catalogue.sources import NIC_GUIDE, SCALING
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import Change, NicChannels, NicSteering
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.host import Host
from virtboost.model.net import NetInterface
from virtboost.model.numa import NumaNode
from virtboost.model.wording import listed


def _node(host: Host, nic: NetInterface) -> NumaNode | Unknown:
    """Return the node of a card; on a host with one node, that one."""
    nodes = host.topology.numa_nodes
    if len(nodes) == 1:
        return nodes[0]
    node = host.topology.node(nic.node_id) if nic.node_id is not None else None
    return node or Unknown(f"the NUMA node of {nic.name}")


def _queues(host: Host, nic: NetInterface, wanted: Wanted) -> Outcome:
    channels = nic.channels
    if channels is None:
        gap = host.gap("channels and offloads")
        told = NotApplicable(f"{nic.name} has no queues to set")
        return told if gap is None else Unknown(f"the queues of {nic.name} ({gap.reason})")
    if channels.combined_max < 2:
        return NotApplicable(f"{nic.name} can have one combined queue")
    node = _node(host, nic)
    if isinstance(node, Unknown):
        return node
    room = len(node.cpus - host.topology.isolated)
    found = f"{channels.combined} of {channels.combined_max} queues"
    own = len(node.cpus - given_cpus(host)) or room
    if not room or 1 < channels.combined <= room or channels.combined == 1 == own:
        return Ok(f"{found}, {room} CPUs on node {node.id}")
    if channels.combined < 1:
        return NotApplicable(f"{nic.name} has separate queues to receive and to send")
    many = channels.combined > room
    return Wrong(
        found=found,
        wanted=f"at most {room} queues"
        if many
        else f"2 to {min(own, channels.combined_max)} queues",
        reason=f"node {node.id}, where {nic.name} is, has {room} CPUs for them: queues share CPUs "
        "or lie on other nodes"
        if many
        else f"one CPU serves everything that {nic.name} receives",
        changes=(
            NicChannels(
                interface=nic.name, combined=min(room if many else own, channels.combined_max)
            ),
        ),
    )


def _rps(host: Host, nic: NetInterface, wanted: Wanted) -> Outcome:
    if not nic.rps_cpus:
        return Unknown(f"receive packet steering of {nic.name}")
    steered = {queue: cpus for queue, cpus in nic.rps_cpus.items() if cpus}
    if not steered:
        return Ok("off")
    node = _node(host, nic)
    if isinstance(node, Unknown):
        return node
    isolated = host.topology.isolated
    bad = {q: cpus for q, cpus in steered.items() if not cpus <= node.cpus - isolated}
    if not bad:
        return Ok(f"CPUs {union(steered.values())} of node {node.id}")
    return Wrong(
        found=_told(bad),
        wanted=f"off, or CPUs {node.cpus - isolated} (node {node.id})",
        reason=f"packets that {nic.name} receives are handed to CPUs "
        f"{union(bad.values()) - node.cpus | union(bad.values()) & isolated}, which are on another "
        "node or isolated",
        changes=tuple(
            NicSteering(interface=nic.name, queue=queue, cpus=cpus & node.cpus - isolated)
            for queue, cpus in bad.items()
        ),
    )


def _told(queues: Mapping[str, CpuSet]) -> str:
    return listed((f"{queue} to CPUs {cpus}" for queue, cpus in queues.items()), limit=2)


def _xps(host: Host, nic: NetInterface, wanted: Wanted) -> Outcome:
    if nic.speed_bps is None or nic.tx_queue_count == 1:
        return NotApplicable(f"{nic.name} has one queue to send, or no link speed")
    if not nic.xps_cpus:
        return Unknown(f"transmit packet steering of {nic.name}")
    if any(nic.xps_cpus.values()):
        return Ok(f"{sum(bool(cpus) for cpus in nic.xps_cpus.values())} queues have CPUs")
    return Wrong(
        found=f"off for {len(nic.xps_cpus)} queues",
        wanted="each CPU sends through one queue",
        reason="CPUs that send through the same queue wait for its lock",
        changes=_steering(host, nic),
    )


def _steering(host: Host, nic: NetInterface) -> tuple[Change, ...]:
    """Give every CPU one queue, in turn."""
    cpus, queues = list(host.topology.online), list(nic.xps_cpus)
    return tuple(
        NicSteering(interface=nic.name, queue=queue, cpus=CpuSet(cpus[i :: len(queues)]))
        for i, queue in enumerate(queues)
        if cpus[i :: len(queues)]
    )


ITEMS = (
    Item(
        id="net.queues",
        title="A network card has several queues, and no more than its node has CPUs",
        layer="network",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="advice",
        takes_effect="live",
        risk="many drivers stop the link for a moment, and forget interrupt affinity and steering",
        effect=NO_FIGURE,
        why=(
            "One queue keeps one CPU busy and all others out; more queues than the node has CPUs "
            "put interrupts on other nodes or two on one CPU. Huawei's recipe sets the number by "
            "hand before it binds interrupts. Between two and the CPUs of the node, this item "
            "finds nothing wrong: fewer queues leave more CPUs to guests. Set it before interrupts "
            "are bound and check again: the driver makes them anew, with other numbers."
        ),
        sources=(NIC_GUIDE, SCALING),
        by_hand="ethtool -L INTERFACE combined QUEUES",
        undo_by_hand="ethtool -L INTERFACE combined OLD",
        conflicts=("irq.nic_node", "irq.spread"),
        subjects=NICS,
        judge=_queues,
    ),
    Item(
        id="net.rps",
        title="Receive packet steering stays on the card's node",
        layer="network",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="fewer CPUs share the work of a card with one queue",
        effect=NO_FIGURE,
        why=(
            "The kernel's documentation wants the CPUs of RPS in the same memory domain as the "
            "CPU that takes the interrupt, and none at all where the card has a queue for each "
            "CPU. A mask of all CPUs, as scripts write it, hands packets to other nodes and to "
            "isolated CPUs (kernels since 5.9 leave isolated ones out by themselves)."
        ),
        sources=(
            SCALING,
            'Linux commit 07bbecb34106 ("net: Restrict receive packets queuing to housekeeping '
            'CPUs") (in v5.9)',
        ),
        by_hand=(
            "echo MASK > /sys/class/net/INTERFACE/queues/rx-N/rps_cpus  # of the node; 0: off"
        ),
        undo_by_hand="echo OLD > /sys/class/net/INTERFACE/queues/rx-N/rps_cpus",
        subjects=NICS,
        judge=_rps,
    ),
    Item(
        id="net.xps",
        title="Transmit packet steering is set on a card with several queues",
        layer="network",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="none known; drivers that set it themselves overwrite it when queues change",
        effect=NO_FIGURE,
        why=(
            "With XPS each CPU sends through a queue of its own and finds the lock and the "
            "completions near. Most drivers set it when they make their queues; where all of it "
            "is empty, queues are chosen by hash. Programs with long-lived connections hardly "
            "notice: a socket keeps its queue."
        ),
        sources=(SCALING,),
        by_hand="echo MASK > /sys/class/net/INTERFACE/queues/tx-N/xps_cpus  # for each queue",
        undo_by_hand="echo 0 > /sys/class/net/INTERFACE/queues/tx-N/xps_cpus  # for each queue",
        subjects=NICS,
        judge=_xps,
    ),
)
