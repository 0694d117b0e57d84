"""CPUs as boxes inside each other: nothing lost, nothing twice, whatever the topology is."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from support.rich_host import rich_host
from virtboost.model.cpuset import CpuSet, union
from virtboost.model.numa import NumaNode
from virtboost.model.topology import Cache, Core, CpuCluster, Socket, Topology
from virtboost.report.topology import Box, draw, walk

CPUS = 24


def runs(kind: str) -> st.SearchStrategy[list[CpuSet]]:
    """Disjoint runs of CPUs; those of several kinds nest or cross as it happens."""
    edges = st.sets(st.integers(0, CPUS), min_size=2, max_size=7).map(sorted)
    return edges.map(lambda ends: [CpuSet(range(*pair)) for pair in pairwise(ends)])


def topology(
    sockets: list[CpuSet], nodes: list[CpuSet], caches: list[CpuSet], clusters: list[CpuSet]
) -> Topology:
    return Topology(
        online=CpuSet(range(CPUS)),
        offline=CpuSet(),
        isolated=CpuSet(),
        nohz_full=CpuSet(),
        sockets=tuple(Socket(id=i, cpus=cpus, node_ids=()) for i, cpus in enumerate(sockets)),
        dies=(),
        clusters=tuple(
            CpuCluster(id=i, socket_id=0, cpus=cpus, inferred=False)
            for i, cpus in enumerate(clusters)
        ),
        cores=tuple(Core(id=i, socket_id=0, cpus=CpuSet([i])) for i in range(CPUS)),
        caches=tuple(
            Cache(level=3, type="Unified", size_bytes=1 << 20, cpus=cpus) for cpus in caches
        ),
        numa_nodes=tuple(
            NumaNode(id=i, cpus=cpus, memory_bytes=0, distances={}, hugepages=())
            for i, cpus in enumerate(nodes)
        ),
    )


def cells(box: Box) -> list[int]:
    return [*box.cells, *(pcpu for inner in box.boxes for pcpu in cells(inner))]


@given(runs("socket"), runs("node"), runs("cache"), runs("cluster"))
def test_every_cpu_of_a_box_is_in_it_once(
    sockets: list[CpuSet], nodes: list[CpuSet], caches: list[CpuSet], clusters: list[CpuSet]
) -> None:
    drawing = draw(topology(sockets, nodes, caches, clusters))
    for box in walk(drawing.boxes):
        assert sorted(cells(box)) == list(box.cpus)
        assert 1 <= box.columns <= max(len(box.boxes), len(box.cells))
        assert all(inner.cpus < box.cpus for inner in box.boxes)
    outermost = [box.cpus for box in drawing.boxes]
    assert sum(len(cpus) for cpus in outermost) == len(union(outermost))


@given(runs("socket"), runs("node"))
def test_every_group_is_drawn_or_named(sockets: list[CpuSet], nodes: list[CpuSet]) -> None:
    drawing = draw(topology(sockets, nodes, [], []))
    drawn = [group.label for box in walk(drawing.boxes) for group in box.groups]
    crossing = [group.label for group in drawing.crossing]
    labels = [f"Socket {i}" for i in range(len(sockets))]
    labels += [f"NUMA node {i}" for i in range(len(nodes))]
    assert sorted(drawn + crossing) == sorted(labels)


def test_a_group_that_crosses_another_is_named_and_not_drawn() -> None:
    halves = [CpuSet.parse("0-11"), CpuSet.parse("12-23")]
    drawing = draw(topology(halves, [CpuSet.parse("6-17")], [], []))
    assert [box.cpus for box in drawing.boxes] == halves
    assert [group.label for group in drawing.crossing] == ["NUMA node 0"]


def test_groups_of_the_same_cpus_share_a_box() -> None:
    host = rich_host()
    drawing = draw(host.topology)
    assert [box.kind for box in drawing.boxes] == ["socket", "socket"]
    node = drawing.boxes[0].boxes[1]
    assert [group.label for group in node.groups] == ["Die 1", "NUMA node 1", "L3 48 MiB"]
    assert node.node_id == 1
    assert [box.kind for box in node.boxes] == ["cluster"] * 4
    assert [str(core.cpus) for core in node.boxes[0].boxes] == ["32-33", "34-35", "36-37", "38-39"]


def test_caches_of_a_core_are_said_once() -> None:
    assert draw(rich_host().topology).private_caches == ("L1d 64 KiB", "L1i 64 KiB", "L2 512 KiB")


def test_a_socket_of_128_cpus_without_anything_inside_fits_a_screen() -> None:
    plain = topology([CpuSet(range(CPUS))], [], [], [])
    drawing = draw(plain)
    assert drawing.boxes[0].columns in (6, 8)
    assert all(box.width <= 1240 for box in walk(drawing.boxes))
