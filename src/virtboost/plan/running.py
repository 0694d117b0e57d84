"""What runs on a host now, as a workload: so that a plan says what to move."""

from __future__ import annotations

import math

from virtboost.model.container import Container
from virtboost.model.cpuset import union
from virtboost.model.guest import Guest
from virtboost.model.host import Host
from virtboost.model.size import Size
from virtboost.model.workload import MAX_VCPUS, ContainerRequest, GuestRequest, Workload, is_name

MOST_SHARED = 64.0
"""The largest overcommit ratio that a workload takes."""


def running_workload(host: Host) -> Workload:
    """Return guests that run, and containers that were given pCPUs, as they are asked for now.

    A guest with a pin for each vCPU keeps pCPUs of its own; others share, with the ratio that they
    have together.  Containers without a cpuset float, and stay as they are; so does what no
    workload can name.
    """
    guests = [guest for guest in host.running_guests if _can_be_asked_for(guest)]
    taken = {guest.name for guest in guests}
    ratio = _ratio(host, guests)
    return Workload(
        guests=tuple(_guest(host, guest, ratio) for guest in guests),
        containers=tuple(
            _container(container)
            for container in host.containers
            if container.cpuset
            and container.engine in ("docker", "podman")
            and is_name(container.name)
            and container.name not in taken
        ),
    )


def _can_be_asked_for(guest: Guest) -> bool:
    return is_name(guest.name) and 1 <= guest.vcpu_count <= MAX_VCPUS


def _dedicated(guest: Guest) -> bool:
    return guest.pinned and all(len(pin) == 1 for pin in guest.vcpu_pins.values())


def _ratio(host: Host, guests: list[Guest]) -> float:
    """Return vCPUs of sharing guests for each pCPU that others leave, at least 1."""
    taken = union(union(guest.vcpu_pins.values()) for guest in guests if _dedicated(guest))
    shared = sum(guest.vcpu_count for guest in guests if not _dedicated(guest))
    left = len(host.topology.online - taken)
    return min(max(math.ceil(shared / max(left, 1)), 1), MOST_SHARED)


def _guest(host: Host, guest: Guest, ratio: float) -> GuestRequest:
    dedicated = _dedicated(guest)
    pages = guest.page_sizes_bytes
    page = (pages[0] or host.memory.default_hugepage_bytes) if pages else None
    known = {device.address for device in host.pci}
    return GuestRequest(
        name=guest.name,
        vcpus=guest.vcpu_count,
        memory=Size(guest.memory_bytes),
        huge_pages="none" if page is None else str(page),
        cpus="dedicated" if dedicated else "shared",
        overcommit_ratio=None if dedicated else ratio,
        iothreads=min(guest.iothread_count, 64),
        cells=max(len(guest.cells), 1),
        devices=tuple(address for address in guest.pci_addresses if address in known),
    )


def _container(container: Container) -> ContainerRequest:
    return ContainerRequest(
        name=container.name,
        vcpus=len(container.cpuset or ()),
        memory=None if container.memory_limit_bytes is None else Size(container.memory_limit_bytes),
    )
