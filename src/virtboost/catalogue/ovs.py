"""Items on Open vSwitch: memory of DPDK, offload to the NIC, transmit steering."""

from __future__ import annotations

from virtboost.catalogue.commands import other_config
from virtboost.catalogue.item import NO_FIGURE, Item, NotApplicable, Ok, Outcome, Unknown, Wrong
from virtboost.catalogue.ovs_pmd import PLATFORMS, SWITCHES, USERSPACE, port_node, ports
from virtboost.catalogue.sources import LOSS_OPTIMIZATION, OSP_NFV, OVS_DB
from virtboost.catalogue.wanted import Wanted, whole_number
from virtboost.model.change import OvsOtherConfig
from virtboost.model.host import Host
from virtboost.model.net import NetInterface
from virtboost.model.ovs import Ovs
from virtboost.model.wording import listed


def _socket_memory(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    text = ovs.other_config.get("dpdk-socket-mem")
    if not text:
        return NotApplicable("dpdk-socket-mem is not set: DPDK takes memory when it needs it")
    given = dict(enumerate(whole_number(part) for part in text.split(",")))
    if None in given.values():
        return Unknown(f"dpdk-socket-mem: {text[:40]!r} is no list of megabytes")
    nodes = {port.name: port_node(host, port) for port in ports(ovs)}
    nodes |= {f"PMD thread on pCPU {pmd.pcpu_id}": pmd.node_id for pmd in ovs.pmds}
    dry = [
        f"{name} on node {node}"
        for name, node in nodes.items()
        if node is not None and not given.get(node)
    ]
    if not dry:
        return Ok(text)
    return Wrong(
        found=f"{text}: no memory for {listed(dry)}",
        wanted="memory on each such node",
        reason="a node that the list leaves out gets 0: its buffers come from another node, or "
        "ports there fail",
    )


# Offload.


def _capable(host: Host, ovs: Ovs) -> list[NetInterface]:
    """Return the interfaces of kernel bridges that can take flows: representors and their PFs."""
    attached = {
        port.name
        for bridge in ovs.bridges
        if bridge.datapath_type != "netdev"
        for port in bridge.interfaces
    }
    return [
        interface
        for interface in host.net
        if interface.name in attached
        and (interface.role == "representor" or interface.offloads.get("hw-tc-offload"))
    ]


def _hw_offload(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    on = ovs.other_config.get("hw-offload") == "true"
    capable = _capable(host, ovs)
    if not host.net and host.gap("network interfaces") is not None:
        return Unknown("whether an interface can take flows")
    if on and not capable and ports(ovs):
        return NotApplicable("ports of DPDK take flows by rte_flow, which no setting tells")
    if on:
        return _offload_on(capable)
    if not any(interface.role == "representor" for interface in capable):
        return NotApplicable("no representor on a bridge: the NIC is not in switchdev mode")
    return Wrong(
        found=f"hw-offload is off, {listed(i.name for i in capable)} could take flows",
        wanted="true",
        reason="the NIC sends every packet through the kernel, although it was set up to switch",
        changes=(OvsOtherConfig(key="hw-offload", value="true"),),
    )


def _offload_on(capable: list[NetInterface]) -> Outcome:
    if not capable:
        return Wrong(
            found="hw-offload is on, and no port can take flows",
            wanted="ports in switchdev mode",
            reason="each flow is offered to the NIC in vain, and forwarded by the kernel",
        )
    untold = [interface.name for interface in capable if not interface.offloads]
    if untold:
        return Unknown(f"hw-tc-offload of {listed(untold)} (ethtool)")
    off = [i.name for i in capable if not i.offloads.get("hw-tc-offload")]
    if not off:
        return Ok(f"hw-offload, hw-tc-offload on {listed(i.name for i in capable)}")
    return Wrong(
        found=f"hw-offload is on, hw-tc-offload is off on {listed(off)}",
        wanted="hw-tc-offload on",
        reason="the NIC takes no flows of these ports",
    )


def _tx_steering(host: Host, ovs: Ovs, wanted: Wanted) -> Outcome:
    modes = {
        port.name: port.other_config["tx-steering"]
        for bridge in ovs.bridges
        for port in bridge.interfaces
        if "tx-steering" in port.other_config
    }
    if not modes:
        return NotApplicable("no interface has tx-steering")
    odd = {name: mode for name, mode in modes.items() if not wanted.accepts(mode)}
    found = listed(f"{name}: {mode}" for name, mode in (odd or modes).items())
    if not odd:
        return Ok(found)
    if host.cpu.kunpeng and "txfollowrx" in odd.values():
        return Unknown(f"whether this Open vSwitch has Kunpeng's patch ({found})")
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="Open vSwitch documents no such mode: the port sends as it would without it",
    )


RESTART = "\nsystemctl restart openvswitch  # Debian: openvswitch-switch"

ITEMS = (
    Item(
        id="ovs.socket_memory",
        title="DPDK has memory on each NUMA node that it works on",
        layer="network",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk="huge pages that guests cannot have; Open vSwitch restarts, and all flows with it",
        effect=NO_FIGURE,
        why=(
            "dpdk-socket-mem counts nodes from 0, and every node after the end of the list gets "
            "none. 1024 MB is Red Hat's value for a node without a DPDK port; one with ports "
            "needs more with larger MTUs. Not set at all, DPDK takes what it needs."
        ),
        sources=(OVS_DB, OSP_NFV),
        by_hand=other_config("dpdk-socket-mem", "1024,1024") + RESTART,
        undo_by_hand=other_config("dpdk-socket-mem", "OLD") + RESTART,
        applies=(USERSPACE,),
        subjects=SWITCHES,
        judge=_socket_memory,
    ),
    Item(
        id="ovs.hw_offload",
        title="Open vSwitch and the NIC agree on offload",
        layer="network",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk="experimental in Open vSwitch; flows that the NIC cannot hold stay in the kernel",
        effect=NO_FIGURE,
        why=(
            "Three things must agree: the NIC in switchdev mode, hw-tc-offload on its interfaces, "
            "hw-offload in Open vSwitch, which takes effect at its restart only. Offloaded flows "
            "are seen with ovs-appctl dpctl/dump-flows type=offloaded; ovs-dpctl does not show "
            "them. A NIC in legacy mode is no finding: switchdev is a decision."
        ),
        sources=(
            OVS_DB,
            "OVS offload using ASAP2 direct: "
            "https://docs.nvidia.com/networking/display/mlnxenv497100lts/"
            "ovs+offload+using+asap2+direct",
        ),
        by_hand=(
            f"ethtool -K PORT hw-tc-offload on\n{other_config('hw-offload', 'true')}{RESTART}\n"
            "ovs-appctl dpctl/dump-flows type=offloaded"
        ),
        undo_by_hand=other_config("hw-offload", "false") + RESTART,
        rule="R20",
        subjects=SWITCHES,
        judge=_hw_offload,
    ),
    Item(
        id="ovs.tx_steering",
        title="tx-steering has a mode that this Open vSwitch knows",
        layer="network",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="none: thread is what is in force anyway",
        effect=NO_FIGURE,
        why=(
            "The Kunpeng guide sets txfollowrx, which needs Kunpeng's patch of Open vSwitch. "
            "Upstream documents thread, the default, and hash; its database takes any text, so "
            "nobody is told of a mode that does nothing. On a Kunpeng host it cannot be told which "
            "Open vSwitch runs."
        ),
        sources=(LOSS_OPTIMIZATION, OVS_DB),
        by_hand="ovs-vsctl set Interface PORT other_config:tx-steering=hash",
        undo_by_hand="ovs-vsctl set Interface PORT other_config:tx-steering=OLD",
        rule="R21",
        subjects=SWITCHES,
        wanted=Wanted("thread | hash"),
        judge=_tx_steering,
    ),
)
