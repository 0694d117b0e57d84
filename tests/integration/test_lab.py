"""A server with 4 NUMA nodes: scanned, changed and taken back over SSH, also when it loses power.

What must be found is what QEMU was told.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from lab.qemu import first_bus
from lab.run import Running
from support.applied import COPY
from support.daemon import wait_until
from virtboost.apply.copy import folder
from virtboost.apply.execute import apply, undo
from virtboost.apply.journal import Journal
from virtboost.catalogue.catalogue import ITEMS
from virtboost.check.judge import check
from virtboost.errors import BadAnswer, TransportError
from virtboost.model.change import (
    Change,
    HugepagePoolSize,
    IrqAffinity,
    Sysctl,
    TransparentHugepages,
)
from virtboost.model.cpuset import CpuSet
from virtboost.model.finding import Result
from virtboost.model.host import Host
from virtboost.scan.host import scan
from virtboost.transport.ssh import SshReader
from virtboost.transport.writer import Write, Writer, Written, ssh_writer

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("lab")]

THP = "/sys/kernel/mm/transparent_hugepage/enabled"
POOLS = "/sys/devices/system/node/node*/hugepages/hugepages-2048kB/nr_hugepages"
SWAPPINESS = "/proc/sys/vm/swappiness"


@pytest.fixture
def reader(server: Running) -> SshReader:
    return SshReader(server.url, config=server.config)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state")


def test_the_scan_is_what_qemu_was_told(server: Running, reader: SshReader) -> None:
    host, machine = scan(reader), server.machine
    topology = host.topology
    assert host.hostname == machine.name
    assert host.cpu.generation == "Kunpeng 920"
    assert len(topology.online) == machine.cpus == 16
    assert [str(socket.cpus) for socket in topology.sockets] == ["0-7", "8-15"]
    nodes = topology.numa_nodes
    assert [str(node.cpus) for node in nodes] == ["0-3", "4-7", "8-11", "12-15"]
    assert [str(each.cpus) for each in topology.clusters] == ["0-3", "4-7", "8-11", "12-15"]
    assert tuple(tuple(node.distances.values()) for node in nodes) == machine.distances
    wanted = {
        f"{first_bus(device.node_id) + 1 + below:02x}": device.node_id
        for node in (0, 2)
        for below, device in enumerate(d for d in machine.devices if d.node_id == node)
    }
    assert {pci.address[5:7]: pci.node_id for pci in host.pci if pci.address[5:7] in wanted} == (
        wanted
    )
    assert sorted(nic.node_id for nic in host.net if nic.node_id is not None) == [0, 2]
    assert server.ask("cat /sys/class/nvme/nvme0/device/sriov_totalvfs") == "4\n"


def irq_of_a_nic(server: Running) -> int:
    """Return an interrupt of the queues of a NIC, which the kernel lets be moved."""
    return int(server.ask("grep virtio.*-input /proc/interrupts").partition(":")[0])


def changes(server: Running) -> list[Change]:
    """Return changes of six files: a pool on each node, THP, a sysctl and an interrupt."""
    return [
        *(HugepagePoolSize(node_id=n, size_bytes=2 << 20, pages=3 + n) for n in range(4)),
        TransparentHugepages(setting="enabled", value="never"),
        Sysctl(name="vm.swappiness", value="7"),
        IrqAffinity(irq=irq_of_a_nic(server), cpus=CpuSet({9})),
    ]


def snapshot(server: Running) -> str:
    irq = irq_of_a_nic(server)
    kept = "/etc/sysctl.d/* /etc/tmpfiles.d/*"
    files = f"{POOLS} {THP} {SWAPPINESS} /proc/irq/{irq}/smp_affinity_list {kept}"
    return server.ask(
        f"grep . {files}; ls -A /etc/sysctl.d /etc/tmpfiles.d /var/lib/virtboost || :"
    )


@pytest.fixture
def before(server: Running) -> Iterator[str]:
    server.ask("mkdir -p /var/lib/virtboost")
    found = snapshot(server)
    yield found
    assert snapshot(server) == found, "every file, byte for byte"


def test_every_node_is_changed_and_as_before(
    server: Running, reader: SshReader, journal: Journal, before: str
) -> None:
    writer = ssh_writer(reader)
    made = apply(reader, writer, journal, changes(server), hostname="lab")
    assert made is not None
    assert server.ask(f"cat {POOLS}") == "3\n4\n5\n6\n"
    assert "[never]" in server.ask(f"cat {THP}")
    irq = irq_of_a_nic(server)
    assert server.ask(f"cat /proc/irq/{irq}/effective_affinity_list") == "9\n"
    assert undo(reader, writer, journal, made, force=False) == ()


def test_the_server_undoes_it_alone(
    server: Running, reader: SshReader, journal: Journal, before: str
) -> None:
    made = apply(reader, ssh_writer(reader), journal, changes(server), hostname="lab")
    assert made is not None
    assert snapshot(server) != before
    server.ask(f"sh {folder(made)}/undo")


@pytest.fixture
def far_from_its_nic(server: Running) -> Iterator[None]:
    """Have an interrupt of a NIC of node 0 or 2 on a CPU of node 3."""
    file = f"/proc/irq/{irq_of_a_nic(server)}/smp_affinity_list"
    was = server.ask(f"cat {file}").strip()
    server.ask(f"echo 15 >{file}")
    yield
    server.ask(f"echo {was} >{file}")


@pytest.mark.usefixtures("far_from_its_nic")
def test_from_findings_to_none_and_back(
    server: Running, reader: SshReader, journal: Journal
) -> None:
    """scan -> check -> changes -> apply -> check finds none of them -> undo -> the first scan."""
    first = scan(reader)
    fixed = [finding for finding in findings(first) if finding.changes]
    assert "irq.nic_node" in {finding.item for finding in fixed}
    wanted = [change for finding in fixed for change in finding.changes]
    writer = ssh_writer(reader)
    made = apply(reader, writer, journal, wanted, hostname=first.hostname)
    assert made is not None
    left = {finding.item for finding in findings(scan(reader))}
    assert not left & {finding.item for finding in fixed}
    assert undo(reader, writer, journal, made, force=False) == ()
    again = scan(reader)
    for part in ("net", "block", "pci", "kernel", "power", "services", "guests"):
        assert still(getattr(again, part)) == still(getattr(first, part))
    assert [(irq.number, irq.affinity) for irq in again.irq] == [
        (irq.number, irq.affinity) for irq in first.irq
    ]


def findings(host: Host) -> Sequence[Result]:
    return check(host, ITEMS, name="lab").findings


def still(part: object) -> str:
    """Return a part of the model as text, without the pressure of the moment."""
    return re.sub(r"pressure=\{[^}]*\}", "", repr(part))


START = """
import sys
from pathlib import Path
from lab.machine import MACHINES
from lab.run import Running
Running(MACHINES["taishan-16"], Path(sys.argv[1])).start()
"""


def test_a_machine_ends_with_the_process_that_started_it(server: Running, tmp_path: Path) -> None:
    def machines() -> list[str]:
        lines = {path: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")}
        return [
            path.parent.name
            for path, line in lines.items()
            if b"-kernel" in line.split(b"\0") and str(tmp_path).encode() in line
        ]

    root = Path(__file__).parents[2]
    process = subprocess.Popen((sys.executable, "-c", START, str(tmp_path)), cwd=root)
    try:
        wait_until(lambda: bool(machines()), 60, lambda: "no machine starts")
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not machines(), 10, lambda: "the machine runs on")


class PowerCut:
    """The server loses its power after some writes of a batch, and we the connection to it."""

    def __init__(self, server: Running, writer: Writer, after: int) -> None:
        self.name = writer.name
        self._cut = server.cut_power
        self._writer = writer
        self._after = after

    def write(self, writes: Sequence[Write], *, keep_going: bool) -> tuple[Written, ...]:
        self._writer.write(writes[: self._after], keep_going=keep_going)
        self._cut()
        raise BadAnswer(self.name, "the connection is lost")


@pytest.mark.parametrize(
    "cut",
    [("apply", 0), ("apply", COPY + 9), ("apply", 99), ("undo", 5)],
    ids=lambda cut: f"{cut[0]}-{cut[1]}",
)
def test_power_off_at_any_step(
    server: Running, reader: SshReader, journal: Journal, before: str, cut: tuple[str, int]
) -> None:
    """What a reboot does not bring back (files of the next boot) undo does; twice does no harm."""
    wanted, writer = changes(server), ssh_writer(reader)
    step, after = cut
    dying = PowerCut(server, writer, after)

    def begin() -> None:
        made = apply(reader, writer, journal, wanted, hostname="lab", persist=True)
        assert made is not None
        undo(reader, dying, journal, made, force=False)

    def break_off() -> None:
        apply(reader, dying, journal, wanted, hostname="lab", persist=True)

    act: Callable[[], None] = begin if step == "undo" else break_off
    with pytest.raises(TransportError):
        act()
    server.start()
    (made,) = journal.changesets(server.url)
    for _ in range(2):
        assert undo(reader, writer, journal, made, force=False) == ()
    assert not journal.changesets(server.url)[0].open
