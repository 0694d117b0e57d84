"""Items on frequency and idle states."""

from __future__ import annotations

from virtboost.catalogue.conditions import DEDICATED_GUESTS, WORKLOADS
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
from virtboost.catalogue.sources import TUNED
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import Change, Governor, KernelFile
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.host import Host
from virtboost.model.wording import listed

DYNAMIC_POWERSAVE = frozenset({"intel_pstate", "amd-pstate-epp"})
"""Drivers whose ``powersave`` scales with the load (intel_pstate.rst, amd-pstate.rst); every other
driver's is the lowest frequency."""


def _stuck(host: Host) -> CpuSet:
    """Return the CPUs that stay at their lowest frequency."""
    if host.power.frequency_driver in DYNAMIC_POWERSAVE:
        return CpuSet()
    return host.power.governors.get("powersave", CpuSet())


def _governor_text(host: Host) -> str:
    said = listed(f"{name} on CPUs {cpus}" for name, cpus in host.power.governors.items())
    driver = host.power.frequency_driver
    return f"{said} ({driver})" if driver else said


def _governor(host: Host, _: Host, wanted: Wanted) -> Outcome:
    governors, stuck = host.power.governors, _stuck(host)
    if not governors:
        return NotApplicable("the kernel does not scale the frequency")
    if "unknown" in governors:
        return Unknown(f"the governor of CPUs {governors['unknown']}")
    slow = union(cpus for name, cpus in governors.items() if not wanted.accepts(name)) - stuck
    if not slow and stuck:
        return NotApplicable("power.lowest_frequency tells what is wrong")
    if not slow:
        return Ok(_governor_text(host))
    return Wrong(
        found=_governor_text(host),
        wanted=wanted.text,
        reason=f"CPUs {slow} rise from a lower frequency when work comes, after the work",
        changes=_governor_changes(host, slow, wanted.value),
    )


def _lowest(host: Host, _: Host, wanted: Wanted) -> Outcome:
    if not host.power.governors:
        return NotApplicable("the kernel does not scale the frequency")
    if host.power.frequency_driver is None:
        return Unknown("the frequency driver")
    stuck = _stuck(host)
    if not stuck:
        return Ok(_governor_text(host))
    return Wrong(
        found=_governor_text(host),
        wanted="a governor that follows the load, or performance",
        reason=f"with {host.power.frequency_driver}, powersave keeps CPUs {stuck} at their lowest "
        "frequency whatever they do",
        changes=_governor_changes(host, stuck, "performance"),
    )


def _governor_changes(host: Host, cpus: CpuSet, governor: str | None) -> tuple[Change, ...]:
    if governor is None or governor not in host.power.available_governors:
        return ()
    return (Governor(cpus=cpus, governor=governor),)


def _idle_states(host: Host, _: Host, wanted: Wanted) -> Outcome:
    power, online = host.power, host.topology.online
    if not power.idle_states:
        return NotApplicable("the kernel has no idle states to choose from")
    if all(state.latency_us is None for state in power.idle_states):
        return Unknown("the exit latency of the idle states")
    deep = [
        (index, state, online - state.disabled_cpus)
        for index, state in enumerate(power.idle_states)
        if state.latency_us is not None
        and not wanted.accepts(str(state.latency_us))
        and online - state.disabled_cpus
    ]
    states = listed((f"{s.name} {s.latency_us} us" for s in power.idle_states), limit=8)
    if not deep:
        return Ok(states)
    return Wrong(
        found=listed(f"{state.name} ({state.latency_us} us)" for _, state, _ in deep),
        wanted=f"{wanted.text} us",
        reason=f"a vCPU on CPUs {union(cpus for *_, cpus in deep)} that wakes from there waits "
        "that long",
        changes=tuple(
            KernelFile(
                path=f"/sys/devices/system/cpu/cpu{cpu}/cpuidle/state{index}/disable", value="1"
            )
            for index, _, cpus in deep
            for cpu in cpus
        ),
    )


ITEMS = (
    Item(
        id="power.governor",
        title="CPUs run at full frequency where guests or containers run",
        layer="kernel",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="advice",
        takes_effect="live",
        risk="more power and heat; less room for the turbo of single cores",
        effect=NO_FIGURE,
        why=(
            "A vCPU that sleeps looks like an idle CPU, so governors that follow the load lag "
            "behind guests that work in short bursts. TuneD's virtual-host profile sets "
            "performance. The gain is small where the firmware decides the frequency anyway "
            "(intel_pstate with HWP), and not worth it where power is what limits the host."
        ),
        sources=(
            TUNED,
            "Linux, CPU performance scaling: https://docs.kernel.org/admin-guide/pm/cpufreq.html",
        ),
        by_hand="cpupower frequency-set -g performance",
        undo_by_hand="cpupower frequency-set -g OLD",
        applies=(WORKLOADS,),
        subjects=HOST,
        wanted=Wanted("performance"),
        judge=_governor,
    ),
    Item(
        id="power.lowest_frequency",
        title="No CPU is kept at its lowest frequency",
        layer="kernel",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="live",
        risk="more power and heat",
        effect=NO_FIGURE,
        why=(
            "powersave means the lowest frequency, always, with every driver but intel_pstate and "
            "amd-pstate in its active mode. On a server it is nearly always left over."
        ),
        sources=(
            "Linux, CPU performance scaling: https://docs.kernel.org/admin-guide/pm/cpufreq.html",
            "Linux, intel_pstate: https://docs.kernel.org/admin-guide/pm/intel_pstate.html",
        ),
        by_hand="cpupower frequency-set -g performance",
        undo_by_hand="cpupower frequency-set -g OLD",
        applies=(WORKLOADS,),
        subjects=HOST,
        judge=_lowest,
    ),
    Item(
        id="power.idle_states",
        title="No deep idle state under guests that have their own pCPUs",
        layer="kernel",
        platforms=("kvm", "openstack", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="more power; on x86, cores that never sleep leave less turbo for the others",
        effect=NO_FIGURE,
        why=(
            "A vCPU that waits for the network or for another vCPU lets its pCPU fall asleep, and "
            "pays the exit latency at every wake-up. TuneD's virtual-host profile allows states "
            "up to C3, or 70 us where there is no C3. Hosts that are busy gain nothing, hosts that "
            "live on turbo lose."
        ),
        sources=(
            TUNED,
            "Linux, CPU idle time: https://docs.kernel.org/admin-guide/pm/cpuidle.html",
        ),
        by_hand="cpupower idle-set -D 70",
        undo_by_hand="cpupower idle-set -E",
        applies=(DEDICATED_GUESTS,),
        subjects=HOST,
        wanted=Wanted("<= 70"),
        judge=_idle_states,
    ),
)
