"""``virtboost net emulate --frr``: bgpd, zebra and bfdd as nodes, reflectors, switches and spines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.daemon import need, wait_until
from support.emulations import below, command, outside, ran, seen
from support.networks import described
from virtboost.net.emulate.frr import PROGRAMS
from virtboost.net.emulate.scene import Fault, Scene, scene
from virtboost.net.emulate.speaker import Role

pytestmark = pytest.mark.needs_root

DEATHS: dict[str, Any] = {"nodes": 50, "churn": {"node_failures_per_day": 1}}
"""BFD is chosen, which bfdd is for."""

RESTARTS = {"node_failures_per_day": 1, "daemon_restarts_per_day": 20}
"""So many that graceful restart is chosen, and no BFD."""

RACKS: dict[str, Any] = {"nodes": [{"count": 50, "racks": 5}], "fabric": {"kind": "bgp"}}


@pytest.fixture(autouse=True)
def _needs() -> None:
    need("bird", "ip", "nsenter", "setpriv", "unshare", *PROGRAMS)


def acted(
    design: str, size: int, by_frr: tuple[Role, ...], *faults: Fault, **changes: Any
) -> Scene:
    network = described(**(DEATHS | changes))
    return scene(network, nodes=size, design=design, faults=faults, by_frr=by_frr)


def words() -> list[str]:
    """Return the folders of last words that FRR has on this machine."""
    return sorted(path.name for path in Path("/var/tmp/frr").glob("*"))


def test_a_mesh_is_as_planned_through_faults() -> None:
    """Five nodes: ten sessions, four each; five paths and routes; twenty ordered pairs and routes told."""
    before = outside(), words()
    run = ran(acted("calico-mesh", 5, ("nodes",), "kill", "cut", "freeze"))
    assert run.problems == ()
    found = ("sessions", "sessions_per_node", "rib_paths", "fib_routes")
    assert [seen(run, key) for key in found] == [10, 4, 5, 5]
    assert (run.reach.sent, run.reach.arrived, run.updates) == (20, 20, 20)
    assert "bird_memory" not in run.measures
    assert run.unplanned["frr_memory"].least > 5_000_000
    assert [fault.noticed_by for fault in run.faults] == [4, 4, 4]
    for fault in run.faults[1:]:
        assert fault.noticed is not None
        assert 0.1 < fault.noticed.least <= fault.noticed.most < 5, "BFD of 3 x 100 ms"
    assert (outside(), words()) == before


def test_a_node_of_several_blocks_announces_each() -> None:
    run = ran(acted("calico-mesh", 3, ("nodes",), pods_per_node=100))
    assert (seen(run, "rib_paths"), seen(run, "fib_routes")) == (6, 6)
    assert run.problems == ()


def test_reflectors_of_both_daemons_are_as_planned(tmp_path: Path) -> None:
    """Two bgpds for four BIRDs: 9 sessions; of three others' blocks two paths, of one's own one."""
    options = ("--design", "calico-reflectors", "--nodes", "6", "--frr", "reflectors")
    with command(tmp_path, *options, "--json") as process:
        wait_until(
            lambda: list(below(process.pid).values()).count("bgpd") == 2, 60, lambda: "no bgpd"
        )
        out, err = process.communicate(timeout=300)
    document = json.loads(out)
    assert (process.returncode, err) == (bool(document["rejected"]), "")
    counts = {key: each["measured"]["most"] for key, each in document["measures"].items()}
    assert counts.pop("bird_memory") > 500_000
    assert counts == {
        "sessions": 9, "sessions_per_node": 2, "sessions_per_reflector": 5, "rib_paths": 7, "fib_routes": 4,
    }  # fmt: skip
    assert document["unplanned"]["frr_reflector_memory"]["least"] > 5_000_000
    assert document["reach"] == {"sent": 12, "arrived": 12}


def test_reflectors_and_nodes_notice_by_bfd() -> None:
    run = ran(acted("calico-reflectors", 6, ("nodes", "reflectors"), "reflector", "cut"))
    assert run.problems == ()
    assert [seen(run, key) for key in ("sessions", "rib_paths", "fib_routes")] == [9, 7, 4]
    reflector, cut = run.faults
    assert (reflector.noticed_by, cut.noticed_by) == (0, 3)
    assert cut.noticed is not None and cut.noticed.most < 5


@pytest.mark.parametrize(
    ("by_frr", "paths"),
    [(("switches",), 1 + 2 * 6), (("nodes",), 1 + 2 * 5), (("nodes", "switches"), 1 + 2 * 6)],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_racks_are_as_planned(by_frr: tuple[Role, ...], paths: int) -> None:
    """Six nodes in four racks: 12 sessions below, 16 above; FRR's switches tell a node of itself."""
    run = ran(acted("calico-tor", 6, by_frr, "cut", "switch-cut", **RACKS))
    assert run.problems == ()
    assert (run.nodes, run.switches) == (6, 10)
    found = ("sessions", "fabric_sessions", "rib_paths", "fib_routes", "switch_routes")
    assert [seen(run, key) for key in found] == [12, 16, paths, 6, 6]
    assert (seen(run, "next_hops"), seen(run, "switch_next_hops")) == (2, 2)
    assert run.reach.sent == run.reach.arrived == 30
    cut, switch_cut = run.faults
    assert (cut.noticed_by, switch_cut.noticed_by) == (5, 0)
    assert cut.noticed is not None and cut.noticed.most < 5
    assert switch_cut.lost.most < 5, "BFD of 3 x 100 ms, half of the ways"


def test_graceful_restart_keeps_packets_going() -> None:
    """Two minutes pass until all say that they have started; a silent node is dead all the same."""
    run = ran(acted("calico-mesh", 4, ("nodes",), "kill", "cut", churn=RESTARTS))
    assert run.problems == ()
    kill, cut = run.faults
    assert (kill.noticed_by, kill.noticed) == (0, None)
    assert kill.lost.most < 0.5
    assert cut.noticed_by == 3
    assert cut.noticed is not None and 3 < cut.noticed.least <= cut.noticed.most < 15, "9 s of hold"
