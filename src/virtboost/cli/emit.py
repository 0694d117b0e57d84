"""``virtboost plan --emit``: a plan in the words of the program that is to carry it out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.model.host import Host
    from virtboost.model.placement import GuestPlacement
    from virtboost.model.plan import Plan
    from virtboost.model.workload import Workload


class Emitted(StrEnum):
    """Programs that a plan can be told to."""

    LIBVIRT = "libvirt"
    DOCKER = "docker"
    COMPOSE = "compose"
    NOVA = "nova"
    KUBELET = "kubelet"
    OVIRT = "ovirt"


def print_emitted(
    form: Emitted, made: Plan, host: Host, workload: Workload, domain: Path | None
) -> None:
    """Print a plan in one form.

    Raises:
        InputError: The plan has nothing of the kind, or the definition is of no planned guest.
    """
    from virtboost.report.printable import printable

    for line in _text(form, made, host, workload, domain).splitlines():
        sys.stdout.write(f"{printable(line)}\n")


def _text(form: Emitted, made: Plan, host: Host, workload: Workload, domain: Path | None) -> str:
    if form is Emitted.KUBELET:
        from virtboost.emit.kubelet import kubelet_configuration

        return kubelet_configuration(made, host, workload.host)
    if form in (Emitted.DOCKER, Emitted.COMPOSE):
        return _containers(form, _of_kind(made, "container"))
    guests = _of_kind(made, "guest")
    if form is Emitted.NOVA:
        return _nova(made, host)
    if form is Emitted.OVIRT:
        return "".join(_ovirt(guests))
    return _libvirt(guests, host, domain)


def _of_kind(made: Plan, kind: Literal["guest", "container"]) -> Sequence[GuestPlacement]:
    found = made.of_kind(kind)
    if not found:
        raise InputError(f"plan: no {kind} has a place, so there is nothing to emit")
    return found


def _containers(form: Emitted, containers: Sequence[GuestPlacement]) -> str:
    from virtboost.emit.container import compose_file, run_command

    if form is Emitted.COMPOSE:
        return compose_file(containers)
    return "".join(f"{run_command(container)}\n" for container in containers)


def _nova(made: Plan, host: Host) -> str:
    from virtboost.emit.nova import flavor_commands, nova_conf

    conf = "".join(f"# {line}\n" if line else "#\n" for line in nova_conf(made, host).splitlines())
    return f"# /etc/nova/nova.conf of the host:\n{conf}{flavor_commands(made, host)}"


def _ovirt(guests: Sequence[GuestPlacement]) -> Iterator[str]:
    from virtboost.emit.ovirt import numa_nodes, pinning, vm

    for guest in guests:
        yield f"<!-- {guest.name}: CPU pinning topology {pinning(guest)}; PUT /vms/ID: -->\n"
        yield f"{vm(guest)}<!-- POST /vms/ID/numanodes, each: -->\n{numa_nodes(guest)}"


def _libvirt(guests: Sequence[GuestPlacement], host: Host, domain: Path | None) -> str:
    from virtboost.cli.userfile import read_text
    from virtboost.emit.guest import domain_diff, new_domain

    if domain is None:
        return "".join(new_domain(guest, host) for guest in guests)
    xml = read_text(domain)
    return domain_diff(xml, _defined(xml, guests, domain), host)


def _defined(xml: str, guests: Sequence[GuestPlacement], path: Path) -> GuestPlacement:
    from virtboost.model.xml import parse_xml

    root = parse_xml(xml)
    name = None if root is None else root.findtext("name")
    for guest in guests:
        if guest.name == name:
            return guest
    known = ", ".join(guest.name for guest in guests[:4])
    raise InputError(f"{path}: is of no guest that has a place here: {known}")
