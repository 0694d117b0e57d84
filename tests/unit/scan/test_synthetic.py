"""A random topology, written as the kernel would write it, comes back as it was drawn."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.cases import capture_of
from support.synthetic import CPU, Machine, files, machines
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.model.topology import CpuCluster, Topology
from virtboost.scan.host import SOURCES, parse, scan
from virtboost.transport.recorded import RecordedReader

slow = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def seen(texts: dict[str, str]) -> Host:
    return parse(capture_of({"files": texts}, SOURCES))


def gap(host: Host, what: str) -> bool:
    return host.gap(what) is not None


@given(machines())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_in_memory(machine: Machine) -> None:
    host = seen(files(machine))
    check(machine, host.topology)
    assert gap(host, "dies") == (machine.dies != "told")
    assert gap(host, "clusters") == (machine.clusters != "told")


@given(machines())
@slow
def test_as_a_directory(machine: Machine) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files(machine).items():
            file = Path(folder, path.lstrip("/"))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
        check(machine, scan(RecordedReader(Path(folder))).topology)


@given(machines(), st.sampled_from((".tar", ".tar.gz", ".tar.bz2")))
@slow
def test_as_a_tar(machine: Machine, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, f"host{suffix}")
        mode = {".tar": "w", ".tar.gz": "w:gz", ".tar.bz2": "w:bz2"}[suffix]
        with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
            for path, text in files(machine).items():
                member = tarfile.TarInfo(f"name-of-the-host{path}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
        check(machine, scan(RecordedReader(archive)).topology)


def check(machine: Machine, topology: Topology) -> None:
    """Hold what was found against what was drawn."""
    assert list(topology.online) == machine.online
    assert set(topology.offline) == machine.offline
    sockets = machine.groups("socket")
    assert {(socket.id, *socket.cpus) for socket in topology.sockets} == {
        (machine.socket_ids[number], *sorted(cpus)) for number, cpus in sockets.items()
    }
    assert {(core.id, *core.cpus) for core in topology.cores} == {
        (3 * number, *sorted(cpus)) for number, cpus in machine.groups("core").items()
    }
    check_dies(machine, topology)
    check_clusters(machine, topology)
    check_caches(machine, topology)
    check_nodes(machine, topology)


def socket_id(machine: Machine, cpus: set[int]) -> int:
    return machine.socket_ids[machine.places[min(cpus)].socket]


def check_dies(machine: Machine, topology: Topology) -> None:
    expected = {
        (machine.die_ids[number], socket_id(machine, cpus), *sorted(cpus))
        for number, cpus in machine.groups("die").items()
        if machine.dies == "told"
    }
    assert {(die.id, die.socket_id, *die.cpus) for die in topology.dies} == expected


def check_clusters(machine: Machine, topology: Topology) -> None:
    expected = {
        (machine.cluster_ids[number], socket_id(machine, cpus), *sorted(cpus))
        for number, cpus in machine.groups("cluster").items()
        if machine.clusters == "told"
    }
    found = {(each.id, each.socket_id, *each.cpus) for each in topology.clusters}
    assert found == expected
    assert not any(cluster.inferred for cluster in topology.clusters)


def check_caches(machine: Machine, topology: Topology) -> None:
    kinds = (
        ("core", 1, "Data", 64 << 10),
        ("core", 1, "Instruction", 48 << 10),
        ("cluster", 2, "Unified", 512 << 10),
        ("die", 3, "Unified", 32 << 20),
    )
    expected = {
        (level, kind, size, *sorted(cpus))
        for group, level, kind, size in kinds
        for cpus in machine.groups(group).values()
    }
    found = [(each.level, each.type, each.size_bytes, *each.cpus) for each in topology.caches]
    assert set(found) == expected
    assert len(found) == len(expected)


def check_nodes(machine: Machine, topology: Topology) -> None:
    ids = machine.node_ids
    nodes = machine.nodes()
    assert [node.id for node in topology.numa_nodes] == list(ids)
    for number, node in enumerate(topology.numa_nodes):
        assert set(node.cpus) == nodes[number]
        assert node.memory_bytes == machine.memory_kib[number] * 1024
        assert node.distances == {
            ids[other]: machine.distances[number, other] for other in range(len(ids))
        }
    for socket in topology.sockets:
        numbers = {machine.node(cpu) for cpu in socket.cpus}
        assert set(socket.node_ids) == {ids[number] for number in numbers}


SERVER = {
    "/proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x48\nCPU part\t: 0xd01\n",
    "/sys/class/dmi/id/sys_vendor": "Huawei",
}
"""What a server with Kunpeng 920 says of itself; Linux 4.14 of CentOS 7.6 tells no clusters."""


def kunpeng(
    dies: Sequence[Sequence[int]],
    offline: Sequence[int] = (),
    more: Mapping[str, str] | None = None,
) -> tuple[CpuCluster, ...]:
    """Scan a server with one socket and an L3 for each of ``dies``; return its clusters."""
    online = sorted({cpu for die in dies for cpu in die} - set(offline))
    texts = {f"{CPU}/online": ",".join(map(str, online)), **SERVER, **(more or {})}
    for die in dies:
        here = CpuSet(die) - CpuSet(offline)
        for cpu in here:
            texts[f"{CPU}/cpu{cpu}/topology/physical_package_id"] = "0"
            texts[f"{CPU}/cpu{cpu}/topology/core_id"] = str(cpu)
            texts[f"{CPU}/cpu{cpu}/topology/core_siblings"] = CpuSet(online).to_mask()
            texts[f"{CPU}/cpu{cpu}/cache/index3/level"] = "3"
            texts[f"{CPU}/cpu{cpu}/cache/index3/shared_cpu_map"] = here.to_mask()
    host = seen(texts)
    assert gap(host, "clusters") == (not host.topology.clusters)
    return host.topology.clusters


TWO_DIES = (range(24), range(24, 48))


def test_a_kunpeng_920_whose_kernel_tells_no_clusters_has_clusters_of_four() -> None:
    """Documentation/admin-guide/perf/hisi-pmu.rst: a CCL has four cores."""
    clusters = kunpeng(TWO_DIES)
    assert [str(cluster.cpus) for cluster in clusters[:2]] == ["0-3", "4-7"]
    assert len(clusters) == 12
    assert all(cluster.inferred for cluster in clusters)


@pytest.mark.parametrize(
    ("why", "dies", "offline", "more"),
    [
        (
            "another part",
            TWO_DIES,
            (),
            {"/proc/cpuinfo": SERVER["/proc/cpuinfo"].replace("1\n", "2\n")},
        ),
        ("a guest", TWO_DIES, (), {"/sys/class/dmi/id/sys_vendor": "QEMU"}),
        (
            "a guest",
            TWO_DIES,
            (),
            {"/sys/class/dmi/id/bios_vendor": "EFI Development Kit II / OVMF"},
        ),
        ("an offline CPU", TWO_DIES, (5,), {}),
        ("an offline CPU at the end", TWO_DIES, (47,), {}),
        ("four offline CPUs of two clusters", TWO_DIES, (24, 25, 46, 47), {}),
        ("half clusters at both ends", (range(2, 26),), (), {}),
        ("CPUs numbered across dies", (range(0, 48, 2), range(1, 48, 2)), (), {}),
        ("no L3", (), (), {f"{CPU}/cpu0/topology/physical_package_id": "0"}),
    ],
)
def test_nothing_is_inferred_where_it_is_not_certain(
    why: str, dies: Sequence[Sequence[int]], offline: Sequence[int], more: dict[str, str]
) -> None:
    assert kunpeng(dies, offline, more) == (), why


def test_nothing_is_inferred_where_the_firmware_does_not_tell_a_server() -> None:
    assert kunpeng(TWO_DIES, more={"/sys/class/dmi/id/sys_vendor": ""}) == ()
