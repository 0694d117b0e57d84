"""Items on nova-compute: memory, scheduling, the guests that it makes."""

from __future__ import annotations

import re

from virtboost.catalogue.commands import nova_option, without_nova_option
from virtboost.catalogue.conditions import ARM, NUMA
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
from virtboost.catalogue.sources import LOSS_OPTIMIZATION, NOVA_CONFIG, NOVA_TOPOLOGY, OSP_NFV
from virtboost.catalogue.wanted import Wanted, whole_number
from virtboost.model.agent import Agent
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.model.wording import listed

PLATFORMS: tuple[Platform, ...] = ("openstack",)

COMPUTES: Subjects[Agent] = Subjects(
    kind="agent",
    select=lambda host: [(a.name, a) for a in host.agents if a.name == "nova-compute"],
    none="there is no nova-compute",
    gap="agents",
)


COMPUTE = Condition(
    when="guests of Nova run here: there is libvirt or a nova-compute, and not only a nova.conf",
    otherwise="there is neither libvirt nor a guest, whatever nova.conf says",
    holds=lambda host: host.libvirt is not None or bool(host.guests) or _in_container(host),
    gap="libvirt",
)


def _in_container(host: Host) -> bool:
    return any(re.search("nova[_-](compute|libvirt)", c.name) for c in host.containers)


def cpu_set(agent: Agent, option: str) -> CpuSet:
    """Return the pCPUs of an option; none where it is not set.

    Raises:
        ValueError: Its value is no list of CPUs.
    """
    return CpuSet.parse(agent.options.get(option, "").strip("\"'"))


DEFAULT_RESERVED_MB = 512


def _reserved_memory(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    option = "DEFAULT.reserved_host_memory_mb"
    text = agent.options.get(option)
    reserved = whole_number(text) if text is not None else DEFAULT_RESERVED_MB
    if reserved is None:
        return Unknown(f"reserved_host_memory_mb: {text!r} is no number")
    pages = any(pool.total for node in host.topology.numa_nodes for pool in node.hugepages)
    if not pages and host.ovs is None and not host.running_guests:
        return NotApplicable("the host has neither huge pages nor Open vSwitch nor guests")
    found = f"{reserved} MB" + ("" if text is not None else ", the default")
    if wanted.accepts(str(reserved)):
        return Ok(found)
    return Wrong(
        found=found,
        wanted=f"{wanted.text} MB",
        reason="the agents, Open vSwitch and what QEMU needs for each guest take more: guests are "
        "scheduled onto memory that is not there",
    )


def _reserved_huge_pages(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    if host.ovs is None or not host.ovs.dpdk_initialized:
        return NotApplicable("Open vSwitch does not use DPDK here")
    if not any(pool.total for node in host.topology.numa_nodes for pool in node.hugepages):
        return Unknown("the pools of huge pages, of which DPDK must have some")
    reserved = agent.options.get("DEFAULT.reserved_huge_pages")
    if reserved:
        return Ok(reserved)
    return Wrong(
        found="reserved_huge_pages is not set, and DPDK has huge pages",
        wanted="the pages of dpdk-socket-mem",
        reason="Nova counts DPDK's pages as free and schedules guests that then do not start",
    )


# Scheduling.


def _filters(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    text = agent.options.get("filter_scheduler.enabled_filters")
    if text is None:
        return NotApplicable("the scheduler's filters are not set in this host's files")
    enabled = {name.strip().rpartition(".")[2] for name in text.split(",")}
    needed = {"AggregateInstanceExtraSpecsFilter": "aggregates of one architecture"}
    if agent.options.get("compute.cpu_dedicated_set") or agent.options.get("DEFAULT.vcpu_pin_set"):
        needed["NUMATopologyFilter"] = "pinned guests and cells"
    if any(agent.options.get(key) for key in ("pci.device_spec", "pci.passthrough_whitelist")):
        needed["PciPassthroughFilter"] = "devices passed through"
    missing = {name: use for name, use in needed.items() if name not in enabled}
    if not missing:
        return Ok(listed(sorted(enabled), limit=8))
    return Wrong(
        found=f"without {listed(missing)}",
        wanted=", ".join(needed),
        reason=listed(f"{name} is for {use}" for name, use in missing.items())
        + ": guests are sent to hosts that cannot take them",
    )


_PACKING = "packing_host_numa_cells_allocation_strategy"


def _packing(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    text = agent.options.get(f"compute.{_PACKING}")
    if text is None:
        return Unknown("whether Nova packs or spreads cells: not set, and the default changed")
    if wanted.accepts(text.lower()):
        return Ok(text)
    large = [guest.name for guest in host.guests if len(guest.cells) > 1]
    if not large:
        return NotApplicable("packing, and no guest here has several cells")
    return Wrong(
        found=f"{text}; guests with several cells: {listed(large)}",
        wanted=wanted.text,
        reason="small guests fill the first node, and then no guest with several cells fits",
    )


# Guests that Nova makes.


def _cpu_mode(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    mode = agent.options.get("libvirt.cpu_mode")
    if agent.options.get("libvirt.virt_type", "kvm") != "kvm":
        return NotApplicable(f"virt_type is {agent.options['libvirt.virt_type']}")
    if host.arch == "aarch64":
        return _arm_mode(mode)
    if mode == "none":
        return Wrong(
            found="none",
            wanted="host-model",
            reason="guests get QEMU's basic CPU, without AES and AVX",
        )
    if mode == "custom" and not agent.options.get("libvirt.cpu_models"):
        return Wrong(
            found="custom without cpu_models",
            wanted="cpu_models",
            reason="nova-compute has no model to give to guests",
        )
    return Ok(mode or "not set: host-model")


def _arm_mode(mode: str | None) -> Outcome:
    if mode in (None, "host-passthrough", "maximum"):
        return Ok(mode or "not set: host-passthrough")
    return Wrong(
        found=str(mode),
        wanted="host-passthrough",
        reason="KVM on aarch64 gives guests the host's CPU and no other: guests do not start",
    )


MOST_PORTS = 28


def _pcie_ports(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    text = agent.options.get("libvirt.num_pcie_ports")
    ports = whole_number(text) if text is not None else 0
    if ports is None:
        return Unknown(f"num_pcie_ports: {text!r} is no number")
    if ports > MOST_PORTS:
        return Wrong(
            found=str(ports),
            wanted=f"at most {MOST_PORTS}",
            reason="nova-compute refuses more, for the sake of aarch64's virt machine",
        )
    if ports and wanted.accepts(str(ports)):
        return Ok(str(ports))
    return Wrong(
        found=f"{ports}, libvirt decides" if not ports else str(ports),
        wanted=f"{wanted.text}, at most {MOST_PORTS}",
        reason="guests of machine virt have one or two free ports: the next volume or interface "
        "cannot be attached while they run",
    )


def _queue_sizes(host: Host, agent: Agent, wanted: Wanted) -> Outcome:
    if host.ovs is None or not host.ovs.dpdk_initialized:
        return NotApplicable("Open vSwitch does not use DPDK here")
    sizes = {name: agent.options.get(f"libvirt.{name}_queue_size") for name in ("rx", "tx")}
    odd = [text for text in sizes.values() if text is not None and whole_number(text) is None]
    if odd:
        return Unknown(f"rx_queue_size, tx_queue_size: {odd[0]!r} is no number")
    found = ", ".join(f"{name} {text or '256, by default'}" for name, text in sizes.items())
    if all(wanted.accepts(text or "256") for text in sizes.values()):
        return Ok(found)
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="a PMD thread fills 256 descriptors while a vCPU is away for a moment, and drops "
        "the rest",
    )


ITEMS = (
    Item(
        id="nova.reserved_memory",
        title="Nova leaves memory to the host",
        layer="cluster",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk="less memory for guests; huge pages are not counted in it",
        effect=NO_FIGURE,
        why=(
            "512 MB, Nova's default, is less than the agents of a compute host take. 4096 is what "
            "Red Hat's guide sets for hosts with Open vSwitch and DPDK; hosts with Ceph or very "
            "many guests need more. Too little shows as guests killed when memory is short."
        ),
        sources=(OSP_NFV, NOVA_CONFIG),
        by_hand=nova_option("DEFAULT", "reserved_host_memory_mb", "4096"),
        undo_by_hand=nova_option("DEFAULT", "reserved_host_memory_mb", "OLD"),
        applies=(COMPUTE,),
        subjects=COMPUTES,
        wanted=Wanted(">= 4096"),
        judge=_reserved_memory,
    ),
    Item(
        id="nova.reserved_huge_pages",
        title="Nova knows of the huge pages that DPDK holds",
        layer="cluster",
        platforms=("openstack", "ovs"),
        severity="warning",
        takes_effect="service restart",
        risk="fewer huge pages for guests, as it is in truth",
        effect=NO_FIGURE,
        why=(
            "Nova takes pools of huge pages for its own. Those of dpdk-socket-mem are in use "
            "before the first guest starts; reserved_huge_pages subtracts them."
        ),
        sources=(NOVA_CONFIG,),
        by_hand=(
            "# in [DEFAULT] of /etc/nova/nova.conf, a line for each node:\n"
            "# reserved_huge_pages = node:0,size:1GB,count:1\n"
            "systemctl restart openstack-nova-compute  # Debian: nova-compute"
        ),
        undo_by_hand=without_nova_option("DEFAULT", "reserved_huge_pages"),
        applies=(COMPUTE,),
        subjects=COMPUTES,
        judge=_reserved_huge_pages,
    ),
    Item(
        id="nova.filters",
        title="The scheduler has the filters that placement by hardware needs",
        layer="cluster",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk="requests that no host can meet fail at once, not on the host",
        effect=NO_FIGURE,
        why=(
            "NUMATopologyFilter, AggregateInstanceExtraSpecsFilter and PciPassthroughFilter are "
            "not in Nova's default list; a list that was copied from an old guide may lack others. "
            "The option matters on the hosts of nova-scheduler; it is judged where this host's "
            "files have it."
        ),
        sources=(NOVA_CONFIG, NOVA_TOPOLOGY),
        by_hand=(
            "crudini --set /etc/nova/nova.conf filter_scheduler enabled_filters "
            "OLD,NUMATopologyFilter,PciPassthroughFilter,AggregateInstanceExtraSpecsFilter\n"
            "systemctl restart openstack-nova-scheduler  # Debian: nova-scheduler"
        ),
        undo_by_hand=(
            "crudini --set /etc/nova/nova.conf filter_scheduler enabled_filters OLD\n"
            "systemctl restart openstack-nova-scheduler  # Debian: nova-scheduler"
        ),
        rule="R15",
        subjects=COMPUTES,
        judge=_filters,
    ),
    Item(
        id="nova.packing",
        title="Nova spreads cells over NUMA nodes where guests have several",
        layer="cluster",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="service restart",
        risk="guests with one large cell find a whole free node less often",
        effect=NO_FIGURE,
        why=(
            "Packing fills one node before the next: good for guests with one large cell, bad for "
            "guests with several, which need room on each (Launchpad bug 1940668). Spreading is "
            "the default since Zed; before, nodes were packed."
        ),
        sources=(NOVA_CONFIG, "Nova, bug 1940668: https://bugs.launchpad.net/nova/+bug/1940668"),
        by_hand=nova_option("compute", _PACKING, "False"),
        undo_by_hand=nova_option("compute", _PACKING, "True"),
        applies=(COMPUTE, NUMA),
        subjects=COMPUTES,
        wanted=Wanted("false"),
        judge=_packing,
    ),
    Item(
        id="nova.cpu_mode",
        title="Nova gives guests a CPU that KVM can give",
        layer="cluster",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="service restart",
        risk="running guests keep their CPU until they are restarted; migration needs equal CPUs",
        effect=NO_FIGURE,
        why=(
            "On aarch64, host-model is not supported; unset means host-passthrough there, and live "
            "migration compares the CPUs of both hosts. On x86, unset means host-model, which "
            "migrates to equal or newer CPUs; none is for emulation."
        ),
        sources=(NOVA_CONFIG,),
        by_hand=nova_option("libvirt", "cpu_mode", "host-passthrough"),
        undo_by_hand=nova_option("libvirt", "cpu_mode", "OLD"),
        rule="R7",
        applies=(COMPUTE,),
        subjects=COMPUTES,
        judge=_cpu_mode,
    ),
    Item(
        id="nova.pcie_ports",
        title="Guests on aarch64 have PCIe ports for what is attached later",
        layer="cluster",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="service restart",
        risk="each port is a device of its own: guests boot a little slower",
        effect=NO_FIGURE,
        why=(
            "On the virt machine each hot-plugged device needs a port that was there at boot. "
            "Existing guests get theirs at the next hard reboot. Clouds that never attach volumes "
            "or interfaces do not need them; 16 is TripleO's default."
        ),
        sources=(NOVA_CONFIG,),
        by_hand=nova_option("libvirt", "num_pcie_ports", "16"),
        undo_by_hand=nova_option("libvirt", "num_pcie_ports", "0"),
        applies=(COMPUTE, ARM),
        subjects=COMPUTES,
        wanted=Wanted(">= 1"),
        judge=_pcie_ports,
    ),
    Item(
        id="nova.queue_sizes",
        title="Guests on Open vSwitch with DPDK have long virtio queues",
        layer="cluster",
        platforms=("openstack", "ovs"),
        severity="advice",
        takes_effect="service restart",
        risk="longer queues mean more packets in flight, and latency when they are full",
        effect=NO_FIGURE,
        why=(
            "256 descriptors are short for a PMD thread that delivers in bursts. 1024 is the most "
            "that virtio has. It holds for guests that are started after it, and matters only "
            "where guests drop packets at rest."
        ),
        sources=(NOVA_CONFIG, OSP_NFV, LOSS_OPTIMIZATION),
        by_hand=(
            "crudini --set /etc/nova/nova.conf libvirt tx_queue_size 1024\n"
            + nova_option("libvirt", "rx_queue_size", "1024")
        ),
        undo_by_hand=(
            "crudini --del /etc/nova/nova.conf libvirt tx_queue_size\n"
            + without_nova_option("libvirt", "rx_queue_size")
        ),
        applies=(COMPUTE,),
        subjects=COMPUTES,
        wanted=Wanted(">= 1024"),
        judge=_queue_sizes,
    ),
)
