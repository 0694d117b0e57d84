"""Guests of a real libvirt, held against the kernel's threads and libvirt's own words."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.daemon import ask
from support.virsh import VIRSH, Libvirt
from virtboost.model.cpuset import CpuSet
from virtboost.model.document import to_json
from virtboost.model.guest import Guest
from virtboost.scan import guest as guest_scan
from virtboost.scan import libvirt as libvirt_scan
from virtboost.scan import memory, topology
from virtboost.scan.host import parse, scan
from virtboost.transport.local import LocalReader
from virtboost.transport.recorded import RecordedReader, Recording, save
from virtboost.transport.redact import Redactor

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("libvirt")]

TUNED = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>vbtest-tuned</name>
  <description>&lt;/domain&gt; ü @ @@</description>
  <memory unit='MiB'>64</memory>
  <memoryBacking>
    <hugepages><page size='2' unit='MiB' nodeset='0'/></hugepages>
    <nosharepages/>
  </memoryBacking>
  <vcpu placement='static' current='3'>4</vcpu>
  <iothreads>2</iothreads>
  <cputune>
    <vcpupin vcpu='0' cpuset='0'/>
    <vcpupin vcpu='1' cpuset='1'/>
    <vcpupin vcpu='3' cpuset='1'/>
    <emulatorpin cpuset='0'/>
    <iothreadpin iothread='1' cpuset='1'/>
  </cputune>
  <numatune>
    <memory mode='strict' nodeset='0'/>
    <memnode cellid='0' mode='strict' nodeset='0'/>
  </numatune>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/><pmu state='off'/></features>
  <cpu mode='custom' match='exact'>
    <model>qemu64</model>
    <topology sockets='1' dies='2' cores='2' threads='1'/>
    <numa><cell id='0' cpus='0-3' memory='64' unit='MiB' memAccess='shared'/></numa>
  </cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='native' iothread='1' queues='2'/>
      <source file='{folder}/disk.img'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <target dev='sda' bus='scsi'/>
      <readonly/>
    </disk>
    <controller type='scsi' index='0' model='virtio-scsi'>
      <driver iothread='2' queues='3'/>
    </controller>
    <interface type='user'><model type='virtio'/></interface>
    <memballoon model='none'/>
    <video><model type='virtio'/></video>
  </devices>
  <qemu:commandline>
    <qemu:env name='VBTEST_PLACE' value='here'/>
    <qemu:env name='VBTEST_TOKEN' value='opensesame'/>
  </qemu:commandline>
</domain>
"""

PLAIN = """
<domain type='qemu'>
  <name>vbtest-plain</name>
  <memory unit='KiB'>32768</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
</domain>
"""

ARM = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>vbtest-arm</name>
  <memory unit='MiB'>64</memory>
  <vcpu>4</vcpu>
  <os><type arch='aarch64' machine='virt'>hvm</type></os>
  <features><gic version='3'/></features>
  <cpu mode='custom'><model>cortex-a72</model></cpu>
  <qemu:commandline>
    <qemu:arg value='-smp'/>
    <qemu:arg value='4,sockets=1,clusters=2,cores=2,threads=1'/>
  </qemu:commandline>
</domain>
"""


@pytest.fixture(scope="module")
def guests(libvirt: Libvirt) -> Iterator[Libvirt]:
    """Three guests: tuned and running, plain and running, Arm and shut off."""
    (libvirt.folder / "disk.img").write_bytes(bytes(1 << 20))
    names = ("vbtest-tuned", "vbtest-plain", "vbtest-arm")
    try:
        libvirt.start(TUNED.replace("{folder}", str(libvirt.folder)))
        libvirt.create(PLAIN)
        libvirt.define(ARM)
        yield libvirt
    finally:
        for name in names:
            libvirt.remove(name)


SOURCES = (*topology.SOURCES, *memory.SOURCES, *libvirt_scan.SOURCES, *guest_scan.SOURCES)
"""What is said of guests and of libvirt follows from these alone."""


def scanned(name: str) -> Guest:
    return {guest.name: guest for guest in parse(LocalReader().read(SOURCES)).guests}[name]


def document(guest: Guest) -> Any:
    return json.loads(to_json(guest))


def test_pins_are_those_of_the_threads(guests: Libvirt) -> None:
    guest = scanned("vbtest-tuned")
    threads = guests.threads("vbtest-tuned")
    assert guest.vcpu_count == sum(name.startswith("CPU ") for name in threads) == 3
    told = {f"CPU {vcpu}/TCG": str(cpus) for vcpu, cpus in guest.vcpu_pins.items()}
    told |= {f"IO iothread{thread}": str(cpus) for thread, cpus in guest.iothread_pins.items()}
    told["qemu-system-x86"] = str(guest.emulator_pins)
    assert told == {name: threads[name][1] for name in told}
    assert set(guest.vcpu_pins) == {0, 1}, "vCPU 2 has no pin, vCPU 3 is not plugged in"
    assert guest.iothread_count == sum(name.startswith("IO iothread") for name in threads) == 2


def test_definition_is_told_field_by_field(guests: Libvirt) -> None:
    guest = document(scanned("vbtest-tuned"))
    assert {key: guest[key] for key in EXPECTED} == EXPECTED
    assert guest["machine"].startswith("pc-q35-")
    assert guest["disks"][0]["source"] == f"{guests.folder}/disk.img"


EXPECTED = {
    "state": "running",
    "persistent": True,
    "pending": [],
    "arch": "x86_64",
    "accelerated": False,
    "max_vcpu_count": 4,
    "memory_bytes": 64 << 20,
    "page_sizes_bytes": [2 << 20],
    "ksm_excluded": True,
    "memory_locked": False,
    "memory_shared_access": True,
    "memory_mode": "strict",
    "node_ids": [0],
    "topology": {
        "sockets": 1,
        "dies": 2,
        "clusters": 1,
        "cores": 2,
        "threads": 1,
        "auto": False,
    },
    "cells": [
        {
            "id": 0,
            "vcpus": "0-3",
            "memory_bytes": 64 << 20,
            "node_ids": [0],
            "memory_mode": "strict",
            "page_size_bytes": 2 << 20,
        }
    ],
    "cpu_mode": "custom",
    "cpu_model": "qemu64",
    "scsi_controllers": ["virtio-scsi"],
    "video": ["virtio"],
    "balloon": "none",
    "features": {"acpi": "on", "pmu": "off"},
    "environment": {"VBTEST_PLACE": "here"},
}
"""Written by hand from the definition above, with libvirt's defaults."""


def test_disks_and_interfaces(guests: Libvirt) -> None:
    guest = document(scanned("vbtest-tuned"))
    disk, cdrom = guest["disks"]
    assert (disk["cache"], disk["io"], disk["iothread"], disk["queues"]) == ("none", "native", 1, 2)
    assert (cdrom["device"], cdrom["iothread"], cdrom["queues"]) == ("cdrom", 2, 3)
    assert [(nic["kind"], nic["model"]) for nic in guest["nics"]] == [("user", "virtio")]


def test_huge_pages_are_taken(guests: Libvirt) -> None:
    """The pages that the scan tells are those that QEMU has mapped."""
    smaps = Path(f"/proc/{guests.process('vbtest-tuned')}/smaps").read_text()
    mapped = sum(
        int(line.split()[1]) << 10
        for line in smaps.splitlines()
        if line.startswith(("Private_Hugetlb:", "Shared_Hugetlb:"))
    )
    assert mapped == scanned("vbtest-tuned").memory_bytes


def test_guest_without_pins_and_without_definition(guests: Libvirt) -> None:
    guest = scanned("vbtest-plain")
    assert (guest.state, guest.persistent, guest.pending) == ("running", False, ())
    assert guest.vcpu_pins == {}
    assert guest.emulator_pins is None
    assert (guest.topology, guest.cells, guest.page_sizes_bytes) == (None, (), ())


def test_guest_that_is_shut_off(guests: Libvirt) -> None:
    guest = document(scanned("vbtest-arm"))
    assert (guest["state"], guest["arch"], guest["gic_version"]) == ("shut off", "aarch64", "3")
    assert guest["topology"]["clusters"] == 2, "QEMU's own -smp tells it"
    assert guest["topology"]["cores"] == 2


def test_pin_by_taskset_is_told(guests: Libvirt) -> None:
    """What libvirt does not know: somebody else moved a vCPU's thread."""
    thread, allowed = guests.threads("vbtest-plain")["CPU 1/TCG"]
    online = CpuSet(os.sched_getaffinity(thread))
    if len(online) < 2:
        pytest.skip("one CPU leaves nothing to choose")
    os.sched_setaffinity(thread, {online.first})
    try:
        assert scanned("vbtest-plain").vcpu_pins == {1: CpuSet({online.first})}
    finally:
        os.sched_setaffinity(thread, online)
    assert allowed == guests.threads("vbtest-plain")["CPU 1/TCG"][1]


def test_live_pin_and_pending_definition(guests: Libvirt) -> None:
    ask(*VIRSH, "vcpupin", "vbtest-tuned", "1", "0", "--live")
    try:
        guest = scanned("vbtest-tuned")
        assert guest.vcpu_pins[1] == CpuSet({0})
        assert guest.pending == ("vcpu_pins",)
    finally:
        ask(*VIRSH, "vcpupin", "vbtest-tuned", "1", "1", "--live")


def test_paused_guest(guests: Libvirt) -> None:
    ask(*VIRSH, "suspend", "vbtest-tuned")
    try:
        assert scanned("vbtest-tuned").state == "paused"
    finally:
        ask(*VIRSH, "resume", "vbtest-tuned")


def test_libvirt_itself(guests: Libvirt) -> None:
    found = parse(LocalReader().read(SOURCES)).libvirt
    assert found is not None
    assert found.version == ask("libvirtd", "--version").rpartition(" ")[2]
    qemu = ask("qemu-system-x86_64", "--version").split()[3]
    assert found.hypervisor == f"QEMU {qemu}"
    listed = ask("qemu-system-x86_64", "-machine", "help").splitlines()[1:]
    assert set(found.machines) <= {line.split()[0] for line in listed}
    assert {"q35", "pc"} <= set(found.machines)
    assert found.accelerated is False, "/dev/kvm is hidden from this libvirt"


def test_recording_replays_to_the_same_guests(guests: Libvirt, tmp_path: Path) -> None:
    capture = Redactor().capture(LocalReader().read(SOURCES))
    save(capture, tmp_path / "host.tar.zst", Recording(host="local", version="0", redacted=True))
    replayed = scan(RecordedReader(tmp_path / "host.tar.zst"))
    assert replayed.guests == parse(capture).guests
    assert len(replayed.guests) == 3
    assert "opensesame" not in str([output for _, output in capture.commands()])


def test_scan_starts_one_virsh_for_each_guest(
    guests: Libvirt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.run(("which", "virsh"), capture_output=True, text=True, check=True).stdout
    counter = tmp_path / "virsh"
    counter.write_text(f'#!/bin/sh\necho x >> {tmp_path}/calls\nexec {real.strip()} "$@"\n')
    counter.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    host = scan(LocalReader())
    assert len(host.guests) == 3
    assert host.libvirt is not None
    calls = (tmp_path / "calls").read_text().count("x")
    assert calls == len(host.guests) + 2, "one lists them, one tells of libvirt itself"
