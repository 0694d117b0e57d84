"""The topology of every host at hand is what ``lstopo`` and ``lscpu`` say of the same files.

The expected values are these programs'.  Where one of them is known to say less, the test names it:

- hwloc leaves out a die that is its whole socket, and a cluster that is a core, a die or a socket
  (hwloc/topology-linux.c);
- ``lscpu`` knows neither dies nor clusters, and reads nothing without
  ``/sys/devices/system/cpu/possible``, which a kernel of 2009 lacks: there ``lstopo`` lends it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from support.captures import CAPTURES, MISSING, archives, name_of, unpacked
from support.oracles import Lscpu, Lstopo
from virtboost.model.cpuset import union
from virtboost.model.topology import Topology
from virtboost.scan.host import scan
from virtboost.transport.local import LocalReader
from virtboost.transport.recorded import RecordedReader

pytestmark = pytest.mark.skipif(
    shutil.which("lstopo") is None, reason="lstopo is not installed (hwloc-nox)"
)


class Seen(NamedTuple):
    """One host: what virtboost says of it, and the files for the others; None: this machine."""

    topology: Topology
    root: Path | None


@pytest.fixture(scope="module", params=[None, *archives()], ids=name_of)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    archive: Path | None = request.param
    if archive is None:
        return Seen(scan(LocalReader()).topology, None)
    root = unpacked(archive, tmp_path_factory.mktemp("host"))
    return Seen(scan(RecordedReader(archive)).topology, root)


@pytest.fixture(scope="module")
def lstopo(seen: Seen) -> Lstopo:
    return Lstopo(seen.root)


@pytest.fixture(scope="module")
def lscpu(seen: Seen, lstopo: Lstopo) -> Lscpu:
    possible = seen.root and seen.root / "sys/devices/system/cpu/possible"
    if possible and not possible.exists():
        possible.write_text(f"{union(cpus for _, cpus in lstopo.sets('PU'))}\n")
    return Lscpu(seen.root)


@pytest.mark.skipif(not CAPTURES.exists(), reason=MISSING)
def test_there_are_hosts_to_compare() -> None:
    assert len(archives()) >= 3


def test_sockets(seen: Seen, lstopo: Lstopo) -> None:
    sockets = {(socket.id, socket.cpus) for socket in seen.topology.sockets}
    assert sockets == lstopo.sets("Package")


def test_dies(seen: Seen, lstopo: Lstopo) -> None:
    whole = {socket.cpus for socket in seen.topology.sockets}
    dies = {(die.id, die.cpus) for die in seen.topology.dies if die.cpus not in whole}
    assert dies == lstopo.sets("Die")


def test_clusters(seen: Seen, lstopo: Lstopo) -> None:
    topology = seen.topology
    shown = {core.cpus for core in topology.cores} | {die.cpus for die in topology.dies}
    shown |= {socket.cpus for socket in topology.sockets}
    clusters = {
        (cluster.id, cluster.cpus)
        for cluster in topology.clusters
        if cluster.cpus not in shown and not cluster.inferred
    }
    assert clusters == lstopo.clusters()


def test_cores(seen: Seen, lstopo: Lstopo) -> None:
    assert {(core.id, core.cpus) for core in seen.topology.cores} == lstopo.sets("Core")


def test_caches(seen: Seen, lstopo: Lstopo) -> None:
    caches = {
        (cache.level, cache.type, cache.size_bytes, cache.cpus) for cache in seen.topology.caches
    }
    assert caches == lstopo.caches()


def test_numa_nodes(seen: Seen, lstopo: Lstopo) -> None:
    topology = seen.topology
    if seen.root is None:  # the balloon of a virtual machine may move while we look
        topology = scan(LocalReader()).topology
    nodes = {(node.id, node.cpus, node.memory_bytes) for node in topology.numa_nodes}
    assert nodes == Lstopo(seen.root).nodes()


def test_distances(seen: Seen, lstopo: Lstopo) -> None:
    found = {node.id: node.distances for node in seen.topology.numa_nodes}
    assert found == (lstopo.distances() or {node: {node: 10} for node in found})


def test_huge_pages(seen: Seen, lstopo: Lstopo) -> None:
    """hwloc counts base pages among the sizes; they are the smallest."""
    expected = {
        node: {size: count for size, count in pages.items() if size != min(pages)}
        for node, pages in lstopo.pages().items()
    }
    found = {
        node.id: {pool.size_bytes: pool.total for pool in node.hugepages}
        for node in seen.topology.numa_nodes
    }
    assert found == expected


def test_partitions_of_lscpu(seen: Seen, lscpu: Lscpu) -> None:
    topology = seen.topology
    assert {core.cpus for core in topology.cores} == lscpu.partition("Core")
    assert {socket.cpus for socket in topology.sockets} == lscpu.partition("Socket")
    assert {node.cpus for node in topology.numa_nodes if node.cpus} == lscpu.partition("Node")


def test_caches_of_lscpu(seen: Seen, lscpu: Lscpu) -> None:
    letters = {"Data": "d", "Instruction": "i", "Unified": ""}
    found: dict[str, set[object]] = {}
    sizes: dict[str, int | None] = {}
    for cache in seen.topology.caches:
        name = f"L{cache.level}{letters[cache.type]}"
        found.setdefault(name, set()).add(cache.cpus)
        sizes[name] = cache.size_bytes
    names = [name for name in lscpu.names if name.startswith("L")]
    assert found == {name: lscpu.partition(name) for name in names}
    assert sizes == lscpu.cache_sizes()
