"""The tuning part of a guest's definition; expected XML is written by hand from libvirt's manual."""

from __future__ import annotations

from functools import reduce

import pytest
from lxml import etree

from virtboost.emit.domain import GuestChange, domain_edit, tuning, with_tuning
from virtboost.errors import InputError
from virtboost.model.change import (
    GuestEmulatorPin,
    GuestIothreadPin,
    GuestMemoryBacking,
    GuestMemoryPolicy,
    GuestTopologyEdit,
    GuestVcpuPin,
)
from virtboost.model.cpuset import CpuSet

DOMAIN = """
<domain type='kvm'>
  <name>db</name>
  <vcpu>2</vcpu>
  <cputune><shares>2048</shares><vcpupin vcpu='1' cpuset='9'/></cputune>
  <numatune><memory mode='preferred' placement='auto'/></numatune>
  <memoryBacking><hugepages><page size='1' unit='G'/></hugepages><locked/></memoryBacking>
  <cpu mode='host-passthrough'><topology sockets='2' dies='1' cores='1' threads='1'/></cpu>
  <devices><graphics type='vnc' passwd='secret'/></devices>
</domain>
"""


def edited(*changes: GuestChange) -> etree._Element:
    """Return the whole definition after some changes."""
    fragment = tuning(DOMAIN)
    assert fragment is not None
    made = reduce(lambda before, change: domain_edit(change)(before), changes, fragment)
    return etree.fromstring(with_tuning(DOMAIN, made))


def part(domain: etree._Element, path: str) -> str:
    (found,) = domain.findall(path)
    return etree.tostring(found, method="c14n").decode()


@pytest.mark.parametrize(
    ("change", "path", "wanted"),
    [
        (
            GuestVcpuPin(guest="db", vcpu=0, cpus=CpuSet({4})),
            "cputune",
            '<cputune><shares>2048</shares><vcpupin cpuset="4" vcpu="0"></vcpupin>'
            '<vcpupin cpuset="9" vcpu="1"></vcpupin></cputune>',
        ),
        (
            GuestVcpuPin(guest="db", vcpu=1, cpus=CpuSet({4, 5, 6})),
            "cputune/vcpupin",
            '<vcpupin cpuset="4-6" vcpu="1"></vcpupin>',
        ),
        (
            GuestEmulatorPin(guest="db", cpus=CpuSet({0, 1})),
            "cputune/emulatorpin",
            '<emulatorpin cpuset="0-1"></emulatorpin>',
        ),
        (
            GuestIothreadPin(guest="db", iothread=1, cpus=CpuSet({2})),
            "cputune/iothreadpin",
            '<iothreadpin cpuset="2" iothread="1"></iothreadpin>',
        ),
        (
            GuestMemoryPolicy(guest="db", mode="strict", node_ids=(0, 2)),
            "numatune",
            '<numatune><memory mode="strict" nodeset="0,2"></memory></numatune>',
        ),
        (
            GuestMemoryBacking(guest="db", page_size_bytes=2 << 20),
            "memoryBacking",
            '<memoryBacking><hugepages><page size="2048" unit="KiB"></page></hugepages>'
            "<locked></locked></memoryBacking>",
        ),
        (
            GuestTopologyEdit(guest="db", sockets=1, dies=1, clusters=1, cores=2, threads=1),
            "cpu",
            '<cpu mode="host-passthrough"><topology cores="2" sockets="1" threads="1"></topology></cpu>',
        ),
    ],
)
def test_edit(change: GuestChange, path: str, wanted: str) -> None:
    assert part(edited(change), path) == wanted


def test_everything_else_stays() -> None:
    change = GuestVcpuPin(guest="db", vcpu=0, cpus=CpuSet({4}))
    before, after = etree.fromstring(DOMAIN), edited(change)
    for path in ("name", "vcpu", "devices/graphics"):
        assert part(after, path) == part(before, path)
    assert after.get("type") == "kvm"


def test_the_part_has_one_form() -> None:
    """libvirt prints blanks, and levels of 1, as it likes; that is no change."""
    spaced = DOMAIN.replace("><", ">\n   <").replace(" dies='1'", "")
    assert tuning(spaced) == tuning(DOMAIN)
    assert "secret" not in (tuning(DOMAIN) or "")


@pytest.mark.parametrize("text", ["", "no XML", "<pool/>", "<!DOCTYPE x []><domain/>", "<domain>"])
def test_what_is_no_domain(text: str) -> None:
    assert tuning(text) is None
    with pytest.raises(InputError):
        with_tuning(text, "<tuning/>")
