"""Items on the kernel's isolation of CPUs and its halt polling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtboost.catalogue.commands import with_arguments
from virtboost.catalogue.conditions import ISOLATED, RUNNING_GUESTS
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
from virtboost.catalogue.sources import KERNEL_PARAMETERS
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import ModuleParameter
from virtboost.model.container import Container
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host

_FLAGS = frozenset({"domain", "nohz", "managed_irq"})
"""Words before the list of ``isolcpus=`` (kernel-parameters.txt)."""

_ARGUMENTS = ("isolcpus", "nohz_full", "rcu_nocbs")

HALT_POLL_DEFAULTS = {"aarch64": "500000", "x86_64": "200000"}
"""``KVM_HALT_POLL_NS_DEFAULT`` of arch/arm64 and arch/x86, include/asm/kvm_host.h."""


def _cpus(host: Host, name: str) -> CpuSet | None:
    """Return what an argument names; nothing where it is not there.

    Raises:
        ValueError: It is written in a form that only the kernel reads, or stands there twice.
    """
    texts = host.kernel.arguments(name)
    if not texts:
        return None
    words = texts[0].split(",")
    flags = {word for word in words if word in _FLAGS}
    if len(texts) > 1:
        raise ValueError(f"{name} stands there {len(texts)} times")
    if name == "isolcpus" and flags and "domain" not in flags:
        return None
    return CpuSet.parse(",".join(word for word in words if word not in flags))


def _isolation(host: Host, _: Host, wanted: Wanted) -> Outcome:
    found = " ".join(f"{n}={text}" for n in _ARGUMENTS for text in host.kernel.arguments(n))
    try:
        asked = {name: _cpus(host, name) for name in _ARGUMENTS}
    except ValueError:
        return Unknown(f"which CPUs are meant by {found}")
    problems = [*_refused(host, asked), *_uneven(host, asked)]
    if not problems:
        return Ok(found)
    return Wrong(
        found=found,
        wanted="lists that name the same CPUs and that the kernel takes",
        reason="; ".join(problems),
    )


def _refused(host: Host, asked: dict[str, CpuSet | None]) -> Iterator[str]:
    topology = host.topology
    present = topology.online | topology.offline
    boot = CpuSet(list(topology.online)[:1])
    told = {"isolcpus": topology.isolated, "nohz_full": topology.nohz_full}
    for name, in_force in told.items():
        # The boot CPU keeps the time, so a kernel may take it out of either list.
        missing = ((asked[name] or CpuSet()) & present) - in_force - boot
        if missing:
            yield f"the kernel did not take {name} for CPUs {missing}"


def _uneven(host: Host, asked: dict[str, CpuSet | None]) -> Iterator[str]:
    isolated, tickless, callbacks = (asked[name] for name in _ARGUMENTS)
    boot = CpuSet(list(host.topology.online)[:1])
    if isolated is None:
        return
    if tickless is not None and (isolated - boot) != (tickless - boot):
        odd = (isolated - tickless) | (tickless - isolated)
        yield f"CPUs {odd} are in one of isolcpus and nohz_full only"
    offloaded = (callbacks or CpuSet()) | (tickless or CpuSet())
    if callbacks is not None and not isolated - boot <= offloaded:
        yield f"RCU callbacks stay on CPUs {isolated - boot - offloaded}, which are isolated"


def _pinned_containers(host: Host) -> Sequence[tuple[str, Container]]:
    return [(each.name, each) for each in host.containers if each.cpuset]


def _isolated_container(host: Host, container: Container, wanted: Wanted) -> Outcome:
    cpus = container.cpuset or CpuSet()
    if len(cpus) < 2 or not cpus <= host.topology.isolated:
        return Ok(f"CPUs {cpus}")
    return Wrong(
        found=f"CPUs {cpus}, all isolated",
        wanted="CPUs that are not isolated, or threads that pin themselves",
        reason="the scheduler does not balance isolated CPUs: threads that do not pin themselves "
        f"all stay on CPU {cpus.first}",
    )


def _halt_poll(host: Host, _: Host, wanted: Wanted) -> Outcome:
    vcpus = sum(guest.vcpu_count for guest in host.running_guests if guest.accelerated)
    if not vcpus:
        return NotApplicable("KVM runs no guest")
    found = host.kernel.module_parameters.get("kvm", {}).get("halt_poll_ns")
    if found is None:
        return Unknown("kvm.halt_poll_ns")
    if wanted.accepts(found):
        return Ok(found)
    if vcpus > len(host.topology.online):
        return NotApplicable(f"{vcpus} vCPUs share {len(host.topology.online)} CPUs")
    value = wanted.value or HALT_POLL_DEFAULTS.get(host.arch or "")
    takes = value is not None and wanted.accepts(value)
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="every wake-up of a vCPU goes through the scheduler, although each could have a "
        "CPU of its own",
        changes=(ModuleParameter(module="kvm", name="halt_poll_ns", value=value),)
        if value is not None and takes
        else (),
    )


ISOLATION = Condition(
    when="isolcpus=, nohz_full= or rcu_nocbs= is on the kernel command line",
    otherwise="the kernel command line isolates no CPU",
    holds=lambda host: any(host.kernel.arguments(name) for name in _ARGUMENTS),
    gap="kernel command line",
)


ITEMS = (
    Item(
        id="kernel.isolation",
        title="isolcpus, nohz_full and rcu_nocbs agree, and the kernel takes them",
        layer="kernel",
        platforms=("kvm", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="reboot",
        risk="an isolated CPU is used only by what is pinned to it",
        effect=NO_FIGURE,
        why=(
            "A mistake in one of these lists costs what the others were meant to bring, in "
            "silence: a list that the kernel cannot read is dropped whole, nohz_full needs a "
            "kernel built for it, and a CPU in one list but not in the other is half isolated. "
            "nohz_full without isolcpus is not a mistake: TuneD's cpu-partitioning works so."
        ),
        sources=(
            KERNEL_PARAMETERS,
            "Linux, NO_HZ: https://docs.kernel.org/timers/no_hz.html",
        ),
        by_hand=with_arguments("isolcpus=CPUS nohz_full=CPUS rcu_nocbs=CPUS"),
        undo_by_hand=with_arguments("isolcpus=OLD nohz_full=OLD rcu_nocbs=OLD"),
        applies=(ISOLATION,),
        subjects=HOST,
        judge=_isolation,
    ),
    Item(
        id="kernel.isolated_container",
        title="No container floats over isolated CPUs",
        layer="container",
        platforms=("docker", "kubernetes"),
        severity="warning",
        takes_effect="live",
        risk="the container leaves CPUs that were meant for it",
        effect=NO_FIGURE,
        why=(
            "A container with a cpuset of several isolated CPUs gets one of them: the scheduler "
            "does not balance isolated CPUs, so its threads stay where they start. Programs that "
            "pin their own threads (DPDK) are right there, and the only ones that are."
        ),
        sources=(KERNEL_PARAMETERS,),
        by_hand="docker update --cpuset-cpus CPUS CONTAINER  # CPUs that are not isolated",
        undo_by_hand="docker update --cpuset-cpus OLD CONTAINER",
        applies=(ISOLATED,),
        subjects=Subjects(
            kind="container",
            select=_pinned_containers,
            none="no container has a cpuset",
            gap="containers",
        ),
        judge=_isolated_container,
    ),
    Item(
        id="kernel.halt_poll",
        title="KVM polls a moment before a vCPU sleeps",
        layer="kernel",
        platforms=("kvm", "openstack", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="idle vCPUs take more CPU time and power on the host",
        effect=Effect(
            figure="TCP_RR latency 34 us without polling, 26.7 us with it",
            conditions="KVM on x86, one pinned vCPU, dynamic polling, Linux 4.3",
            source='Linux commit aca6ff29c406 ("KVM: dynamic halt-polling") (in v4.3)',
        ),
        why=(
            "KVM's default polls for a short, self-adjusting time when a vCPU goes idle, and stops "
            "at once when another task wants the CPU. Somebody who set halt_poll_ns to 0 saved "
            "power and paid with latency. It does not apply where vCPUs outnumber CPUs: there the "
            "time is better spent on others. A guest with the haltpoll governor polls by itself."
        ),
        sources=(
            "Linux, the KVM halt polling system: "
            "https://docs.kernel.org/virt/kvm/halt-polling.html",
        ),
        by_hand="echo 200000 > /sys/module/kvm/parameters/halt_poll_ns  # 500000 on aarch64",
        undo_by_hand="echo 0 > /sys/module/kvm/parameters/halt_poll_ns",
        applies=(RUNNING_GUESTS,),
        subjects=HOST,
        wanted=Wanted("> 0"),
        judge=_halt_poll,
    ),
)
