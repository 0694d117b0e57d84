"""A guest of libvirt: checked, planned, proved and undone; its workload runs in it, by its agent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.archive import Archive
from lab.initrd import INITTAB, initrd
from lab.machine import MACHINES
from lab.packages import kernel_release, unpacked
from support.daemon import wait_until
from support.proving import Prover
from support.virsh import Libvirt
from virtboost.prove.place import program_at
from virtboost.transport.program import Program, local_program, ssh_program
from virtboost.transport.source import NOT_RUN, STOPPED

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("libvirt")]

NAME = "vbtest-agent"

GUEST = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='aarch64' machine='virt'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>console=ttyAMA0 quiet</cmdline>
  </os>
  <features><gic version='3'/></features>
  <cpu mode='custom'><model>cortex-a72</model></cpu>
  <devices>
    <serial type='file'><source path='{console}'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  </devices>
</domain>
"""

AGENT = "::respawn:/bin/sh -c 'exec qemu-ga -t /run -m virtio-serial -p /dev/vport*p1'\n"

SPEC = r"""
factors:
- {name: pins, plan: plan.json}
workloads:
- name: guest
  command: [nproc]
  at: guest:vbtest-agent
  metrics: [{name: cpus, pattern: '(\d+)', better: higher}]
- name: host
  command: [sh, -c, 'grep -h Cpus_allowed_list /proc/$(cat /run/libvirt/qemu/vbtest-agent.pid)/task/*/status | sort | uniq -c | wc -l']
  metrics: [{name: sets, pattern: '(\d+)', better: higher}]
settle_s: 0
alpha: 0.5
null_blocks: 0
warmups: 0
"""


@pytest.fixture(scope="module")
def guest(libvirt: Libvirt) -> Iterator[Libvirt]:
    """A guest with an agent, and nothing pinned."""
    machine, folder = MACHINES["taishan-16"], libvirt.folder
    root = unpacked(machine.arch)
    more = Archive()
    more.file("etc/inittab", (INITTAB + AGENT).encode())
    kernel, image = folder / "guest-kernel", folder / "guest-initrd"
    kernel.write_bytes((root / "boot" / f"vmlinuz-{kernel_release(root)}").read_bytes())
    image.write_bytes(initrd(machine, root, "") + more.content())
    console = folder / "guest-console"
    for file in (kernel, image):
        file.chmod(0o644)
    libvirt.start(GUEST.format(name=NAME, kernel=kernel, initrd=image, console=console))
    try:
        agent = program_at(f"guest:{NAME}", local_program, ssh_program)

        def told() -> str:
            return console.read_text(errors="replace")[-300:]

        wait_until(lambda: agent(("true",), 5).status == 0, 180, told)
        yield libvirt
    finally:
        libvirt.remove(NAME)


@pytest.fixture
def agent(guest: Libvirt) -> Program:
    return program_at(f"guest:{NAME}", local_program, ssh_program)


def test_programs_of_a_guest(agent: Program) -> None:
    ended = agent(("sh", "-c", "uname -m; echo 'a  b' >&2; exit 3"), 20)
    assert (ended.status, ended.stdout, ended.stderr) == (3, "aarch64\n", "a  b\n")
    assert agent(("/nonexistent",), 20).status == NOT_RUN
    begun = time.monotonic()
    assert agent(("sleep", "4325"), 1).status == STOPPED
    assert time.monotonic() - begun < 15
    assert "sleep 4325" not in agent(("ps",), 20).stdout
    other = program_at("guest:no-such-guest", local_program, ssh_program)(("true",), 5)
    assert other.status == NOT_RUN
    assert "no-such-guest" in other.stderr


def test_the_loop(guest: Libvirt, tmp_path: Path) -> None:
    """check -> plan -> prove -> undo: pins of a guest, and what runs in it does not mind them.

    What else is planned waits for the guest's next start.
    """
    before = {name: allowed for name, (_, allowed) in guest.threads(NAME).items()}
    prover = Prover(tmp_path)
    found = json.loads(prover.run("check", "--for", "kvm", "--json"))
    assert f"guest {NAME}" in {each["object"] for each in found["results"]}
    prover.run("plan", "--running", "-o", "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["changes"] = [each for each in plan["changes"] if each["kind"].endswith("-pin")]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    told = prover.prove(SPEC)
    outcomes = {each["workload"]: each for each in told["verdicts"]}
    assert outcomes["guest"]["outcome"] == "no difference"
    assert outcomes["guest"]["before"] == outcomes["guest"]["after"] == 1
    assert outcomes["host"]["outcome"] == "better"
    assert outcomes["host"]["before"] == 1
    after = {name: allowed for name, (_, allowed) in guest.threads(NAME).items()}
    assert after == before
