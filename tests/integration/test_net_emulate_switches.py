"""``virtboost net emulate`` with Open vSwitch: real switches, rules, tunnels and containers' ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from msgspec import structs

from support.daemon import gone, need, wait_until
from support.emulations import below, command, outside, ran, seen
from support.networks import described
from virtboost.errors import TransportError
from virtboost.net.emulate.scene import Fault, Scene, scene

pytestmark = pytest.mark.needs_root

OPTIONS = ("--design", "ovs-vxlan", "--json")


@pytest.fixture(autouse=True)
def _needs() -> None:
    need("ethtool", "ip", "nsenter", "ovs-vswitchd", "ovsdb-server", "setpriv", "unshare")


def acted(nodes: int, *faults: Fault) -> Scene:
    return scene(described(nodes=50), nodes=nodes, design="ovs-vxlan", faults=faults)


def test_switches_are_as_planned(tmp_path: Path) -> None:
    """Five nodes of 30 pods: 2 x 4 + 5 x 30 + 2 rules; of each tunnel there, back and out of it."""
    before = outside()
    with command(tmp_path, *OPTIONS, "--nodes", "5") as process:
        out, err = process.communicate(timeout=120)
    document = json.loads(out)
    assert (process.returncode, err) == (bool(document["rejected"]), "")
    measures = {key: each["measured"] for key, each in document["measures"].items()}
    assert measures.pop("switch_memory")["least"] > 5_000_000
    assert all(each["least"] == each["most"] for each in measures.values())
    assert {key: each["most"] for key, each in measures.items()} == {
        "tunnels_per_node": 4, "openflow_rules": 160, "megaflows": 12, "learned_addresses": 0,
    }  # fmt: skip
    assert document["reach"] == {"sent": 20, "arrived": 20}
    assert 0 < document["converged"]["least"] <= document["converged"]["most"] < 60
    assert document["cost"]["daemon_cpu_s"] > 0
    assert outside() == before


def test_a_killed_switch_loses_packets_until_its_rules_are_back_and_a_frozen_one_none() -> None:
    """The datapath of user space dies with its daemon; packets wait for one that stands still."""
    run = ran(acted(4, "kill", "cut", "freeze"))
    kill, cut, freeze = run.faults
    assert run.problems == ()
    assert [each.noticed_by for each in run.faults] == [0, 0, 0]
    assert 0.7 < kill.lost.least <= kill.lost.most < 10
    assert 0.7 < cut.lost.least <= cut.lost.most < 5
    assert freeze.lost.most < 0.5


def test_two_run_at_once_with_the_same_addresses(tmp_path: Path) -> None:
    options = (*OPTIONS, "--nodes", "4")
    with command(tmp_path, *options) as one, command(tmp_path, *options) as other:
        found = [json.loads(process.communicate(timeout=120)[0]) for process in (one, other)]
    assert [one.returncode, other.returncode] == [bool(each["rejected"]) for each in found]
    assert [each["reach"] for each in found] == [{"sent": 12, "arrived": 12}] * 2


def test_a_rule_that_is_missing_is_told() -> None:
    """The first node lacks the rule to the last one's subnet."""
    first, *others = acted(3).speakers
    kept = [
        line
        for line in first.config.splitlines(keepends=True)
        if not line.startswith(f"table=3,ip,nw_dst={others[-1].blocks[0]} ")
    ]
    broken = structs.replace(first, config="".join(kept))
    run = ran(structs.replace(acted(3), speakers=(broken, *others), stalled_s=5))
    rules = run.measures["openflow_rules"].measured
    assert (rules.least, rules.most) == (155, 156)
    assert run.reach.arrived == 5
    assert run.problems == (
        "tunnels of a node: not as planned",
        "OpenFlow rules of a node: not as planned",
        "megaflows of a node's tunnels: not as planned",
        "1 packets did not arrive",
    )


def test_a_pod_with_another_ones_address_is_not_heard() -> None:
    """The last node's pods take each other's: their packets end at their ports."""
    *others, last = acted(3).speakers
    one, two = last.ends
    ends = (structs.replace(one, address=two.address), structs.replace(two, address=one.address))
    lying = structs.replace(last, ends=ends)
    run = ran(structs.replace(acted(3), speakers=(*others, lying), stalled_s=5))
    assert seen(run, "openflow_rules") == 156
    assert run.reach.arrived == 2


def test_a_controller_that_fails_is_told() -> None:
    first, *others = acted(2).speakers
    broken = structs.replace(first, config="echo no rules today; exit 3\n")
    with pytest.raises(TransportError, match=r"controller of 192\.168\.0\.1 ended: no rules today"):
        ran(structs.replace(acted(2), speakers=(broken, *others)))


def test_nothing_is_left_of_one_that_is_killed(tmp_path: Path) -> None:
    before = outside()
    with command(tmp_path, *OPTIONS, "--nodes", "4", "--fault", "cut") as process:
        wait_until(
            lambda: list(below(process.pid).values()).count("ovs-vswitchd") == 4,
            60,
            lambda: str(below(process.pid)),
        )
        found = below(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        wait_until(lambda: all(map(gone, found)), 20, lambda: str(found))
    assert outside() == before
