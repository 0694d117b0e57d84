"""Starts of tunnels on shared CPUs and on each node's own, by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from support.networks import described
from virtboost.net.plan import DESIGNS
from virtboost.net.simulate import tunnels
from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.simulation import case_of
from virtboost.net.simulate.together import Together


@pytest.mark.parametrize(
    ("cores", "ends"),
    [
        (0, {1: 1.0, 2: 2.0, 3: 3.0}),
        (1, {1: 3.0, 2: 5.0, 3: 6.0}),
        (2, {1: 1.5, 2: 2.5, 3: 3.5}),
    ],
)
def test_cpus_are_shared_alike(cores: int, ends: dict[int, float]) -> None:
    """Pieces of 1, 2 and 3 s.  One CPU: each has 1 s after 3, the two left after 2 more.  Two: 2/3 of
    a CPU each until 1.5; then each of the two left has one of its own."""
    shared = Together({"each_s": 0.5}, cores)
    found: dict[int, float] = {}

    def end(seconds: int) -> None:
        found[seconds] = shared.now

    for seconds in ends:
        shared.begin(seconds, {"each_s": 2 * seconds}, partial(end, seconds))
    shared.run()
    assert found == pytest.approx(ends)
    assert shared.cpu_s(3) == 3


def began(design: str, nodes: int, cores: int = 0, **costs: Any) -> tunnels.Began:
    case = case_of(
        described(nodes=nodes, pods_per_node=10),
        DESIGNS[design],
        costs=Costs(**costs),
        conditions=Conditions(cores=cores, typhas=False),
    )
    return tunnels.begin(case)


def test_switches_get_their_rules() -> None:
    """4 nodes have 2 * 3 + 5 * 10 = 56 rules each: 0.1 + 56 * 0.01 = 0.66 s; of 2 CPUs twice that."""
    alone = began("ovs-vxlan", 4, switch_s=0.1, rule_s=0.01)
    assert alone.ready == pytest.approx([0.66] * 4)
    assert (alone.nodes, alone.central) == ({"switch_s": 4, "rule_s": 224}, {})
    assert began("ovs-vxlan", 4, 2, switch_s=0.1, rule_s=0.01).ready == pytest.approx([1.32] * 4)


def test_nodes_that_are_begun_in_turn_are_ready_in_turn() -> None:
    """Every 0.5 s one that takes 0.1 s: none meets another."""
    found = began("ovs-vxlan", 3, 4, spawn_s=0.5, switch_s=0.1, rule_s=0)
    assert found.ready == pytest.approx([0.6, 1.1, 1.6])
    assert found.cpu_s == pytest.approx(0.3)


def test_etcd_tells_all_of_all() -> None:
    """Three nodes tell etcd at 1 s.  It tells all three of the first until 1.3 s, of both others,
    that wait, until 1.9.  A node has one remote in the first and both in all: 2/3 of 0.03 s for each
    of 3 changes, of which the last two end at 1.9 + 0.04."""
    found = began("calico-vxlan", 3, agent_s=1, watch_s=0.1, remote_s=0.03)
    assert found.ready == pytest.approx([1.94] * 3)
    assert found.nodes == pytest.approx({"agent_s": 3, "remote_s": 6})
    assert found.central == {"watch_s": 9}
    assert found.cpu_s == pytest.approx(3 + 0.18 + 0.9)


def test_ovn_works_out_anew_what_comes_while_it_is_busy() -> None:
    """Both of two nodes join at 1 s.  The database tells of the first until 1 + 0.1 * 1, of the second
    until 1.2.  A controller takes 0.5 s for the first, and for the second once more: 1.1 to 2.1."""
    costs: dict[str, Any] = dict.fromkeys(
        ("switch_s", "rule_s", "port_s", "tunnel_s", "northd_row_s"), 0.0
    )
    scale = described(nodes=2, pods_per_node=10)
    forms = DESIGNS["ovn-central"].forms
    rows, rules = (
        forms[key](case_of(scale, DESIGNS["ovn-central"]).scale).value
        for key in ("logical_flows", "openflow_rules")
    )
    told = rows + 2 * 10
    costs |= {"chassis_s": 1, "row_s": 0.1 / told, "controller_rule_s": 0.5 / rules}
    found = began("ovn-central", 2, **costs)
    assert found.ready == pytest.approx([2.1, 2.1])
    assert found.central["row_s"] == 2 * told
    assert found.nodes["controller_rule_s"] == pytest.approx(4 * rules)
    assert found.nodes["tunnel_s"] == pytest.approx(2)


def test_typhas_stand_between() -> None:
    """Of 10 nodes 3 Typhas; each passes on to two connections of a node.  Etcd tells 3 of 10 nodes,
    Typhas 20 connections of each."""
    case = case_of(described(nodes=10), DESIGNS["calico-vxlan"], costs=Costs())
    found = tunnels.begin(case)
    assert found.central == {"watch_s": 10 * 3 + 10 * 20}
    assert found.nodes == pytest.approx({"agent_s": 10, "remote_s": 90})
