"""``virtboost net emulate`` of OVN: central databases, northd, and an ovn-controller on each node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from support.daemon import need
from support.emulations import command, outside, ran, seen
from support.networks import described
from virtboost.errors import TransportError
from virtboost.net.emulate.scene import Fault, Scene, scene

pytestmark = pytest.mark.needs_root

SYNC = "ovn-nbctl --wait=sb sync\n"

JOIN = """\
ovn-nbctl ls-add join -- lrp-add cluster cluster-join 0a:58:64:40:00:01 100.64.0.1/16 \\
    -- lsp-add join join-cluster -- lsp-set-type join-cluster router \\
    -- lsp-set-addresses join-cluster router \\
    -- lsp-set-options join-cluster router-port=cluster-join
"""


@pytest.fixture(autouse=True)
def _needs() -> None:
    need("ethtool", "ip", "nsenter", "ovn-controller", "ovn-northd", "ovs-vswitchd", "setpriv")


def acted(nodes: int, *faults: Fault) -> Scene:
    network = described(nodes=50, pods_per_node=10)
    return scene(network, nodes=nodes, design="ovn-central", faults=faults)


def test_logical_flows_and_rules_are_as_planned(tmp_path: Path) -> None:
    """Three nodes of 30 pods: 122 + 33 x 3 + 4 x 90 rows; 86 + 165 x 3 + 4 x 90 + 5 x 30 rules."""
    before = outside()
    with command(tmp_path, "--design", "ovn-central", "--nodes", "3", "--json") as process:
        out, err = process.communicate(timeout=200)
    document = json.loads(out)
    assert (process.returncode, err) == (bool(document["rejected"]), "")
    measures = {key: each["measured"] for key, each in document["measures"].items()}
    assert measures.pop("switch_memory")["least"] > 5_000_000
    assert measures.pop("controller_memory")["least"] > 2_000_000
    assert all(each["least"] == each["most"] for each in measures.values())
    assert {key: each["most"] for key, each in measures.items()} == {
        "tunnels_per_node": 2, "logical_flows": 581, "openflow_rules": 1091, "megaflows": 6,
    }  # fmt: skip
    assert document["reach"] == {"sent": 6, "arrived": 6}
    assert outside() == before


def test_with_a_switch_for_gateways_it_is_what_another_ovn_counted() -> None:
    """Ten switches of ten ports: 884 rows, 2,346 rules (``ovn-fit``); that network had one more."""
    wanted = acted(10)
    joined = wanted.central.replace(SYNC, JOIN + SYNC)
    run = ran(structs.replace(wanted, central=joined, stalled_s=30))
    assert (seen(run, "logical_flows"), seen(run, "openflow_rules")) == (884, 2_346)
    assert run.reach.arrived == 90
    assert run.problems == (
        "rows of logical flows in the southbound database: not as planned",
        "OpenFlow rules of a node: not as planned",
    )


def test_a_killed_switch_gets_its_rules_from_ovn_controller_again() -> None:
    run = ran(acted(3, "kill", "cut"))
    kill, cut = run.faults
    assert run.problems == ()
    assert 0.7 < kill.lost.least <= kill.lost.most < 20
    assert 0.7 < cut.lost.least <= cut.lost.most < 10


def test_databases_that_cannot_be_filled_are_told() -> None:
    broken = structs.replace(acted(2), central="ovn-nbctl no-such-command\n")
    with pytest.raises(
        TransportError, match=r"what fills OVN's databases ended: .*no-such-command"
    ):
        ran(broken)


def test_vxlan_has_a_rule_more_for_each_tunnel() -> None:
    """Four nodes of ten pods: 86 + 165 x 4 + 4 x 40 + 5 x 10 rules over Geneve, and three."""
    network = described(nodes=50, pods_per_node=10, fabric={"kind": "l2", "tunnel": "vxlan"})
    run = ran(scene(network, nodes=4, design="ovn-central", faults=()))
    assert run.problems == ()
    assert seen(run, "openflow_rules") == 959
