"""What the items on guests share: the guests they look at, and where a guest's threads may run."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from virtboost.catalogue.conditions import dedicated, given_cpus
from virtboost.catalogue.item import Condition, Platform, Subjects
from virtboost.model.change import Change, GuestVcpuPin
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.numa import NumaNode

PLATFORMS: tuple[Platform, ...] = ("kvm", "openstack", "ovirt")

GUESTS: Subjects[Guest] = Subjects(
    kind="guest",
    select=lambda host: [(guest.name, guest) for guest in host.guests],
    none="there are no guests",
    gap="guests",
)

PIN = "virsh vcpupin GUEST VCPU CPU --live --config  # for each vCPU"

UNPIN = (
    "virsh vcpupin GUEST VCPU CPUS --live --config  # the CPUs that virsh vcpupin GUEST told before"
)

FLOATS = "its vCPUs have no pCPU of their own"


class Vcpu(Struct, frozen=True):
    """A vCPU of some guest."""

    guest: str
    id: int

    def __str__(self) -> str:
        return f"vCPU {self.id} of guest {self.guest}"


def affinity(host: Host, guest: Guest, vcpu: int) -> CpuSet:
    """Return the pCPUs that a vCPU may run on."""
    return guest.vcpu_pins.get(vcpu) or guest.cpuset or host.topology.online


def reach(host: Host, guest: Guest) -> CpuSet:
    """Return the pCPUs that any vCPU of a guest may run on."""
    rest = () if guest.pinned else (guest.cpuset or host.topology.online,)
    return union((*guest.vcpu_pins.values(), *rest))


def confined(host: Host, guest: Guest) -> bool:
    """Tell whether somebody keeps a guest's vCPUs off a part of the host."""
    return not host.topology.online <= reach(host, guest)


def node_ids(host: Host, cpus: CpuSet) -> tuple[int, ...]:
    """Return the ids of the NUMA nodes that have any of ``cpus``."""
    return tuple(node.id for node in host.topology.nodes_of(cpus))


def floating_guests(host: Host) -> tuple[Guest, ...]:
    """Return the running guests that have a vCPU without a pCPU of its own."""
    return tuple(guest for guest in host.running_guests if not dedicated(guest))


def pinned_vcpus(guests: Iterable[Guest]) -> dict[int, list[Vcpu]]:
    """Return the vCPUs that are pinned to one pCPU, by pCPU."""
    found: dict[int, list[Vcpu]] = {}
    for guest in guests:
        for vcpu, pin in sorted(guest.vcpu_pins.items()):
            if len(pin) == 1:
                found.setdefault(pin.first, []).append(Vcpu(guest.name, vcpu))
    return found


def spare_cpus(host: Host, guest: Guest) -> CpuSet:
    """Return the pCPUs for the other threads of a guest: near it, and nobody's own.

    Those of its NUMA nodes; where these are all given away, those of the whole host.
    """
    free = host.topology.online - given_cpus(host) - reach(host, guest)
    near = union(node.cpus for node in host.topology.nodes_of(reach(host, guest)))
    return free & near or free


def manager(host: Host) -> str | None:
    """Return who makes the guests of this host: Nova, oVirt; None where virsh does."""
    names = {"nova-compute": "Nova", "vdsm": "oVirt"}
    return next((names[agent.name] for agent in host.agents if agent.name in names), None)


def by_virsh(host: Host, *changes: Change) -> tuple[Change, ...]:
    """Return changes to guests that virsh makes.

    A cluster manager writes the XML anew at a guest's next start, and counts pCPUs by what it
    wrote.  With a pin behind its back, it would give the pCPU away again.
    """
    return () if manager(host) is not None else changes


def one_to_one(host: Host, guest: Guest) -> tuple[Change, ...]:
    """Return a pin for each vCPU where only one set of pCPUs comes into question.

    That is where somebody gave the guest exactly as many pCPUs as it has vCPUs, and no other guest
    any of them.  Everything else is a matter of placement, and gets nothing.
    """
    cpus, vcpus = reach(host, guest), guest.vcpu_ids
    same = all(affinity(host, guest, vcpu) == cpus for vcpu in vcpus)
    others = [
        other for other in host.running_guests if other.name != guest.name and confined(host, other)
    ]
    alone = all(cpus.isdisjoint(reach(host, other)) for other in others)
    if not (same and alone and len(cpus) == len(vcpus) and cpus <= host.topology.online):
        return ()
    pins = (
        GuestVcpuPin(guest=guest.name, vcpu=vcpu, cpus=CpuSet((pcpu,)))
        for vcpu, pcpu in zip(vcpus, cpus, strict=True)
    )
    return by_virsh(host, *pins)


def fits(node: NumaNode, guest: Guest) -> bool:
    """Tell whether a NUMA node has the pCPUs and the memory for a guest."""
    room = node.memory_bytes
    return room is not None and guest.memory_bytes <= room and guest.vcpu_count <= len(node.cpus)


def tuned(guest: Guest) -> bool:
    """Tell whether somebody set a guest up for speed: pins for each vCPU, or huge pages."""
    return guest.pinned or bool(guest.page_sizes_bytes)


def ids(numbers: Iterable[int]) -> str:
    """Return numbers as a list for a reader: ``0, 2``."""
    return ", ".join(str(number) for number in sorted(numbers))


FAR_APART = Condition(
    when="the host has more than one NUMA node, die or last-level cache",
    otherwise="the host has one NUMA node, one die and one last-level cache: all is near",
    holds=lambda host: _regions(host) > 1,
    gap="NUMA nodes",
)

SMT = Condition(
    when="the host has SMT on",
    otherwise="no core of the host has two online pCPUs",
    holds=lambda host: host.topology.smt,
)

CLUSTERS = Condition(
    when="the host has CPU clusters that group cores",
    otherwise="the host has no CPU clusters that group cores",
    holds=lambda host: bool(host.topology.shared_clusters),
    gap="clusters",
)

X86 = Condition(
    when="the host is x86_64",
    otherwise="the host is not x86_64",
    holds=lambda host: host.arch == "x86_64",
)


def _regions(host: Host) -> int:
    topology = host.topology
    last = max((cache.level for cache in topology.caches), default=0)
    nodes = [node for node in topology.numa_nodes if node.cpus]
    caches = [cache for cache in topology.caches if cache.level == last]
    return max(len(nodes), len(topology.dies), len(caches))
