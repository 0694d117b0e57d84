"""Domains of libvirt from a placement; expected XML is written by hand from libvirt's manual."""

from __future__ import annotations

import pytest
from lxml import etree

from support.emitted import host, placement
from virtboost.emit.guest import QEMU, domain_diff, edited_domain, new_domain
from virtboost.errors import InputError

DEFINED = """\
<domain type='kvm'>
  <name>db</name>
  <uuid>7c1a2b3c-0000-4000-8000-000000000001</uuid>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <memoryBacking>
    <hugepages>
      <page size='2048' unit='KiB'/>
    </hugepages>
    <locked/>
  </memoryBacking>
  <vcpu placement='auto'>8</vcpu>
  <iothreads>2</iothreads>
  <cputune>
    <shares>2048</shares>
    <vcpupin vcpu='0' cpuset='90'/>
  </cputune>
  <numatune>
    <memory mode='preferred' placement='auto'/>
  </numatune>
  <cpu mode='host-passthrough'>
    <numa>
      <cell id='0' cpus='0-7' memory='1048576' unit='KiB' memAccess='shared'/>
    </numa>
  </cpu>
  <devices>
    <graphics type='vnc' passwd='secret'/>
  </devices>
</domain>
"""


def part(xml: str, path: str) -> str:
    (found,) = etree.fromstring(xml).findall(path)
    parser = etree.XMLParser(remove_blank_text=True)
    plain = etree.fromstring(etree.tostring(found, with_tail=False), parser)
    return etree.tostring(plain, method="c14n").decode()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("memory", '<memory unit="KiB">1048576</memory>'),
        (
            "memoryBacking",
            '<memoryBacking><hugepages><page size="2048" unit="KiB"></page></hugepages>'
            "</memoryBacking>",
        ),
        ("vcpu", '<vcpu placement="static">8</vcpu>'),
        ("iothreads", "<iothreads>1</iothreads>"),
        ("cputune/vcpupin[@vcpu='4']", '<vcpupin cpuset="52" vcpu="4"></vcpupin>'),
        ("cputune/emulatorpin", '<emulatorpin cpuset="0-1"></emulatorpin>'),
        ("cputune/iothreadpin", '<iothreadpin cpuset="0-1" iothread="1"></iothreadpin>'),
        (
            "numatune",
            '<numatune><memory mode="strict" nodeset="0,1"></memory>'
            '<memnode cellid="0" mode="strict" nodeset="0"></memnode>'
            '<memnode cellid="1" mode="strict" nodeset="1"></memnode></numatune>',
        ),
        (
            "cpu/topology",
            '<topology clusters="2" cores="2" dies="1" sockets="2" threads="1"></topology>',
        ),
        (
            "cpu/numa/cell[@id='1']",
            '<cell cpus="4-7" id="1" memory="524288" unit="KiB"><distances>'
            '<sibling id="0" value="12"></sibling><sibling id="1" value="10"></sibling>'
            "</distances></cell>",
        ),
        ("os", '<os firmware="efi"><type arch="aarch64" machine="virt">hvm</type></os>'),
    ],
)
def test_whole_domain(path: str, wanted: str) -> None:
    assert part(new_domain(placement(), host()), path) == wanted


def test_libvirt_without_a_word_for_clusters_tells_qemu() -> None:
    """libvirt 9 refuses the attribute; QEMU's own -smp has it."""
    made = new_domain(placement(), host("9.0.0"))
    told = '<topology cores="4" dies="1" sockets="2" threads="1"></topology>'
    assert part(made, "cpu/topology") == told
    values = [each.get("value") for each in etree.fromstring(made).iter(f"{{{QEMU}}}arg")]
    assert values == ["-smp", "8,sockets=2,clusters=2,cores=2,threads=1"]


def test_base_pages_have_no_backing() -> None:
    made = new_domain(placement(page=4096), host())
    assert etree.fromstring(made).find("memoryBacking") is None


def test_edit_keeps_what_is_not_placement() -> None:
    made = edited_domain(DEFINED, placement(), host())
    root = etree.fromstring(made)
    assert root.findtext("uuid", "").endswith("1")
    assert root.findtext("cputune/shares") == "2048"
    assert root.find("memoryBacking/locked") is not None
    assert root.findtext("iothreads") == "2"
    assert root.findtext("currentMemory") == "1048576"
    assert part(made, "numatune/memory") == '<memory mode="strict" nodeset="0,1"></memory>'
    assert 'memAccess="shared"' in part(made, "cpu/numa/cell[@id='0']")
    assert 'passwd="secret"' in part(made, "devices/graphics")
    assert part(made, "vcpu") == '<vcpu placement="static">8</vcpu>'


def test_diff_has_no_line_that_stays() -> None:
    diff = domain_diff(DEFINED, placement(), host()).splitlines()
    changed = [line[1:].strip() for line in diff[2:] if line[:1] in "+-"]
    assert "<locked/>" not in changed
    assert not any(word in line for line in changed for word in ("uuid", "graphics", "shares"))
    assert "<vcpupin vcpu='0' cpuset='4'/>" in changed


def test_edit_of_what_is_right_already_is_nothing() -> None:
    once = edited_domain(DEFINED, placement(), host())
    assert domain_diff(once, placement(), host()) == ""


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("<domain><name>other</name></domain>", "the definition is of 'other'"),
        ("<domain>", "not the XML of a domain"),
        ("<network><name>db</name></network>", "not the XML of a domain"),
    ],
)
def test_refusal(xml: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        edited_domain(xml, placement(), host())
