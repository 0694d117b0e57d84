"""The project's recorded hosts, as other programs told them in the same boot."""

import re
import tomllib
from pathlib import Path

import pytest

from support.captures import HOSTS
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.scan.host import scan
from virtboost.transport.recorded import RecordedReader

NAMES = sorted(folder.name for folder in HOSTS.iterdir() if folder.is_dir())


@pytest.fixture(scope="module", params=NAMES)
def folder(request: pytest.FixtureRequest) -> Path:
    return HOSTS / str(request.param)


@pytest.fixture(scope="module")
def host(folder: Path) -> Host:
    return scan(RecordedReader(folder / "host.tar.zst"))


def test_name_and_card_tell_what_it_is(folder: Path, host: Host) -> None:
    shape = re.match(r"(\d+)(?:arm|x86)-(\d+)s(\d+)n(?:(\d+)cl(\d+)c)?", folder.name)
    assert shape is not None
    topology = host.topology
    clusters = topology.clusters
    assert [int(number) for number in shape.groups(default="0")] == [
        len(topology.online),
        len(topology.sockets),
        len(topology.numa_nodes),
        len(clusters),
        len(clusters[0].cpus) if clusters else 0,
    ]
    card = tomllib.loads((folder / "host.toml").read_text())
    assert card["kernel"] == host.kernel.release
    assert card["provenance"]
    assert card["redacted"]
    assert set(card["oracles"]) == {file.name for file in folder.glob("*.txt")}


def test_it_is_small(folder: Path) -> None:
    assert sum(file.stat().st_size for file in folder.iterdir()) < 300 << 10


def test_nothing_of_it_is_inferred(host: Host) -> None:
    assert not any(cluster.inferred for cluster in host.topology.clusters)


def test_topology_is_that_of_lscpu(folder: Path, host: Host) -> None:
    rows = [
        line.split(",")
        for line in (folder / "lscpu.txt").read_text().splitlines()
        if not line.startswith("#")
    ]

    def groups(column: int) -> set[CpuSet]:
        values = {row[column] for row in rows}
        return {CpuSet(int(row[0]) for row in rows if row[column] == v) for v in values}

    def caches(level: int, kind: str) -> set[CpuSet]:
        return {
            cache.cpus
            for cache in host.topology.caches
            if (cache.level, cache.type) == (level, kind)
        }

    assert groups(1) == {node.cpus for node in host.topology.numa_nodes}
    assert groups(2) == {socket.cpus for socket in host.topology.sockets}
    assert groups(3) == {core.cpus for core in host.topology.cores}
    assert groups(5) == caches(1, "Data")
    assert groups(6) == caches(1, "Instruction")
    assert groups(7) == caches(2, "Unified")
    assert groups(8) == caches(3, "Unified")


def test_clusters_and_caches_are_those_of_lstopo(folder: Path, host: Host) -> None:
    text = (folder / "lstopo.txt").read_text()
    clusters = re.split(r"\(Cluster\) .*\n", text)[1:]
    cpus = [CpuSet(map(int, re.findall(r"PU L#\d+ \(P#(\d+)\)", part))) for part in clusters]
    cores = [core.cpus for core in host.topology.cores]  # lstopo merges a cluster of one core
    assert cpus == [each.cpus for each in host.topology.clusters if each.cpus not in cores]
    sizes = {
        (cache.level, cache.type[0]): cache.size_bytes for cache in reversed(host.topology.caches)
    }
    told = {
        (int(level), {"d": "D", "i": "I"}.get(kind, "U")): int(size) << {"KB": 10, "MB": 20}[unit]
        for level, kind, size, unit in re.findall(r"L(\d)([di]?) L#0 \((\d+)(KB|MB)\)", text)
    }
    assert sizes == told


def test_nodes_are_those_of_numactl(folder: Path, host: Host) -> None:
    text = (folder / "numactl.txt").read_text()
    sizes = {int(node): int(size) for node, size in re.findall(r"node (\d+) size: (\d+) MB", text)}
    rows = dict(re.findall(r"^ *(\d+): +(.*)$", text, re.MULTILINE))
    for node in host.topology.numa_nodes:
        assert node.memory_bytes is not None
        assert node.memory_bytes >> 20 == sizes[node.id]
        assert list(node.distances.values()) == [int(word) for word in rows[str(node.id)].split()]


def test_pci_functions_are_those_of_lspci(folder: Path, host: Host) -> None:
    told = re.findall(
        r"^(\S+) .*\[(\w{4})\]: .*\[(\w{4}):(\w{4})\]", (folder / "lspci.txt").read_text(), re.M
    )
    assert told == [
        (device.address, device.class_code[:4], device.vendor_id, device.device_id)
        for device in host.pci
    ]


def test_devices_are_near_their_expander_bridge(folder: Path, host: Host) -> None:
    card = tomllib.loads((folder / "host.toml").read_text())
    bridges = {int(bus): node for bus, node in card["expander_bridges"].items()}
    for device in host.pci:
        bus = int(device.address[5:7], 16)
        above = [first for first in bridges if first <= bus]
        assert device.node_id == (bridges[max(above)] if above else None)
