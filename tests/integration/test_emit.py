"""Commands as a person would paste them, carried out by the real tools, judged by the kernel."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import ask
from support.engines import Engines
from support.virsh import VIRSH, Libvirt
from virtboost.emit.commands import commands
from virtboost.model.change import (
    Change,
    ContainerUpdate,
    GuestEmulatorPin,
    GuestIothreadPin,
    GuestMemoryPolicy,
    GuestVcpuPin,
)
from virtboost.model.cpuset import CpuSet

GUEST = """
<domain type='qemu'>
  <name>vbtest emit</name>
  <memory unit='MiB'>32</memory>
  <vcpu>2</vcpu>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
</domain>
"""

ONE, BOTH = CpuSet({1}), CpuSet({0, 1})


def carry_out(change: Change) -> None:
    for line in commands(change):
        subprocess.run(("sh", "-euc", line), check=True, timeout=60, capture_output=True)


@pytest.mark.needs_root
@pytest.mark.xdist_group("libvirt")
class TestGuest:
    """The truth is ``Cpus_allowed_list`` of QEMU's threads, not libvirt's word."""

    @pytest.fixture(scope="class")
    def guest(self, libvirt: Libvirt) -> Iterator[Libvirt]:
        libvirt.start(GUEST)
        try:
            yield libvirt
        finally:
            libvirt.remove("vbtest emit")

    @pytest.mark.parametrize(
        ("change", "thread"),
        [
            (GuestVcpuPin(guest="vbtest emit", vcpu=1, cpus=ONE), "CPU 1/TCG"),
            (GuestIothreadPin(guest="vbtest emit", iothread=1, cpus=ONE), "IO iothread1"),
            (GuestEmulatorPin(guest="vbtest emit", cpus=ONE), "qemu-system-x86"),
        ],
    )
    def test_pin(self, guest: Libvirt, change: Change, thread: str) -> None:
        carry_out(change)
        assert guest.threads("vbtest emit")[thread][1] == "1"

    def test_memory_policy_is_in_the_definition(self, guest: Libvirt) -> None:
        carry_out(GuestMemoryPolicy(guest="vbtest emit", mode="strict", node_ids=(0,)))
        told = ask(*VIRSH, "dumpxml", "--inactive", "vbtest emit")
        assert re.search(r"<memory mode='strict' nodeset='0'/>", told)


@pytest.mark.needs_root
@pytest.mark.xdist_group("engines")
def test_container(engines: Engines) -> None:
    engines.run("vbtest-emit", "--cpuset-cpus", "0", "--memory", "64m")
    try:
        pid = int(json.loads(engines.docker("inspect", "vbtest-emit"))[0]["State"]["Pid"])
        update = ContainerUpdate(
            engine="docker",
            container="vbtest-emit",
            cpuset=BOTH,
            node_ids=(0,),
            memory_bytes=96 << 20,
        )
        carry_out(update)
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^Cpus_allowed_list:\s*0-1$", status, re.MULTILINE)
        limit = engines.docker("inspect", "--format", "{{.HostConfig.Memory}}", "vbtest-emit")
        assert int(limit) == 96 << 20
    finally:
        engines.remove("vbtest-emit")
