"""Items on services that tune the host behind its owner's back."""

from __future__ import annotations

import re

from virtboost.catalogue.conditions import (
    BOUND_GUESTS,
    BUSY_CPUS,
    RUNNING_GUESTS,
    bound_guests,
    busy_cpus,
    more_than_memory,
)
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import KSM, NIC_GUIDE, TUNED
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import ServiceState
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.model.service import Service
from virtboost.model.wording import listed

_BANNED = re.compile(r"IRQBALANCE_BANNED_(CPULIST|CPUS)=(\S+)")

SLOW_PROFILES = frozenset(
    {
        "balanced",
        "balanced-battery",
        "desktop",
        "desktop-powersave",
        "laptop-ac-powersave",
        "laptop-battery-powersave",
        "powersave",
        "server-powersave",
        "spindown-disk",
    }
)
"""Profiles of TuneD that save power."""


def _state(host: Host, name: str) -> Service | Unknown | NotApplicable:
    service = host.service(name)
    if service is not None:
        return service if service.active else NotApplicable(f"{name} does not run")
    gap = host.gap("services")
    return NotApplicable(f"there is no {name}") if gap is None else Unknown(f"whether {name} runs")


def _irqbalance(host: Host, _: Host, wanted: Wanted) -> Outcome:
    service = _state(host, "irqbalance")
    if isinstance(service, NotApplicable):
        return Ok(service.why)
    if isinstance(service, Unknown):
        return service
    # irqbalance leaves isolated and tickless CPUs alone by itself.
    left_alone = host.topology.isolated | host.topology.nohz_full | _banned(service)
    exposed = busy_cpus(host) - left_alone
    if not exposed:
        return Ok("active, and kept off the CPUs of guests")
    return Wrong(
        found="active",
        wanted=f"inactive, or IRQBALANCE_BANNED_CPULIST={exposed}",
        reason=f"it moves interrupts, among them those bound by hand, and may move them to CPUs "
        f"{exposed}, which are for a vCPU or a PMD thread alone",
        changes=(ServiceState(name="irqbalance", active=False, enabled=False),),
    )


def _banned(service: Service) -> CpuSet:
    match = _BANNED.search(service.detail or "")
    if match is None:
        return CpuSet()
    try:
        return (CpuSet.parse if match[1] == "CPULIST" else CpuSet.parse_mask)(match[2])
    except ValueError:
        return CpuSet()


def _tuned(host: Host, _: Host, wanted: Wanted) -> Outcome:
    service = _state(host, "tuned")
    if not isinstance(service, Service):
        return service
    if service.detail is None:
        return Unknown("the active profile of TuneD")
    slow = [name for name in service.detail.split() if name in SLOW_PROFILES]
    if not slow:
        return Ok(service.detail)
    return Wrong(
        found=service.detail,
        wanted="virtual-host",
        reason=f"{listed(slow)} saves power, and comes back at every start of TuneD",
    )


def _numad(host: Host, _: Host, wanted: Wanted) -> Outcome:
    reason = "it moves processes and their memory between nodes: {guests} are bound already"
    return _inactive(host, "numad", reason)


def _ksmtuned(host: Host, _: Host, wanted: Wanted) -> Outcome:
    needed = more_than_memory(host)
    if needed is not None:
        return NotApplicable(needed)
    reason = "it starts KSM when memory gets short, beside guests bound to nodes: {guests}"
    return _inactive(host, "ksmtuned", reason)


def _inactive(host: Host, name: str, reason: str) -> Outcome:
    service = _state(host, name)
    if isinstance(service, NotApplicable):
        return Ok(service.why)
    if isinstance(service, Unknown):
        return service
    guests = listed(guest.name for guest in bound_guests(host))
    return Wrong(
        found="active",
        wanted="inactive",
        reason=reason.replace("{guests}", guests),
        changes=(ServiceState(name=name, active=False, enabled=False),),
    )


ITEMS = (
    Item(
        id="service.irqbalance",
        title="irqbalance keeps off the pCPUs of guests and PMD threads",
        layer="host",
        platforms=("kvm", "openstack", "ovirt", "ovs"),
        severity="advice",
        takes_effect="service restart",
        risk="interrupts stay where they are; bind those of the NICs (irq.nic_node), or all may "
        "fall on a few CPUs",
        effect=NO_FIGURE,
        why=(
            "irqbalance moves interrupts every ten seconds, and takes back what was bound by hand. "
            "Huawei's guides stop it before they bind interrupts. It knows isolated CPUs, but not "
            "pinned guests; where only a few CPUs must be kept clear, a list of banned CPUs is the "
            "gentler way. Without pinned guests it is right to let it run."
        ),
        sources=(
            NIC_GUIDE,
            "irqbalance(1): https://github.com/Irqbalance/irqbalance",
        ),
        by_hand=(
            "systemctl disable --now irqbalance\n"
            "# or IRQBALANCE_BANNED_CPULIST=CPUS in /etc/default/irqbalance (RPM: /etc/sysconfig), "
            "and restart it"
        ),
        undo_by_hand="systemctl enable --now irqbalance",
        applies=(BUSY_CPUS,),
        subjects=HOST,
        judge=_irqbalance,
    ),
    Item(
        id="service.tuned",
        title="TuneD has a profile for a host of guests",
        layer="host",
        platforms=("kvm", "openstack", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="a profile changes many settings at once, transparent huge pages among them",
        effect=NO_FIGURE,
        why=(
            "The profile of an installation is chosen by what the machine was then. Power-saving "
            "profiles slow guests down. virtual-host is TuneD's own for KVM; it does not pin, "
            "reserve huge pages or touch NUMA balancing, and it sets transparent huge pages to "
            "always, which memory.thp advises against beside static ones: set that afterwards, or "
            "in a profile of your own that includes virtual-host."
        ),
        sources=(TUNED,),
        by_hand="tuned-adm profile virtual-host",
        undo_by_hand="tuned-adm profile OLD",
        conflicts=("memory.thp",),
        applies=(RUNNING_GUESTS,),
        subjects=HOST,
        judge=_tuned,
    ),
    Item(
        id="service.numad",
        title="numad does not run beside guests that are bound to NUMA nodes",
        layer="host",
        platforms=("kvm", "openstack", "ovirt"),
        severity="warning",
        takes_effect="service restart",
        risk="guests with placement auto are no longer advised at their start",
        effect=NO_FIGURE,
        why=(
            "numad binds processes to nodes by what it sees of their load, QEMU among them, and "
            "migrates their memory: two hands at one wheel where libvirt has pinned the guest. "
            "libvirt asks numad for advice at the start of guests with placement='auto' without "
            "the service running."
        ),
        sources=(
            "Red Hat Enterprise Linux 7, virtualization tuning, NUMA: https://docs.redhat.com/en/"
            "documentation/red_hat_enterprise_linux/7/html/"
            "virtualization_tuning_and_optimization_guide/"
            "chap-virtualization_tuning_optimization_guide-numa",
        ),
        by_hand="systemctl disable --now numad",
        undo_by_hand="systemctl enable --now numad",
        applies=(BOUND_GUESTS,),
        subjects=HOST,
        judge=_numad,
    ),
    Item(
        id="service.ksmtuned",
        title="ksmtuned does not run beside guests that are bound to NUMA nodes",
        layer="host",
        platforms=("kvm", "openstack", "ovirt"),
        severity="advice",
        takes_effect="service restart",
        risk="on a host with more guests than memory, KSM is missed when memory gets short",
        effect=NO_FIGURE,
        why=(
            "ksmtuned starts KSM when free memory falls below a limit, and makes it scan faster: "
            "whoever switches KSM off must stop it too. Guests on huge pages are not merged, so a "
            "host of such guests loses nothing. Leave it where guests have more memory than the "
            "host."
        ),
        sources=(KSM, "Red Hat Enterprise Linux 7, KSM and the ksmtuned service"),
        by_hand="systemctl disable --now ksmtuned",
        undo_by_hand="systemctl enable --now ksmtuned",
        applies=(BOUND_GUESTS,),
        subjects=HOST,
        judge=_ksmtuned,
    ),
)
