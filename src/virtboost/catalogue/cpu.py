"""Items on the host's CPUs: offline ones, the host's own, clusters, mitigations, MPAM."""

from __future__ import annotations

from collections.abc import Sequence

from virtboost.catalogue.commands import sysctl, with_arguments, without_arguments
from virtboost.catalogue.conditions import (
    NEW_GENERATIONS,
    WORKLOADS,
    dedicated_guests,
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
from virtboost.catalogue.sources import KERNEL_PARAMETERS, LIBVIRT_DOMAIN
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import KernelArgument, KernelFile, Sysctl
from virtboost.model.cpuset import CpuSet
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.wording import listed

SWITCHES = frozenset(
    {
        "mitigations=off",
        "nopti",
        "pti=off",
        "kpti=0",
        "kpti=off",
        "nospectre_v1",
        "nospectre_v2",
        "nospectre_bhb",
        "spectre_v2=off",
        "spectre_bhi=off",
        "spec_store_bypass_disable=off",
        "nospec_store_bypass_disable",
        "ssbd=force-off",
        "l1tf=off",
        "mds=off",
        "tsx_async_abort=off",
        "mmio_stale_data=off",
        "retbleed=off",
        "srbds=off",
        "gather_data_sampling=off",
        "spec_rstack_overflow=off",
        "reg_file_data_sampling=off",
        "kvm.nx_huge_pages=off",
    }
)
"""Kernel arguments that take a mitigation away (kernel-parameters.txt)."""

RDT_FLAGS = frozenset({"cat_l3", "cat_l2", "cdp_l3", "mba"})
"""CPU flags behind resctrl's cache and bandwidth control (Documentation/filesystems/resctrl)."""


def _offline(host: Host, _: Host, wanted: Wanted) -> Outcome:
    topology = host.topology
    if not topology.offline:
        return Ok("every CPU is online")
    if host.power.smt_control in ("off", "forceoff"):
        return NotApplicable(f"SMT is switched off, and CPUs {topology.offline} with it")
    pinned = [g.name for g in host.guests if _wants(g, topology.offline)]
    used = f"; {listed(pinned)} may run on them" if pinned else ""
    return Wrong(
        found=f"CPUs {topology.offline} are offline",
        wanted="every CPU online",
        reason=f"{len(topology.offline)} of {len(topology.offline) + len(topology.online)} CPUs "
        f"do nothing{used}",
        changes=tuple(
            KernelFile(path=f"/sys/devices/system/cpu/cpu{cpu}/online", value="1")
            for cpu in topology.offline
        ),
    )


def _wants(guest: Guest, cpus: CpuSet) -> bool:
    return any(not pin.isdisjoint(cpus) for pin in guest.vcpu_pins.values())


def _sched_cluster(host: Host, _: Host, wanted: Wanted) -> Outcome:
    name = "kernel.sched_cluster"
    found = host.kernel.sysctls.get(name)
    if found is None:
        return NotApplicable("this kernel has no switch: mainline ones decide when they are built")
    if wanted.accepts(found):
        return Ok(found)
    if not host.containers and len(dedicated_guests(host)) == len(host.running_guests):
        return NotApplicable("every guest has its own pCPUs: there is nothing to place")
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason=f"the scheduler does not know the {len(host.topology.shared_clusters)} CPU clusters",
        changes=(Sysctl(name=name, value=wanted.value),) if wanted.value else (),
    )


def _mitigations(host: Host, _: Host, wanted: Wanted) -> Outcome:
    if host.kernel.command_line is None:
        return Unknown("the kernel command line")
    switches = [word for word in host.kernel.command_line.split() if word in SWITCHES]
    if not switches:
        return NotApplicable("the kernel command line switches no mitigation off")
    if not host.kernel.vulnerabilities:
        return Unknown("what the kernel says of vulnerabilities")
    open_ = [n for n, said in host.kernel.vulnerabilities.items() if said.startswith("Vulnerable")]
    found = " ".join(switches)
    if not open_:
        return Ok(f"{found}, and the CPU is not affected")
    return Wrong(
        found=f"{found}: {listed(sorted(open_))} open",
        wanted="mitigations as the kernel has them",
        reason="what runs in one guest or container may read the memory of others and of the host",
    )


def _resctrl_guests(host: Host) -> Sequence[tuple[str, Guest]]:
    return [(guest.name, guest) for guest in host.guests if guest.cachetune]


def _resctrl(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if host.arch == "aarch64":
        return _mpam(host, guest)
    if not host.cpu.flags:
        return Unknown("the features of the CPU")
    flags = sorted(RDT_FLAGS & set(host.cpu.flags))
    if flags:
        return Ok(", ".join(flags))
    return Wrong(
        found="no cache or bandwidth control",
        wanted=" | ".join(sorted(RDT_FLAGS)),
        reason=f"{guest.name} has <cachetune> or <memorytune>, and the CPU has nothing behind them",
    )


def _mpam(host: Host, guest: Guest) -> Outcome:
    if host.cpu.generation not in NEW_GENERATIONS:
        return Unknown("whether this CPU has MPAM; it is documented for new Kunpeng 920 and 950")
    if host.kernel.command_line is None:
        return Unknown("the kernel command line")
    if host.kernel.arguments("arm64.mpam"):
        return Ok("arm64.mpam")
    return Wrong(
        found="no arm64.mpam",
        wanted="arm64.mpam",
        reason=f"{guest.name} has <cachetune> or <memorytune>, and the kernel leaves MPAM off",
        changes=(KernelArgument(name="arm64.mpam", value=""),),
    )


CPUS = Condition(
    when="the CPUs of the host are known",
    otherwise="the CPUs of the host are not known",
    holds=lambda host: bool(host.topology.online),
    gap="CPUs",
)

CLUSTERS = Condition(
    when="the host has CPU clusters",
    otherwise="the host has no CPU clusters",
    holds=lambda host: bool(host.topology.shared_clusters),
    gap="clusters",
)


ITEMS = (
    Item(
        id="cpu.offline",
        title="No CPU is offline without a reason",
        layer="host",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="advice",
        takes_effect="live",
        risk="if somebody took a CPU offline because of errors, they come back",
        effect=NO_FIGURE,
        why=(
            "Offline CPUs are often left from a test, from maxcpus=, or from a CPU that reported "
            "errors. The last is a good reason: look at the kernel log first. CPUs that are "
            "offline because SMT is switched off are meant to be, and do not count."
        ),
        sources=("Linux, CPU hotplug: https://docs.kernel.org/core-api/cpu_hotplug.html",),
        by_hand="echo 1 > /sys/devices/system/cpu/cpuN/online",
        undo_by_hand="echo 0 > /sys/devices/system/cpu/cpuN/online",
        applies=(CPUS,),
        subjects=HOST,
        judge=_offline,
    ),
    Item(
        id="cpu.sched_cluster",
        title="The scheduler knows CPU clusters",
        layer="kernel",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="loads whose threads share much may be spread over more clusters",
        effect=NO_FIGURE,
        why=(
            "openEuler has a switch for the scheduler domain of CPU clusters. It helps what the "
            "host's scheduler places: containers and guests without a pCPU for each vCPU. On a "
            "Kunpeng 920, openEuler's own logs show both sides: STREAM with four threads 25 % "
            "faster spread over clusters, a contended lock 2.4 times slower. Huawei's 2 to 20 % is "
            "for the switch inside a guest that is told its clusters, not for this one. Measure."
        ),
        sources=(
            "BoostVirt, cluster awareness feature guide: "
            "https://gitcode.com/boostkit/boostvirt/tree/master/docs/en",
            "openEuler wayca-scheduler, tools: https://gitee.com/openeuler/wayca-scheduler",
        ),
        by_hand=sysctl("kernel.sched_cluster", "1"),
        undo_by_hand=sysctl("kernel.sched_cluster", "0"),
        rule="R9",
        applies=(WORKLOADS, CLUSTERS),
        subjects=HOST,
        wanted=Wanted("1"),
        judge=_sched_cluster,
    ),
    Item(
        id="cpu.mitigations",
        title="Mitigations were not traded for speed where guests share a CPU",
        layer="kernel",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt"),
        severity="advice",
        takes_effect="reboot",
        risk="system calls and exits of guests become slower again",
        effect=NO_FIGURE,
        why=(
            "Old tuning guides switch mitigations off. On a host that runs what others wrote, that "
            "sells the walls between guests; on a host with one owner it can be a fair choice, to "
            "be made knowingly and measured. This tool never advises to switch one off. It says "
            "nothing where the kernel merely lacks a mitigation: that is a matter for updates."
        ),
        sources=(
            "Linux, hardware vulnerabilities: https://docs.kernel.org/admin-guide/hw-vuln/",
            KERNEL_PARAMETERS,
        ),
        by_hand=without_arguments("mitigations"),
        undo_by_hand=with_arguments("mitigations=off"),
        applies=(WORKLOADS,),
        subjects=HOST,
        judge=_mitigations,
    ),
    Item(
        id="cpu.resctrl",
        title="Cache and bandwidth control is there for guests that are limited",
        layer="kernel",
        platforms=("kvm", "openstack"),
        severity="warning",
        takes_effect="reboot",
        risk="none known; resctrl must be mounted too",
        effect=NO_FIGURE,
        why=(
            "libvirt carries out <cachetune> and <memorytune> through resctrl: MPAM on new "
            "Kunpeng 920 and 950, which openEuler's kernel switches on with arm64.mpam, RDT or "
            "its like on x86. Without it such a guest does not start."
        ),
        sources=(
            "BoostVirt, MPAM in libvirt: "
            "https://gitcode.com/boostkit/boostvirt/tree/master/docs/en",
            LIBVIRT_DOMAIN,
            "Linux, resctrl: https://docs.kernel.org/filesystems/resctrl.html",
        ),
        by_hand=(
            with_arguments("arm64.mpam")
            + "\nmount -t resctrl resctrl /sys/fs/resctrl  # after the reboot"
        ),
        undo_by_hand=without_arguments("arm64.mpam"),
        subjects=Subjects(
            kind="guest",
            select=_resctrl_guests,
            none="no guest has <cachetune> or <memorytune>",
            gap="guests",
        ),
        judge=_resctrl,
    ),
)
