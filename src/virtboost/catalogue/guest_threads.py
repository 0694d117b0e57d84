"""Items on the other threads of a guest, and on locks and interrupts between its vCPUs."""

from __future__ import annotations

import re

from virtboost.catalogue.commands import with_arguments
from virtboost.catalogue.conditions import ARM, RUNNING_GUESTS, dedicated
from virtboost.catalogue.guest import (
    FLOATS,
    GUESTS,
    PIN,
    PLATFORMS,
    UNPIN,
    X86,
    by_virsh,
    floating_guests,
    pinned_vcpus,
    spare_cpus,
)
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Condition,
    Effect,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import (
    AUTO_TOPOLOGY,
    GICV4_OVERSUBSCRIPTION,
    GICV4_REPORT,
    INTERRUPT_GUIDE,
    KVM_GUIDE,
    KVM_HINTS,
    LIBVIRT_DOMAIN,
    LOCK_OPTIMIZATION,
    OSP_TUNING,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import GuestEmulatorPin, GuestIothreadPin
from virtboost.model.cpuset import CpuSet
from virtboost.model.guest import MOST_VCPUS, Guest
from virtboost.model.host import Host
from virtboost.model.wording import listed

VIRTIO_BUSES = ("virtio", "scsi")


def _gicv4(host: Host) -> bool:
    """Tell whether KVM injects interrupts through GICv4.1.

    The switch does nothing on a Kunpeng 920, whose GIC is older (BoostVirt, interrupt passthrough).
    """
    values = host.kernel.arguments("kvm-arm.vgic_v4_enable")
    on = bool(values) and values[-1] in ("1", "y", "Y", "on")
    return on and host.arch == "aarch64" and host.cpu.generation != "Kunpeng 920"


GICV4 = Condition(
    when="GICv4.1 is on (kvm-arm.vgic_v4_enable=1)",
    otherwise="GICv4.1 is not on",
    holds=_gicv4,
    gap="kernel command line",
)


# Emulator and I/O threads.


def _vcpu_cpus(host: Host, guest: Guest) -> CpuSet:
    running = host.running_guests
    return CpuSet(pinned_vcpus(running if guest in running else (guest,)))


def _emulator(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not dedicated(guest):
        return NotApplicable(FLOATS)
    vcpus = _vcpu_cpus(host, guest)
    cpus = guest.emulator_pins or guest.cpuset
    if cpus is None:
        return _apart(host, guest, "no pin: all pCPUs of the host", host.topology.online & vcpus)
    return _apart(host, guest, f"pCPUs {cpus}", cpus & vcpus)


def _apart(host: Host, guest: Guest, found: str, shared: CpuSet) -> Outcome:
    if not shared:
        return Ok(found)
    spare = spare_cpus(host, guest)
    change = GuestEmulatorPin(guest=guest.name, cpus=spare)
    return Wrong(
        found=f"{found}; vCPUs are pinned to {shared}",
        wanted=f"pCPUs {spare}" if spare else "pCPUs without vCPUs",
        reason="whatever QEMU's main loop does takes time from a vCPU that cannot move away",
        changes=by_virsh(host, change) if spare else (),
    )


def _emulator_apart(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if _gicv4(host):
        return NotApplicable("GICv4.1 is on: guest.emulator_gicv4 looks at this")
    return _emulator(host, guest, wanted)


def _iothread_pins(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if not guest.iothread_count:
        return NotApplicable("it has no I/O threads")
    if not dedicated(guest):
        return NotApplicable(FLOATS)
    vcpus, spare = _vcpu_cpus(host, guest), spare_cpus(host, guest)
    threads = sorted(guest.iothread_pins) or range(1, min(guest.iothread_count, MOST_VCPUS) + 1)
    pins = {thread: guest.iothread_pins.get(thread) or guest.cpuset for thread in threads}
    bad = {
        thread: cpus
        for thread, cpus in pins.items()
        if not (host.topology.online if cpus is None else cpus).isdisjoint(vcpus)
    }
    if not bad:
        return Ok(listed(f"I/O thread {thread} on {cpus}" for thread, cpus in pins.items()))
    changes = (
        GuestIothreadPin(guest=guest.name, iothread=thread, cpus=spare) for thread in bad if spare
    )
    return Wrong(
        found=listed(
            f"I/O thread {thread} on {'all pCPUs' if cpus is None else cpus}"
            for thread, cpus in bad.items()
        ),
        wanted=f"pCPUs {spare}" if spare else "pCPUs without vCPUs",
        reason="an I/O thread polls: on a vCPU's pCPU it takes the time that its own guest needs",
        changes=by_virsh(host, *changes),
    )


def _iothreads(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if host.agent("nova-compute") is not None:
        return NotApplicable("Nova decides on its I/O threads")
    if not dedicated(guest):
        return NotApplicable(FLOATS)
    disks = [d for d in guest.disks if d.bus in VIRTIO_BUSES and d.device in ("disk", "lun")]
    if not disks:
        return NotApplicable("it has no virtio disk")
    without = [disk.target for disk in disks if disk.iothread is None]
    threads = f"{guest.iothread_count} I/O thread{'' if guest.iothread_count == 1 else 's'}"
    if not without:
        return Ok(f"{threads} for {len(disks)} disks")
    return Wrong(
        found=f"{threads}, none for {listed(without)}",
        wanted="an I/O thread for each disk",
        reason="QEMU's main loop serves these disks, together with everything else that it does",
    )


# Interrupts and locks where vCPUs wait for each other.


_SP3 = re.compile(r"\.oe2403sp(\d)")


def _gicv4_floating(host: Host, _: Host, wanted: Wanted) -> Outcome:
    floating = floating_guests(host)
    if not floating:
        return Ok("no running guest floats")
    release = host.kernel.release
    if release is None:
        return Unknown("the kernel's release, which tells whether it has the patch")
    service_pack = _SP3.search(release)
    if service_pack is not None and int(service_pack[1]) >= 3:
        return Ok(f"{len(floating)} guests float on {release}, which has the patch")
    return Wrong(
        found=f"{len(floating)} guests float: {listed(guest.name for guest in floating)}",
        wanted="1:1 pins, or a patched kernel",
        reason="each move of a vCPU sends a VMOVP under one lock of the whole host",
    )


def _overcommitted(host: Host) -> tuple[int, int]:
    vcpus = sum(guest.vcpu_count for guest in floating_guests(host))
    pinned = CpuSet(pinned_vcpus(host.running_guests))
    return vcpus, len(host.topology.online - pinned)


def _pv_locks(host: Host, _: Host, wanted: Wanted) -> Outcome:
    vcpus, room = _overcommitted(host)
    if vcpus <= room:
        return NotApplicable(f"{vcpus} floating vCPUs on {room} pCPUs: vCPUs are not preempted")
    distribution = host.kernel.distribution
    if distribution is None:
        return Unknown("the distribution, which tells whether the kernel has PV-sched")
    if distribution.lower() == "openeuler":
        return Ok(f"{vcpus} vCPUs on {room} pCPUs, openEuler: PV-sched is on by default")
    return Wrong(
        found=f"{vcpus} vCPUs on {room} pCPUs, {distribution} without PV-sched",
        wanted="a kernel with PV-sched",
        reason="a vCPU spins for a lock whose holder does not run",
    )


def _hint_dedicated(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    if guest.features.get("kvm.hint-dedicated") != "on":
        return NotApplicable("it has no hint-dedicated")
    if dedicated(guest):
        return Ok("hint-dedicated, and a pCPU for each vCPU")
    floating = listed(str(v) for v in guest.vcpu_ids if len(guest.vcpu_pins.get(v, ())) != 1)
    return Wrong(
        found=f"hint-dedicated, and vCPUs {floating} float",
        wanted="a pCPU for each vCPU",
        reason="the guest was told that its vCPUs are never preempted: it spins for locks instead "
        "of giving up the pCPU",
    )


EMULATOR_PIN = "virsh emulatorpin GUEST CPUS --live --config  # CPUs: pCPUs without vCPUs"

EMULATOR_UNPIN = (
    "virsh emulatorpin GUEST CPUS --live --config  # what virsh emulatorpin GUEST told before"
)


ITEMS = (
    Item(
        id="guest.emulator_apart",
        title="Emulator threads apart from pinned vCPUs",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="the pCPUs for emulator threads become busy: keep enough of them",
        effect=NO_FIGURE,
        why=(
            "The 2021 KVM guide does the opposite: it pins emulator threads to the pCPUs of the "
            "vCPUs, which keeps a guest inside its cpuset and costs little while QEMU's main loop "
            "is idle. With virtual disks and NICs it is not, and then each exit that it handles "
            "delays a vCPU; packet processing and real time notice first. Where all pCPUs are "
            "sold to guests, follow the 2021 guide. With Nova, the flavor says "
            "hw:emulator_threads_policy=share (or isolate, which takes a pCPU for each guest)."
        ),
        sources=(OSP_TUNING, INTERRUPT_GUIDE, KVM_GUIDE),
        by_hand=EMULATOR_PIN,
        undo_by_hand=EMULATOR_UNPIN,
        subjects=GUESTS,
        judge=_emulator_apart,
    ),
    Item(
        id="guest.emulator_gicv4",
        title="Emulator threads apart from vCPUs under GICv4.1",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="the pCPUs for emulator threads become busy: keep enough of them",
        effect=NO_FIGURE,
        why=(
            "The interrupt passthrough guide says that overlapping ranges of vcpupin and "
            "emulatorpin degrade performance with GICv4.1. The 2021 KVM guide, written for a "
            "GIC without it, pins emulator threads onto the vCPUs' pCPUs: both are official, and "
            "only one fits this host."
        ),
        sources=(INTERRUPT_GUIDE, KVM_GUIDE),
        by_hand=EMULATOR_PIN,
        undo_by_hand=EMULATOR_UNPIN,
        rule="R1",
        applies=(GICV4,),
        subjects=GUESTS,
        judge=_emulator,
    ),
    Item(
        id="guest.iothread_pins",
        title="I/O threads apart from pinned vCPUs",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="several I/O threads share the pCPUs that are left",
        effect=NO_FIGURE,
        why=(
            "An I/O thread without a pin inherits the cpuset of the guest, or all pCPUs. It polls "
            "before it sleeps, so it competes with a vCPU even when there is little I/O. The "
            "example of automatic topology keeps pCPUs 0-3 for four I/O threads and 4-31 for "
            "vCPUs."
        ),
        sources=(AUTO_TOPOLOGY, LIBVIRT_DOMAIN),
        by_hand="virsh iothreadpin GUEST THREAD CPUS --live --config",
        undo_by_hand="virsh iothreadpin GUEST THREAD OLD-CPUS --live --config",
        subjects=GUESTS,
        judge=_iothread_pins,
    ),
    Item(
        id="guest.iothreads",
        title="Disks of a pinned guest have I/O threads",
        layer="guest",
        platforms=("kvm", "ovirt"),
        severity="advice",
        takes_effect="guest restart",
        risk="one more thread, which needs a pCPU; one or two for each pCPU of the host at most",
        effect=NO_FIGURE,
        why=(
            "Without an I/O thread, QEMU's main loop does the disk's I/O, under one lock with all "
            "other devices. It matters for guests with much I/O and pCPUs to spare; a small or "
            "idle guest gains nothing, so only guests with pinned vCPUs are looked at. "
            "<iothreads> alone is not enough: each disk (or the virtio-scsi controller) names its "
            "thread."
        ),
        sources=(LIBVIRT_DOMAIN, AUTO_TOPOLOGY),
        by_hand=(
            "virsh edit GUEST  # <iothreads>1</iothreads>, and in each disk: "
            "<driver name='qemu' iothread='1'/>"
        ),
        undo_by_hand="virsh edit GUEST  # take iothread='1' and <iothreads> out",
        subjects=GUESTS,
        judge=_iothreads,
    ),
    Item(
        id="guest.gicv4_floating",
        title="No floating guests under GICv4.1 without the VMOVP patch",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="reboot",
        risk="without GICv4.1, interrupts of passed-through devices exit to the host again",
        effect=NO_FIGURE,
        why=(
            "GICv4.1 is right for pinned guests. With vCPUs that move, each move needs a VMOVP, "
            "under a global lock: about 50 guests of 4 vCPUs with many exits kept their pCPUs at "
            "100 % system time, and GICv3 did not. openEuler 24.03 SP3 skips the command where "
            "both pCPUs share a table."
        ),
        sources=(GICV4_REPORT, GICV4_OVERSUBSCRIPTION),
        by_hand=PIN + "\n# or, for the next boot:\n" + with_arguments("kvm-arm.vgic_v4_enable=0"),
        undo_by_hand=UNPIN + "\n" + with_arguments("kvm-arm.vgic_v4_enable=1"),
        rule="R2",
        applies=(GICV4, RUNNING_GUESTS),
        subjects=HOST,
        judge=_gicv4_floating,
    ),
    Item(
        id="guest.pv_locks",
        title="Overcommitted aarch64 hosts tell guests which vCPUs run (PV-sched)",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="reboot",
        risk="guests that use it cannot be migrated live",
        effect=Effect(
            figure="about 40 % UnixBench",
            conditions="guest of 8 vCPUs, two vCPUs a pCPU, openEuler on both sides",
            source="Kunpeng BoostKit, features of virtualization",
        ),
        why=(
            "A vCPU that spins for a lock cannot see that the holder's vCPU was preempted; with "
            "PV-sched it can, and leaves the wait. Pinned guests do not need it, and it conflicts "
            "with live migration: who must migrate does without. openEuler has it since 20.03 "
            "SP1; other kernels need eight patches, in host and guest."
        ),
        sources=(LOCK_OPTIMIZATION,),
        by_hand="# boot openEuler's kernel in host and guest, then there:\ndmesg | grep 'PV sched'",
        undo_by_hand="# boot the kernel from before",
        rule="R4",
        applies=(ARM, RUNNING_GUESTS),
        subjects=HOST,
        judge=_pv_locks,
    ),
    Item(
        id="guest.hint_dedicated",
        title="hint-dedicated only where each vCPU has a pCPU",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="none: the guest goes back to paravirtual locks",
        effect=NO_FIGURE,
        why=(
            "The hint promises a guest that its vCPUs are never preempted for long. It then "
            "uses plain spinlocks and polls when idle, which is right with pins and wrong where "
            "vCPUs wait for each other. That a pinned guest has no such hint is no finding: "
            "nobody published what it brings."
        ),
        sources=(KVM_HINTS, LIBVIRT_DOMAIN),
        by_hand="virsh edit GUEST  # take <hint-dedicated state='on'/> out of <features><kvm>",
        undo_by_hand="virsh edit GUEST  # <features><kvm><hint-dedicated state='on'/></kvm>",
        applies=(X86,),
        subjects=GUESTS,
        judge=_hint_dedicated,
    ),
)
