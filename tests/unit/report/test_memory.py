"""The parts of a node's memory, by hand."""

import pytest

from virtboost.model.cpuset import CpuSet
from virtboost.model.numa import HugepagePool, NumaNode
from virtboost.report.memory import memory_parts, pool_label

GIB = 1 << 30


def node(total_gib: int | None, free_gib: int | None, *pools: HugepagePool) -> NumaNode:
    return NumaNode(
        id=0,
        cpus=CpuSet(),
        memory_bytes=None if total_gib is None else total_gib * GIB,
        free_bytes=None if free_gib is None else free_gib * GIB,
        distances={},
        hugepages=pools,
    )


def gib(total: int, free: int) -> HugepagePool:
    return HugepagePool(size_bytes=GIB, total=total, free=free)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            node(100, 30, gib(40, 10)),
            {"pages-used": 30, "pages-free": 10, "used": 30, "free": 30},
        ),
        (node(100, 100), {"free": 100}),
        (node(100, None, gib(25, 25)), {"pages-free": 25, "unknown": 75}),
        (node(0, 0), {}),
        (node(None, 4), {}),
        (node(0, 5, gib(4, 4)), {}),
    ],
)
def test_parts_make_up_the_whole(given: NumaNode, expected: dict[str, float]) -> None:
    assert {part.kind: part.percent for part in memory_parts(given)} == pytest.approx(expected)


def test_a_pool_says_what_is_used() -> None:
    assert pool_label(gib(64, 16)) == "1 GiB pages: 48 of 64 used"
