"""Items on NUMA nodes: balancing, equal memory, and nodes that hold one die."""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.catalogue.commands import bios, sysctl, with_arguments, without_arguments
from virtboost.catalogue.conditions import BOUND_GUESTS, NUMA, bound_guests, runs_tap
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Condition,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import KERNEL_PARAMETERS, SYSCTL_KERNEL
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import KernelArgument, Sysctl
from virtboost.model.host import Host
from virtboost.model.topology import Topology
from virtboost.model.wording import listed, size


def _balancing(host: Host, _: Host, wanted: Wanted) -> Outcome:
    name = "kernel.numa_balancing"
    found = host.kernel.sysctls.get(name)
    if found is None:
        return Unknown(name)
    if wanted.accepts(found):
        return Ok(found)
    floating = list(_floating(host))
    if floating:
        return NotApplicable(f"{listed(floating)} may run on several nodes: balancing serves them")
    value = wanted.value
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="every guest stays on its node already; balancing still unmaps pages to see who "
        "touches them, and every touch then faults",
        changes=(Sysctl(name=name, value=value),) if value else (),
    )


def _floating(host: Host) -> Iterator[str]:
    """Yield what the kernel may move to another NUMA node."""
    bound = {guest.name for guest in bound_guests(host)}
    yield from (guest.name for guest in host.running_guests if guest.name not in bound)
    for container in host.containers:
        if container.cpuset is None or len(host.topology.nodes_of(container.cpuset)) > 1:
            yield container.name


def _memory_balance(host: Host, _: Host, wanted: Wanted) -> Outcome:
    nodes = [node for node in host.topology.numa_nodes if node.cpus]
    memory = {node.id: node.memory_bytes for node in nodes if node.memory_bytes is not None}
    most = max(memory.values(), default=0)
    if len(memory) < len(nodes) or most <= 0:
        return Unknown("the memory of the NUMA nodes")
    least = min(memory, key=memory.__getitem__)
    percent = 100 * (most - memory[least]) // most
    told = listed((f"node {id_}: {size(each)}" for id_, each in memory.items()), limit=8)
    if wanted.accepts(str(percent)):
        return Ok(told)
    lacks = f"{percent} % less than another node" if memory[least] else "no memory"
    return Wrong(
        found=told,
        wanted=f"a difference {wanted.text} %",
        reason=f"node {least} has {lacks}: guests on its CPUs run out sooner or use memory of "
        "other nodes, over fewer channels",
    )


def _off(host: Host, _: Host, wanted: Wanted) -> Outcome:
    if host.kernel.command_line is None:
        return Unknown("the kernel command line")
    if "off" not in host.kernel.arguments("numa"):
        return Ok("no numa=off")
    return Wrong(
        found="numa=off",
        wanted="no numa=off",
        reason=f"the host has {len(host.topology.sockets)} sockets and shows one node: the kernel, "
        "libvirt and this tool cannot keep anything near its memory",
        changes=(KernelArgument(name="numa", value=None),),
    )


def _tap_nodes(host: Host, _: Host, wanted: Wanted) -> Outcome:
    topology = host.topology
    if any(set(node.distances) != _node_ids(topology) for node in topology.numa_nodes):
        return Unknown("the distances of the NUMA nodes")
    problems = [*_wide_nodes(topology), *_uneven_distances(topology)]
    wanted_text = "each node in one die, the same distance both ways"
    if not problems:
        return Ok(wanted_text)
    return Wrong(
        found=listed(problems),
        wanted=wanted_text,
        reason="Kunpeng TAP checks this when it starts and refuses other hosts",
    )


def _node_ids(topology: Topology) -> set[int]:
    return {node.id for node in topology.numa_nodes}


def _wide_nodes(topology: Topology) -> Iterator[str]:
    for node in topology.numa_nodes:
        dies, sockets = topology.dies_of(node.cpus), topology.sockets_of(node.cpus)
        if len(sockets) > 1:
            yield f"node {node.id} spans {len(sockets)} sockets"
        elif len(dies) > 1:
            yield f"node {node.id} spans {len(dies)} dies"


def _uneven_distances(topology: Topology) -> Iterator[str]:
    for node in topology.numa_nodes:
        for other in topology.numa_nodes:
            there, back = node.distances[other.id], other.distances[node.id]
            if node.id < other.id and there != back:
                yield f"node {node.id} to {other.id} is {there}, back {back}"


SEVERAL_SOCKETS = Condition(
    when="the host has more than one socket",
    otherwise="the host has one socket",
    holds=lambda host: len(host.topology.sockets) > 1,
    gap="CPUs",
)


TAP = Condition(
    when="Kunpeng TAP places pods here",
    otherwise="Kunpeng TAP does not run here",
    holds=runs_tap,
    gap="agents",
)

_NUMA_LAYOUT = "Advanced > Memory Configuration > One Numa Per Socket, and Die Interleaving"


ITEMS = (
    Item(
        id="numa.balancing",
        title="No NUMA balancing where every guest is bound to a node",
        layer="kernel",
        platforms=("kvm", "openstack", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="guests and programs that are not bound stay on memory of other nodes",
        effect=NO_FIGURE,
        why=(
            "NUMA balancing unmaps pages now and then to learn who uses them, and moves pages and "
            "tasks together. The kernel's documentation says to switch it off where the load is "
            "already bound to nodes, because the faults are then pure cost. It does not apply "
            "while anything floats: that is what balancing is for. Memory on huge pages or with a "
            "strict policy is not sampled, so the gain may be nothing; measure it."
        ),
        sources=(SYSCTL_KERNEL,),
        by_hand=sysctl("kernel.numa_balancing", "0"),
        undo_by_hand=sysctl("kernel.numa_balancing", "1"),
        applies=(NUMA, BOUND_GUESTS),
        subjects=HOST,
        wanted=Wanted("0 | 2"),
        judge=_balancing,
    ),
    Item(
        id="numa.memory_balance",
        title="NUMA nodes with CPUs have equal memory",
        layer="bios",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="reboot",
        risk="the host is opened",
        effect=NO_FIGURE,
        why=(
            "A node with less memory than the others usually has fewer or smaller modules, or one "
            "that failed: less room for guests and fewer channels for the same cores. Small "
            "differences are normal, since firmware and the crash kernel take their part from "
            "some node. Nodes without CPUs (CXL, HBM) are not compared."
        ),
        sources=(
            "BoostVirt, virtualization scenario topology tuning guide (one DIMM per channel): "
            "https://gitcode.com/boostkit/boostvirt/tree/master/docs/en",
        ),
        by_hand="dmidecode -t 17  # then give every channel the same modules",
        undo_by_hand="# put the modules back",
        applies=(NUMA,),
        subjects=HOST,
        wanted=Wanted("<= 10"),
        judge=_memory_balance,
    ),
    Item(
        id="numa.off",
        title="NUMA is not switched off on a host with several sockets",
        layer="kernel",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="reboot",
        risk="pins and memory policies made for one node must be looked at again",
        effect=NO_FIGURE,
        why=(
            "numa=off makes one node of everything: the memory of the other socket is still "
            "further away, but nobody can see it any more, and everything that binds guests to "
            "nodes does nothing."
        ),
        sources=(KERNEL_PARAMETERS,),
        by_hand=without_arguments("numa"),
        undo_by_hand=with_arguments("numa=off"),
        applies=(SEVERAL_SOCKETS,),
        subjects=HOST,
        judge=_off,
    ),
    Item(
        id="numa.tap_nodes",
        title="Each NUMA node lies in one die where Kunpeng TAP places pods",
        layer="cluster",
        platforms=("kubernetes",),
        severity="warning",
        takes_effect="reboot",
        risk="another NUMA layout changes every pin, memory policy and huge page pool of the host",
        effect=NO_FIGURE,
        why=(
            "TAP builds a tree of sockets, dies and nodes and checks at start that no node is "
            "shared by two dies or sockets and that distances are symmetric. With One Numa Per "
            "Socket and Die Interleaving on, a node of a new Kunpeng 920 spans two dies; where "
            "the kernel tells dies, TAP can be expected to refuse that. This is read from TAP's "
            "code; its guide does not say it."
        ),
        sources=(
            "Kunpeng TAP, pkg/kunpeng-tap/sysfs/system/system.go: "
            "https://github.com/kunpengcompute/cloud-native",
        ),
        by_hand=bios(_NUMA_LAYOUT, "Disabled"),
        undo_by_hand=bios(_NUMA_LAYOUT, "Enabled"),
        applies=(TAP,),
        subjects=HOST,
        judge=_tap_nodes,
    ),
)
