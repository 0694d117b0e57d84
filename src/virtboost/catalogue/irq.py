"""Items on interrupts: where those of devices are taken, and which ones skip the host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from virtboost.catalogue.commands import with_arguments, without_arguments
from virtboost.catalogue.conditions import (
    DEDICATED_GUESTS,
    ISOLATED,
    NEW_KUNPENG,
    NUMA,
    RUNNING_GUESTS,
    dedicated_guests,
    given_cpus,
)
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Condition,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Subjects,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import INTERRUPT_GUIDE, KERNEL_PARAMETERS, NIC_GUIDE, OVERVIEW
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import Change, IrqAffinity, KernelArgument, ServiceState
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.host import Host
from virtboost.model.irq import Irq
from virtboost.model.net import NetInterface
from virtboost.model.wording import listed

FAST_BPS = 10_000_000_000
"""A link slower than this asks so little of a CPU that it does not matter which."""

_NETWORK = "02"
"""PCI class of network controllers."""

_STORAGE = "01"
"""PCI class of storage, whose interrupts the kernel manages: nobody may move them."""

_ON = frozenset({"1", "y", "Y", "on"})

_GIC_V4 = "kvm-arm.vgic_v4_enable"


def fast_nics(host: Host) -> Sequence[tuple[str, NetInterface]]:
    """Select the network cards that are up and may be fast; representors have no interrupts."""
    return [
        (nic.name, nic)
        for nic in host.net
        if nic.role != "representor"
        and nic.up is not False
        and (nic.speed_bps is None or nic.speed_bps >= FAST_BPS)
        and _is_card(host, nic)
    ]


def _is_card(host: Host, nic: NetInterface) -> bool:
    """Tell a card from what software makes, and from an adapter at a USB controller."""
    device = host.pci_device(nic.pci_address)
    return nic.kind == "physical" and (device is None or device.class_code.startswith(_NETWORK))


NICS: Subjects[NetInterface] = Subjects(
    kind="interface",
    select=fast_nics,
    none="no network card with a link of 10 Gb/s or more is up",
    gap="network interfaces",
)


def _irqs_of(host: Host, nic: NetInterface) -> list[Irq] | Unknown | NotApplicable:
    found = [
        irq
        for irq in host.irq
        if irq.interface == nic.name
        or (irq.interface is None and irq.pci_address == nic.pci_address is not None)
    ]
    active = [irq for irq in found if irq.count]
    if active:
        return active
    if not host.irq and host.gap("interrupts") is not None:
        return Unknown("the interrupts")
    fired = "has fired since boot" if found else "is its own"
    return NotApplicable(f"no interrupt of {nic.name} {fired}")


def _place(irq: Irq) -> CpuSet:
    """Return where an interrupt goes, or may go where the kernel does not tell; empty: unknown."""
    return irq.effective_affinity or irq.affinity or CpuSet()


def _told(irqs: Sequence[Irq], limit: int = 3) -> str:
    return listed((f"IRQ {irq.number} ({irq.name}) on CPUs {_place(irq)}" for irq in irqs), limit)


def _own_cpus(host: Host, cpus: CpuSet) -> CpuSet:
    """Return which of ``cpus`` may take interrupts: the host's own, if it has any there."""
    return (cpus - given_cpus(host)) or (cpus - host.topology.isolated)


def _moved(host: Host, irqs: Iterable[Irq], cpus: CpuSet) -> tuple[Change, ...]:
    """Spread interrupts over CPUs, one each, after stopping what would move them back."""
    balancer = host.service("irqbalance")
    stop = ServiceState(name="irqbalance", active=False, enabled=False)
    moves = tuple(move for irq in irqs for move in _to_one(irq, cpus))
    return (stop, *moves) if moves and balancer is not None and balancer.active else moves


def _to_one(irq: Irq, cpus: CpuSet) -> tuple[Change, ...]:
    """Give an interrupt one of some CPUs: the same one, whoever asks."""
    allowed = list(cpus)
    if not allowed:
        return ()
    return (IrqAffinity(irq=irq.number, cpus=CpuSet([allowed[irq.number % len(allowed)]])),)


def _nic_node(host: Host, nic: NetInterface, wanted: Wanted) -> Outcome:
    if nic.node_id is None:
        return Unknown(f"the NUMA node of {nic.name}: the firmware does not tell it")
    node = host.topology.node(nic.node_id)
    if node is None or not node.cpus - host.topology.isolated:
        return NotApplicable(f"no CPU of node {nic.node_id} may take interrupts")
    irqs = _irqs_of(host, nic)
    if not isinstance(irqs, list):
        return irqs
    if not all(_place(irq) for irq in irqs):
        return Unknown(f"where the interrupts of {nic.name} may go")
    away = [irq for irq in irqs if not _place(irq) <= node.cpus]
    if not away:
        return Ok(f"{len(irqs)} on CPUs {union(map(_place, irqs))} of node {node.id}")
    return Wrong(
        found=_told(away),
        wanted=f"CPUs {node.cpus} (node {node.id})",
        reason=f"{len(away)} of {len(irqs)} interrupts of {nic.name} are taken away from node "
        f"{node.id}, where the card is: its packets cross to other nodes",
        changes=_moved(host, away, _own_cpus(host, node.cpus)),
    )


def _spread(host: Host, nic: NetInterface, wanted: Wanted) -> Outcome:
    irqs = _irqs_of(host, nic)
    if not isinstance(irqs, list):
        return irqs
    if len(irqs) < 4:
        return NotApplicable(f"{nic.name} has {len(irqs)} interrupts in use")
    if not all(irq.effective_affinity for irq in irqs):
        return Unknown(f"where the interrupts of {nic.name} go")
    places = union(map(_place, irqs))
    if len(places) > 1:
        return Ok(f"{len(irqs)} on CPUs {places}")
    node = host.topology.node(nic.node_id) if nic.node_id is not None else None
    own = _own_cpus(host, node.cpus if node is not None else host.topology.online)
    if len(own) < 2:
        return NotApplicable(f"the host has only CPUs {own} for interrupts there")
    return Wrong(
        found=f"{len(irqs)} interrupts on CPU {places}",
        wanted=f"CPUs {own}",
        reason=f"one CPU serves every queue of {nic.name}",
        changes=_moved(host, irqs, own),
    )


def _isolated(host: Host, _: Host, wanted: Wanted) -> Outcome:
    isolated = host.topology.isolated
    irqs = [irq for irq in host.irq if irq.count and _movable(host, irq)]
    if not irqs:
        gap = host.gap("interrupts")
        return Unknown("the interrupts") if gap else NotApplicable("no device interrupt has fired")
    if not all(_place(irq) for irq in irqs):
        return Unknown("where interrupts go")
    there = [irq for irq in irqs if _place(irq) <= isolated]
    if not there:
        return Ok(f"{len(irqs)} on CPUs {union(map(_place, irqs)) - isolated}")
    online = host.topology.online - isolated
    return Wrong(
        found=_told(there),
        wanted=f"CPUs {online}",
        reason=f"{len(there)} device interrupts stop what runs on isolated CPUs",
        changes=tuple(each for irq in there for each in _to_housekeeping(host, irq)),
    )


def _movable(host: Host, irq: Irq) -> bool:
    device = host.pci_device(irq.pci_address)
    return device is not None and not device.class_code.startswith(_STORAGE)


def _to_housekeeping(host: Host, irq: Irq) -> tuple[Change, ...]:
    node = host.topology.node(irq.node_id) if irq.node_id is not None else None
    near = _own_cpus(host, node.cpus) if node is not None else CpuSet()
    return _to_one(irq, near or _own_cpus(host, host.topology.online))


def _on(host: Host, name: str) -> bool:
    return any(value in _ON for value in host.kernel.arguments(name))


def gic_v4_on(host: Host) -> bool:
    """Tell whether the kernel command line switches GICv4.1 on for guests."""
    return _on(host, _GIC_V4)


def _gic_v4(host: Host, _: Host, wanted: Wanted) -> Outcome:
    if host.kernel.command_line is None:
        return Unknown("the kernel command line")
    if gic_v4_on(host):
        return Ok(f"{_GIC_V4}=1")
    if len(dedicated_guests(host)) < len(host.running_guests):
        return NotApplicable("some guests share pCPUs, which GICv4.1 is bad for")
    return Wrong(
        found=f"no {_GIC_V4}=1",
        wanted=f"{_GIC_V4}=1",
        reason="interrupts of devices passed through, and those between vCPUs, stop the guest; it "
        "needs GIC Version 4.1 and Support SMMU in the BIOS",
        changes=(KernelArgument(name=_GIC_V4, value="1"),),
    )


def _virtio_bypass(host: Host, _: Host, wanted: Wanted) -> Outcome:
    kernel = host.kernel
    if kernel.command_line is None:
        return Unknown("the kernel command line")
    if not gic_v4_on(host):
        return NotApplicable("it needs GICv4.1, which is not switched on")
    found = [name for name in _BYPASS if kernel.arguments(name)]
    told = ", ".join(found) or "none"
    if len(found) == len(_BYPASS) and _on(host, "kvm-arm.virt_msi_bypass"):
        return Ok(told)
    return Wrong(
        found=told,
        wanted=", ".join(f"{name}={value}" for name, value in _BYPASS.items()),
        reason="interrupts of virtio devices stop the guest"
        if not found
        else "the arguments only work together",
        changes=tuple(KernelArgument(name=n, value=v) for n, v in _BYPASS.items()),
    )


_BYPASS = {
    "kvm-arm.virt_msi_bypass": "1",
    "irqchip.gicv3_rsv_buses_start": "30",
    "irqchip.gicv3_rsv_buses_count": "10",
}
"""Arguments and example values of BoostVirt's interrupt passthrough feature guide."""


def _vtimer_bypass(host: Host, _: Host, wanted: Wanted) -> Outcome:
    parameters = host.kernel.module_parameters.get("kvm_arm")
    if parameters is None:
        return Unknown("the parameters of kvm_arm")
    found = parameters.get("vtimer_irqbypass")
    if found is None:
        return NotApplicable("this kernel has no vtimer passthrough")
    if found in _ON:
        return Ok(found)
    return Wrong(
        found=found,
        wanted="1",
        reason="every tick of a guest's timer stops the guest",
        changes=(KernelArgument(name="kvm-arm.vtimer_irqbypass", value="1"),),
    )


OPENEULER = Condition(
    when="the distribution is openEuler",
    otherwise="only openEuler's kernel knows these arguments",
    holds=lambda host: host.kernel.distribution == "openEuler",
)

_BY_HAND = (
    "systemctl disable --now irqbalance\n"
    "grep INTERFACE /proc/interrupts  # its interrupts; then for each of them:\n"
    "echo CPU > /proc/irq/IRQ/smp_affinity_list  # a CPU of the card's node, another for each"
)

_UNDO_BY_HAND = (
    "echo OLD > /proc/irq/IRQ/smp_affinity_list  # for each\nsystemctl enable --now irqbalance"
)


ITEMS = (
    Item(
        id="irq.nic_node",
        title="A network card's interrupts are taken on its NUMA node",
        layer="network",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="live",
        risk="irqbalance is stopped, for all interrupts; what is bound is lost at a reboot, and "
        "when the driver makes its queues anew",
        effect=NO_FIGURE,
        why=(
            "A packet lands in memory near the card; a CPU of another node reads it across the "
            "link between dies or sockets. Huawei's tables name it for containers and hosts. "
            "Interrupts that have never fired, slow links, and CPUs that are isolated are left "
            "out. Where the programs that use the card sit on another node and cannot move, near "
            "the program can be better than near the card: measure. Change the number of queues "
            "(net.queues) first."
        ),
        sources=(OVERVIEW, NIC_GUIDE),
        by_hand=_BY_HAND,
        undo_by_hand=_UNDO_BY_HAND,
        conflicts=("net.queues",),
        applies=(NUMA,),
        subjects=NICS,
        judge=_nic_node,
    ),
    Item(
        id="irq.spread",
        title="A network card's interrupts are not all on one CPU",
        layer="network",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="live",
        risk="irqbalance is stopped, for all interrupts",
        effect=NO_FIGURE,
        why=(
            "Several queues are there so that several CPUs work. Kernels before 5.8 put every "
            "interrupt of a GICv3 on the first CPU of its mask, so a mask of a whole node is not "
            "enough there: write one CPU into each, after the number of queues is right "
            "(net.queues). Where the host keeps one CPU for itself, this does not apply."
        ),
        sources=(
            NIC_GUIDE,
            'Linux, "irqchip/gic-v3-its: Balance initial LPI affinity across CPUs" (in v5.8)',
        ),
        by_hand=_BY_HAND,
        undo_by_hand=_UNDO_BY_HAND,
        conflicts=("net.queues",),
        subjects=NICS,
        judge=_spread,
    ),
    Item(
        id="irq.isolated",
        title="Device interrupts keep off isolated CPUs",
        layer="kernel",
        platforms=("kvm", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="live",
        risk="the other CPUs take more interrupts",
        effect=NO_FIGURE,
        why=(
            "isolcpus keeps tasks away and not interrupts: each one stops a vCPU or a PMD thread "
            "that was promised its CPU. Storage controllers are not looked at, because the kernel "
            "manages their interrupts and refuses to move them (isolcpus=managed_irq,... does)."
        ),
        sources=(KERNEL_PARAMETERS,),
        by_hand=(
            "echo CPUS > /proc/irq/IRQ/smp_affinity_list\n"
            "# at boot: irqaffinity=CPUS on the kernel command line"
        ),
        undo_by_hand="echo OLD > /proc/irq/IRQ/smp_affinity_list",
        applies=(ISOLATED,),
        subjects=HOST,
        judge=_isolated,
    ),
    Item(
        id="irq.gic_v4",
        title="GICv4.1 delivers interrupts into guests that have their own pCPUs",
        layer="kernel",
        platforms=("kvm", "openstack"),
        severity="advice",
        takes_effect="reboot",
        risk="guests that share pCPUs become much slower; live migration from an older generation "
        "needs GIC 4.0",
        effect=NO_FIGURE,
        why=(
            "With GICv4.1, interrupts of devices passed through (vLPI) and between vCPUs (vSGI) "
            "reach a running guest without the host. It needs Support SMMU and GIC Version 4.1 in "
            "the BIOS, and emulator threads on other pCPUs than vCPUs: the newer guide says that "
            "overlapping pins degrade performance, the opposite of the 2021 guide for GICv3. Not "
            "for hosts where vCPUs share pCPUs, nor for the target of a migration from Kunpeng 920."
        ),
        sources=(INTERRUPT_GUIDE,),
        by_hand=(
            with_arguments(f"{_GIC_V4}=1")
            + "\ndmesg | grep GICv4.1  # after the reboot: support enabled"
        ),
        undo_by_hand=without_arguments(_GIC_V4),
        applies=(NEW_KUNPENG, DEDICATED_GUESTS),
        subjects=HOST,
        judge=_gic_v4,
    ),
    Item(
        id="irq.virtio_bypass",
        title="Interrupts of virtio devices reach guests without the host",
        layer="kernel",
        platforms=("kvm", "openstack"),
        severity="advice",
        takes_effect="reboot",
        risk="the PCI bus numbers that are reserved must be free of real devices",
        effect=NO_FIGURE,
        why=(
            "openEuler's kernel can give virtio devices shadow devices whose interrupts GICv4.1 "
            "delivers. The bus numbers 30 and 10 are the guide's example: look at lspci first. "
            "Only with GICv4.1, so not where vCPUs share pCPUs."
        ),
        sources=(INTERRUPT_GUIDE,),
        by_hand=(
            with_arguments(" ".join(f"{name}={value}" for name, value in _BYPASS.items()))
            + "\ndmesg | grep 'Create shadow device'  # after the reboot"
        ),
        undo_by_hand=without_arguments(" ".join(_BYPASS)),
        applies=(NEW_KUNPENG, OPENEULER, RUNNING_GUESTS),
        subjects=HOST,
        judge=_virtio_bypass,
    ),
    Item(
        id="irq.vtimer_bypass",
        title="Timer interrupts reach guests without the host",
        layer="kernel",
        platforms=("kvm", "openstack"),
        severity="advice",
        takes_effect="reboot",
        risk="guests must be started anew; older guests ignore it",
        effect=NO_FIGURE,
        why=(
            "openEuler 24.03 LTS SP4 can pass a guest's timer interrupt through on GIC 4.1 and "
            "4.2. Kernels that cannot have no such parameter, and the item does not apply."
        ),
        sources=(
            "BoostVirt, vtimer interrupt passthrough: "
            "https://gitcode.com/boostkit/boostvirt/tree/master/docs/en",
        ),
        by_hand=with_arguments("kvm-arm.vtimer_irqbypass=1"),
        undo_by_hand=without_arguments("kvm-arm.vtimer_irqbypass"),
        applies=(NEW_KUNPENG, RUNNING_GUESTS),
        subjects=HOST,
        judge=_vtimer_bypass,
    ),
)
