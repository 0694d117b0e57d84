"""A plan told to the real libvirt: valid by its schema, defined, started, judged by the kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lxml import etree
from msgspec.structs import replace

from support.daemon import ask
from support.emitted import host, placement
from support.virsh import VIRSH, Libvirt
from virtboost.emit.guest import domain_diff, edited_domain, new_domain
from virtboost.model.host import Host
from virtboost.model.placement import GuestPlacement
from virtboost.model.size import Size
from virtboost.model.workload import GuestRequest, HostShare, Workload
from virtboost.plan.plan import plan_host
from virtboost.scan.host import scan
from virtboost.transport.local import LocalReader

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("libvirt")]

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")

NAME = "vbtest-emitted"

DEFINED = f"""
<domain type='qemu'>
  <name>{NAME}</name>
  <memory unit='MiB'>64</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
</domain>
"""


def planned() -> tuple[GuestPlacement, Host]:
    """Return where one vCPU goes on this machine, one CPU of which stays the host's.

    Containers of other tests, which may have the other, are none of its business.
    """
    found = replace(scan(LocalReader()), containers=(), guests=())
    guest = GuestRequest(name=NAME, vcpus=1, memory=Size(32 << 20), huge_pages="none", iothreads=1)
    asked = Workload(host=HostShare(cpus=1, memory=Size(1 << 20)), guests=(guest,))
    made = plan_host(found, asked, limit_s=0)
    assert made.guests, made.unplaced
    return made.guests[0], found


def holds(libvirt: Libvirt, placed: GuestPlacement) -> None:
    threads = libvirt.threads(NAME)
    assert threads["CPU 0/TCG"][1] == str(placed.vcpus[0].pcpus)
    assert threads["IO iothread1"][1] == str(placed.iothreads[0].pcpus)
    assert threads["qemu-system-x86"][1] == str(placed.emulator_pcpus)


@pytest.mark.parametrize("version", ["9.0.0", "10.1.0"])
def test_schema(libvirt: Libvirt, version: str) -> None:
    """The schema of this libvirt, 9.0, has no word for clusters, and says so."""
    schema = etree.RelaxNG(etree.parse(str(SCHEMA)))
    valid = schema.validate(etree.fromstring(new_domain(placement(), host(version))))
    assert valid is (version == "9.0.0"), schema.error_log


def test_whole_domain_starts(libvirt: Libvirt) -> None:
    placed, found = planned()
    try:
        libvirt.start(new_domain(placed, found))
        holds(libvirt, placed)
    finally:
        libvirt.remove(NAME)


def test_edited_domain_starts_and_needs_no_more(libvirt: Libvirt, tmp_path: Path) -> None:
    placed, found = planned()
    try:
        libvirt.define(DEFINED)
        before = ask(*VIRSH, "dumpxml", "--inactive", NAME)
        file = tmp_path / f"{NAME}.xml"
        file.write_text(before.rstrip() + "\n")
        patch = ("patch", "--batch", str(file))
        diff = domain_diff(before, placed, found)
        subprocess.run(patch, input=diff, text=True, check=True, timeout=20)
        assert file.read_text() == edited_domain(before.rstrip(), placed, found)
        libvirt.start(file.read_text())
        holds(libvirt, placed)
        assert domain_diff(ask(*VIRSH, "dumpxml", "--inactive", NAME), placed, found) == ""
    finally:
        libvirt.remove(NAME)
