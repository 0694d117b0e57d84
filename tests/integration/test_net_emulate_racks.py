"""``virtboost net emulate`` of racks: BIRD on nodes, switches and spines; packets pass through all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from support.daemon import need
from support.emulations import command, outside, ran, seen
from support.networks import described
from virtboost.errors import InputError
from virtboost.net.emulate.scene import Fault, Scene, scene

pytestmark = pytest.mark.needs_root

FEW: dict[str, Any] = {
    "nodes": [{"count": 50, "racks": 5}],
    "fabric": {"kind": "bgp"},
    "churn": {"node_failures_per_day": 1},
}
"""Nodes that die: BFD is chosen, three packets may be missing."""


@pytest.fixture(autouse=True)
def _needs() -> None:
    need("bird", "ip", "nsenter", "setpriv", "unshare")


def acted(nodes: int, *faults: Fault, **changes: Any) -> Scene:
    network = described(**(FEW | changes))
    return scene(network, nodes=nodes, design="calico-tor", faults=faults)


def test_racks_are_as_planned(tmp_path: Path) -> None:
    """Two nodes in one rack: two switches, two spines; the other's block by both switches.

    Who gets no CPU for 1.5 s loses sessions by BFD: on a busy machine it is run again.
    """
    before = outside()
    for _ in range(3):
        with command(tmp_path, "--design", "calico-tor", "--nodes", "2", "--json") as process:
            out, err = process.communicate(timeout=120)
        document = json.loads(out)
        if not document["problems"]:
            break
    assert (document["problems"], err) == ([], "")
    assert process.returncode == bool(document["rejected"])
    assert (document["nodes"], document["switches"]) == (2, 4)
    counts = {key: each["measured"] for key, each in document["measures"].items()}
    assert counts.pop("bird_memory")["least"] > 500_000
    assert {key: each["least"] for key, each in counts.items()} == {
        "sessions": 4, "sessions_per_node": 2, "rib_paths": 3, "fib_routes": 2,
        "fabric_sessions": 4, "next_hops": 2, "switch_routes": 2, "switch_next_hops": 2,
    }  # fmt: skip
    assert document["reach"] == {"sent": 2, "arrived": 2}
    assert outside() == before


def test_four_racks_reach_each_other_through_faults() -> None:
    """Fourteen nodes, racks of 4, 4, 3, 3: 28 sessions below, 8 x 2 above; 1 + 2 x 13 paths."""
    run = ran(acted(14, "cut", "switch-cut", "switch-freeze"))
    assert run.problems == ()
    assert (run.nodes, run.switches) == (14, 10)
    found = ("sessions", "fabric_sessions", "rib_paths", "fib_routes", "switch_routes")
    assert [seen(run, key) for key in found] == [28, 16, 27, 14, 14]
    assert (seen(run, "next_hops"), seen(run, "switch_next_hops")) == (2, 2)
    assert run.reach.sent == run.reach.arrived == 14 * 13
    cut, switch_cut, switch_freeze = run.faults
    assert cut.noticed_by == 13
    assert cut.noticed is not None and cut.noticed.most < 5
    for fault in (switch_cut, switch_freeze):
        assert fault.noticed_by == 0, "the other switch still leads there"
    assert switch_freeze.lost.most < 0.5
    assert 0.1 < switch_cut.lost.most < 5, "BFD of 3 x 100 ms, half of the ways"


def test_switches_help_a_node_that_restarts() -> None:
    """Many restarts: nodes restart gracefully; switches do not, and are not waited for."""
    churn = {"node_failures_per_day": 1, "daemon_restarts_per_day": 20}
    run = ran(acted(8, "kill", "switch", churn=churn))
    assert run.problems == ()
    assert run.converged is not None and run.converged.most < 30
    for fault in run.faults:
        assert fault.noticed_by == 0
        assert fault.lost.most < 0.5, fault.fault


def test_packets_pass_through_switches_and_spines() -> None:
    """Without a kernel protocol in spines, racks know of each other and do not reach each other."""
    wanted = acted(4)
    spines = [
        structs.replace(each, config=each.config.replace("export filter pods;\n  };", "export none;\n  };"))
        for each in wanted.speakers[:2]
    ]  # fmt: skip
    run = ran(structs.replace(wanted, speakers=(*spines, *wanted.speakers[2:]), stalled_s=5))
    assert seen(run, "next_hops") == 2
    assert run.reach.arrived == 0


def test_nodes_need_room_for_a_subnet_of_each_rack() -> None:
    """Four racks of 2 and the fabric's 10 addresses: five subnets of /28 are 80 addresses."""
    addresses = {"pods": ["10.244.0.0/16"], "services": "10.96.0.0/16"}
    with pytest.raises(InputError, match=r"192\.168\.0\.0/26 has no room for 5 subnets of /28"):
        acted(8, addresses=addresses | {"nodes": "192.168.0.0/26"})
    assert acted(8, addresses=addresses | {"nodes": "192.168.0.0/25"}).prefix == 28


def test_no_switch_can_fail_where_there_is_none() -> None:
    with pytest.raises(InputError, match="--fault switch-cut: calico-mesh has none"):
        scene(described(), nodes=5, design="calico-mesh", faults=("switch-cut",))
