"""Items on pCPUs that guests share: with each other, with the host, too many on too few."""

from __future__ import annotations

from virtboost.catalogue.conditions import (
    DEDICATED_GUESTS,
    ISOLATED,
    RUNNING_GUESTS,
    given_cpus,
    vcpu_cpus,
)
from virtboost.catalogue.guest import (
    GUESTS,
    PIN,
    PLATFORMS,
    SMT,
    UNPIN,
    Vcpu,
    affinity,
    by_virsh,
    floating_guests,
    one_to_one,
    pinned_vcpus,
    reach,
)
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Condition,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Wrong,
)
from virtboost.catalogue.sources import (
    KERNEL_PARAMETERS,
    KVM_GUIDE,
    NOVA_CONFIG,
    OSP_NFV,
    OVERVIEW_FIGURE,
    TOPOLOGY_AWARENESS,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import Change, GuestVcpuPin
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.wording import listed

NO_PCPU = "no vCPU of it is pinned to one pCPU"


def _neighbours(host: Host, guest: Guest) -> dict[int, list[Vcpu]]:
    """Return the vCPUs with a pCPU, by pCPU, that run when ``guest`` runs.

    A guest that is shut off is compared with itself only: it may be meant to run instead of
    another one.
    """
    running = host.running_guests
    return pinned_vcpus(running if guest in running else (guest,))


def _own_pins(guest: Guest) -> list[tuple[Vcpu, int]]:
    pins = sorted(guest.vcpu_pins.items())
    return [(Vcpu(guest.name, vcpu), pin.first) for vcpu, pin in pins if len(pin) == 1]


def _pcpu_shared(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    own, by_pcpu = _own_pins(guest), _neighbours(host, guest)
    if not own:
        return NotApplicable(NO_PCPU)
    clashes = [
        f"vCPU {vcpu.id} and {_named(other, guest)} share pCPU {pcpu}"
        for vcpu, pcpu in own
        for other in by_pcpu[pcpu]
        if other.guest != vcpu.guest or other.id > vcpu.id
    ]
    if not clashes:
        return Ok(f"{len(own)} vCPUs on pCPUs of their own")
    return Wrong(
        found=listed(clashes),
        wanted="one vCPU on each pCPU",
        reason="each gets half of the pCPU's time and cannot move away; one that holds a lock "
        "stops the other vCPUs of its guest",
    )


def _named(vcpu: Vcpu, guest: Guest) -> str:
    return f"vCPU {vcpu.id}" if vcpu.guest == guest.name else str(vcpu)


def _smt_shared(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    own, by_pcpu = _own_pins(guest), _neighbours(host, guest)
    if not own:
        return NotApplicable(NO_PCPU)
    core_of = {pcpu: core.cpus for core in host.topology.cores for pcpu in core.cpus}
    clashes = [
        f"vCPU {vcpu.id} on pCPU {pcpu} and {other} on pCPU {sibling} share a core"
        for vcpu, pcpu in own
        for sibling in core_of.get(pcpu, CpuSet())
        for other in by_pcpu.get(sibling, ())
        if other.guest != guest.name and sibling != pcpu
    ]
    if not clashes:
        return Ok(f"{len(own)} vCPUs on cores that no other guest is pinned to")
    return Wrong(
        found=listed(clashes),
        wanted="whole cores for each guest",
        reason="SMT siblings share the core's execution units and its L1: the guests slow and "
        "observe each other",
    )


def _floaters(host: Host, _: Host, wanted: Wanted) -> Outcome:
    owned = union(CpuSet((pcpu,)) for pcpu in pinned_vcpus(host.running_guests))
    if not owned:
        return NotApplicable("no vCPU of a running guest is pinned to one pCPU")
    # The scheduler moves nothing onto an isolated pCPU, whatever the affinity of a thread says.
    exposed = owned - host.topology.isolated
    floating = floating_guests(host)
    if not floating:
        return NotApplicable("no running guest floats")
    met = {guest.name: reach(host, guest) & exposed for guest in floating}
    inside = {name: cpus for name, cpus in met.items() if cpus}
    if not inside:
        return Ok(f"{len(floating)} floating guests stay off pCPUs {owned}")
    return Wrong(
        found=f"{listed(inside)} may run on pCPUs {union(inside.values())}",
        wanted=f"floating guests off pCPUs {owned}",
        reason="other guests have vCPUs pinned there, which cannot move away",
        changes=_confined(host, [guest for guest in floating if guest.name in inside], owned),
    )


def _confined(host: Host, guests: list[Guest], owned: CpuSet) -> tuple[Change, ...]:
    left = host.topology.online - owned - given_cpus(host)
    if any(guest.vcpu_count > len(left & reach(host, guest)) for guest in guests):
        return ()
    pins = (
        GuestVcpuPin(guest=guest.name, vcpu=vcpu, cpus=affinity(host, guest, vcpu) & left)
        for guest in guests
        for vcpu in guest.vcpu_ids
        if affinity(host, guest, vcpu) & left
    )
    return by_virsh(host, *pins)


def _isolated_float(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    isolated = host.topology.isolated
    pins = {vcpu: affinity(host, guest, vcpu) for vcpu in guest.vcpu_ids}
    inside = {vcpu: cpus for vcpu, cpus in pins.items() if cpus <= isolated}
    if not inside:
        return NotApplicable("none of its vCPUs is kept on isolated pCPUs")
    floating = {vcpu: cpus for vcpu, cpus in inside.items() if len(cpus) > 1}
    if not floating:
        return Ok(f"{len(inside)} vCPUs have an isolated pCPU each")
    return Wrong(
        found=listed(f"vCPU {vcpu} on {cpus}" for vcpu, cpus in floating.items()),
        wanted="one isolated pCPU for each vCPU",
        reason="the scheduler does not balance isolated pCPUs: vCPUs that start on one stay "
        "there together while the others are idle",
        changes=one_to_one(host, guest),
    )


def _vcpus_fit(host: Host, guest: Guest, wanted: Wanted) -> Outcome:
    cpus = reach(host, guest) & host.topology.online
    found = f"{guest.vcpu_count} vCPUs on {len(cpus)} pCPUs"
    if guest.vcpu_count <= len(cpus):
        return Ok(found)
    return Wrong(
        found=f"{found} ({cpus})",
        wanted=f"at most {len(cpus)} vCPUs",
        reason="its own vCPUs take time from each other: a spinning one keeps the one that holds "
        "the lock from running",
    )


def _overcommit(host: Host, _: Host, wanted: Wanted) -> Outcome:
    floating = floating_guests(host)
    if not floating:
        return NotApplicable("no running guest floats")
    vcpus = sum(guest.vcpu_count for guest in floating)
    room = union(reach(host, guest) for guest in floating) - vcpu_cpus(host)
    if not room:
        return NotApplicable("guest.floaters: they have only pCPUs that others are pinned to")
    ratio = vcpus / len(room)
    found = f"{vcpus} vCPUs on {len(room)} pCPUs, {ratio:.1f} a pCPU"
    if wanted.accepts(f"{ratio:.3f}"):
        return Ok(found)
    pressure = host.kernel.pressure.get("cpu")
    waited = (
        f" (somebody waited for a CPU in {pressure.some_avg60_percent:.0f} % of the last minute)"
        if pressure is not None
        else ""
    )
    return Wrong(
        found=found,
        wanted=f"{wanted.text} a pCPU",
        reason=f"floating guests wait for each other as soon as they are busy{waited}",
    )


# pCPUs for the host.


def _host_cpus(host: Host, _: Host, wanted: Wanted) -> Outcome:
    kept = host.topology.online - given_cpus(host)
    found = f"{len(kept)} ({kept})" if kept else "0"
    if wanted.accepts(str(len(kept))):
        return Ok(found)
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="the host's interrupts, vhost and emulator threads have nowhere to run but on "
        "pCPUs of pinned vCPUs",
    )


FIRST_CPUS = CpuSet(range(4))
"""What the 2021 guide keeps free on a Kunpeng 920: its first CPU cluster."""

KUNPENG_920 = Condition(
    when="the CPU is a Kunpeng 920",
    otherwise="the CPU is no Kunpeng 920",
    holds=lambda host: host.cpu.generation == "Kunpeng 920",
    gap="CPU identity",
)


def _first_cpus(host: Host, _: Host, wanted: Wanted) -> Outcome:
    taken = {
        pcpu: vcpus
        for pcpu, vcpus in pinned_vcpus(host.running_guests).items()
        if pcpu in FIRST_CPUS
    }
    if not taken:
        return Ok(f"pCPUs {FIRST_CPUS} carry no pinned vCPU")
    return Wrong(
        found=listed(f"{vcpus[0]} on pCPU {pcpu}" for pcpu, vcpus in sorted(taken.items())),
        wanted=f"no vCPU on pCPUs {FIRST_CPUS}",
        reason="interrupts and kernel threads that nobody placed land on the first pCPUs",
    )


ITEMS = (
    Item(
        id="guest.pcpu_shared",
        title="No two vCPUs pinned to one pCPU",
        layer="guest",
        platforms=PLATFORMS,
        severity="critical",
        takes_effect="live",
        risk="one of the guests has to move",
        effect=NO_FIGURE,
        why=(
            "Two pinned vCPUs on one pCPU get half of it each, even while other pCPUs are idle: a "
            "pin takes the scheduler's way out. It happens by copying a guest's XML, and by live "
            "migration of pinned guests with Nova before Train. Guests that are meant to share "
            "pCPUs float over a set of them instead."
        ),
        sources=(OVERVIEW_FIGURE, KVM_GUIDE),
        by_hand=PIN,
        undo_by_hand=UNPIN,
        subjects=GUESTS,
        judge=_pcpu_shared,
    ),
    Item(
        id="guest.smt_shared",
        title="No core shared by pinned vCPUs of two guests",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="guests take whole cores: an odd number of vCPUs leaves a pCPU unused",
        effect=NO_FIGURE,
        why=(
            "A core's two pCPUs are not two cores: what one guest does is taken from the other, "
            "and its L1 can be observed. With whole cores, each guest disturbs only itself. "
            "Where the pCPUs do not suffice, sharing cores is still better than sharing pCPUs."
        ),
        sources=(NOVA_CONFIG, OSP_NFV),
        by_hand=PIN,
        undo_by_hand=UNPIN,
        applies=(SMT,),
        subjects=GUESTS,
        judge=_smt_shared,
    ),
    Item(
        id="guest.floaters",
        title="Floating guests stay off the pCPUs of pinned guests",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="the floating guests share fewer pCPUs",
        effect=NO_FIGURE,
        why=(
            "A pin keeps a guest on its pCPUs; it keeps nobody else off them. A guest without "
            "pins may be scheduled there, and the pinned vCPU waits. pCPUs that are isolated "
            "(isolcpus) are not meant: the scheduler moves nothing onto them. The change narrows "
            "each floating vCPU to the pCPUs that nobody is pinned to, and is left out where too "
            "few remain."
        ),
        sources=(OVERVIEW_FIGURE, KVM_GUIDE, NOVA_CONFIG),
        by_hand="virsh vcpupin GUEST VCPU OTHER-CPUS --live --config  # each vCPU that floats",
        undo_by_hand=UNPIN,
        applies=(RUNNING_GUESTS,),
        subjects=HOST,
        judge=_floaters,
    ),
    Item(
        id="guest.isolated_float",
        title="No vCPU floats over isolated pCPUs",
        layer="guest",
        platforms=PLATFORMS,
        severity="critical",
        takes_effect="live",
        risk="none: the vCPUs stay on the pCPUs that they were given",
        effect=NO_FIGURE,
        why=(
            "isolcpus takes pCPUs out of the scheduler's balancing. vCPUs that may run on several "
            "of them are not spread over them: all of a guest's can end up on the first, with "
            "the rest idle. On isolated pCPUs, each thread needs a pCPU of its own."
        ),
        sources=(KERNEL_PARAMETERS,),
        by_hand=PIN,
        undo_by_hand=UNPIN,
        applies=(ISOLATED,),
        subjects=GUESTS,
        judge=_isolated_float,
    ),
    Item(
        id="guest.vcpus_fit",
        title="A guest has no more vCPUs than pCPUs to run on",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="guest restart",
        risk="a guest with fewer vCPUs has less to give to licences that count them",
        effect=NO_FIGURE,
        why=(
            "Overcommit between guests is a wager that they are not busy together. A guest that "
            "overcommits itself has lost it from the start: its vCPUs are busy together whenever "
            "it is, and wait for locks that a vCPU holds which does not run."
        ),
        sources=(NOVA_CONFIG,),
        by_hand="virsh setvcpus GUEST COUNT --config",
        undo_by_hand="virsh setvcpus GUEST OLD-COUNT --config",
        subjects=GUESTS,
        judge=_vcpus_fit,
    ),
    Item(
        id="guest.overcommit",
        title="Floating guests have pCPUs enough for their vCPUs",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="fewer guests on the host",
        effect=NO_FIGURE,
        why=(
            "How much a host may be overcommitted is the site's decision: idle guests cost "
            "nothing. The limit here is the ratio of vCPUs that Nova starts with since 2023.1; "
            "before, it was 16. Give your own in virtboost.yaml. Pressure stall information "
            "says whether guests do wait."
        ),
        sources=(NOVA_CONFIG,),
        by_hand="virsh migrate --live --persistent GUEST qemu+ssh://OTHER-HOST/system",
        undo_by_hand="virsh migrate --live --persistent GUEST qemu+ssh://THIS-HOST/system",
        applies=(RUNNING_GUESTS,),
        subjects=HOST,
        wanted=Wanted("<= 4"),
        judge=_overcommit,
    ),
    Item(
        id="guest.host_cpus",
        title="The host keeps pCPUs that no vCPU is pinned to",
        layer="guest",
        platforms=PLATFORMS,
        severity="warning",
        takes_effect="live",
        risk="fewer pCPUs for guests",
        effect=NO_FIGURE,
        why=(
            "Interrupts, vhost and emulator threads, the storage and the agents need time "
            "somewhere. The 2021 guide keeps pCPUs 0-3; the guide on topology awareness reserves "
            "2 to 4 for guests whose devices are virtual. With devices passed through, less is "
            "enough: change the wanted value."
        ),
        sources=(KVM_GUIDE, TOPOLOGY_AWARENESS),
        by_hand=PIN,
        undo_by_hand=UNPIN,
        applies=(DEDICATED_GUESTS,),
        subjects=HOST,
        wanted=Wanted(">= 2"),
        judge=_host_cpus,
    ),
    Item(
        id="guest.first_cpus",
        title="pCPUs 0-3 of a Kunpeng 920 are left to the host",
        layer="guest",
        platforms=PLATFORMS,
        severity="advice",
        takes_effect="live",
        risk="four pCPUs fewer for guests",
        effect=NO_FIGURE,
        why=(
            "The 2021 KVM guide keeps the first CPU cluster of a Kunpeng 920 free of guests, "
            "because what nobody places runs there. If a host has its housekeeping elsewhere "
            "(irqaffinity, isolcpus), switch this item off and let guest.host_cpus count."
        ),
        sources=(KVM_GUIDE,),
        by_hand=PIN,
        undo_by_hand=UNPIN,
        rule="R17",
        applies=(KUNPENG_920, DEDICATED_GUESTS),
        subjects=HOST,
        judge=_first_cpus,
    ),
)
