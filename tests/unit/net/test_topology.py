"""What a picture of a design shows: every node once, in racks and groups as they are planned."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.networks import described
from virtboost.net.calico import reflection
from virtboost.net.plan import DESIGNS
from virtboost.net.scale import scale_of
from virtboost.net.topology import Topology, topology


def built(design: str, **changes: Any) -> Topology:
    return topology(DESIGNS[design], described(**changes))


MIXED = [{"count": 10, "racks": 3, "architecture": "aarch64"}, {"count": 4, "racks": 1}]


def test_nodes_are_spread_over_racks() -> None:
    found = built("calico-mesh", nodes=MIXED)
    assert [cell.name for cell in found.cells] == ["rack 1", "rack 2", "rack 3", "rack 4"]
    assert [cell.nodes for cell in found.cells] == [4, 3, 3, 4]
    assert [cell.racks[0].architecture for cell in found.cells] == [*["aarch64"] * 3, "x86_64"]
    assert found.joined == "every node peers with every other: 91 sessions"  # 14 x 13 / 2
    assert (found.above, found.inside) == (None, "")


def test_reflectors_stand_above_all_racks() -> None:
    found = built("calico-reflectors", nodes=[{"count": 200, "racks": 5}])
    assert found.above is not None
    assert (found.above.role, found.above.count) == ("reflector", 3)
    assert found.joined == "every node peers with all 3: 594 sessions"  # 3 x 197 + 3
    assert found.beside == "3 Typhas between the nodes and the datastore"


def test_groups_have_two_reflectors_each() -> None:
    found = built("calico-rack-reflectors")
    assert [(cell.rack_count, cell.nodes, cell.speakers) for cell in found.cells] == [
        *[(6, 240, 2)] * 3,
        (7, 280, 2),
    ]
    assert found.joined == "all 8 reflectors peer with each other: 28 sessions"
    assert found.inside == "every node peers with the two reflectors of its group: 1,984 sessions"


def test_groups_of_many_have_reflectors_above() -> None:
    found = built("calico-rack-reflectors", nodes=[{"count": 16_000, "racks": 400}])
    assert found.above is not None
    assert (len(found.cells), found.above.count) == (58, 3)
    assert found.joined == "each group's two peer with all 3: 348 sessions"


def test_a_rack_that_is_too_large_is_several_groups() -> None:
    found = built("calico-rack-reflectors", nodes=[{"count": 1000, "racks": 2}])
    assert [(cell.rack_count, cell.nodes) for cell in found.cells] == [(1, 250)] * 4


def test_every_rack_has_its_switches() -> None:
    found = built("calico-tor", fabric={"kind": "bgp"})
    assert {(cell.speakers, cell.nodes) for cell in found.cells} == {(2, 40)}
    assert found.role == "switch"
    assert found.inside.endswith("of its rack: 2,000 sessions")


PACKETS = [
    ("calico-mesh", {}, "packets go as they are; MTU of pods 1500"),
    ("calico-vxlan", {}, "packets go in VXLAN, each node to 999 others; MTU of pods 1450"),
    ("calico-ipip-cross", {"fabric": {"kind": "l3"}}, "packets go in IPIP between racks, each node to 999 others; MTU of pods 1480"),
    ("ovn-zones", {}, "packets go in Geneve, each node to 999 others; MTU of pods 1442"),
]  # fmt: skip


@pytest.mark.parametrize(("design", "changes", "told"), PACKETS)
def test_how_packets_go_is_told(design: str, changes: dict[str, Any], told: str) -> None:
    assert built(design, **changes).packets == told


@given(st.integers(1, 30_000), st.integers(1, 800), st.integers(0, 3_000), st.integers(1, 80))
def test_every_node_is_in_one_place(count: int, racks: int, more: int, apart: int) -> None:
    groups = [{"count": count, "racks": min(racks, count), "architecture": "aarch64"}]
    if more:
        groups.append({"count": more, "racks": min(apart, more)})
    addresses = {"pods": ["32.0.0.0/3"], "services": "10.96.0.0/16", "nodes": "172.16.0.0/12"}
    network = described(nodes=groups, addresses=addresses)
    for name in ("calico-mesh", "calico-rack-reflectors"):
        cells = topology(DESIGNS[name], network).cells
        kinds: Counter[str] = Counter()
        for rack in (rack for cell in cells for rack in cell.racks):
            kinds[rack.architecture] += rack.count * rack.nodes
        assert (kinds["aarch64"], kinds["x86_64"]) == (count, more)
        assert all(cell.nodes for cell in cells)
    assert len(cells) == reflection(scale_of(network)).groups
