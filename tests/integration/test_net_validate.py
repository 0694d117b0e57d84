"""``virtboost net validate``: real daemons, small; what it keeps is used by plan and simulate."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from support.daemon import need
from virtboost.cli.net import app
from virtboost.errors import TransportError
from virtboost.net.emulate import launch, outcome
from virtboost.net.emulate.apart import apart
from virtboost.net.law import PAGE
from virtboost.net.simulate.cost import MACHINE
from virtboost.net.validate import conduct, machine
from virtboost.net.validate.rung import (
    LogicalRun,
    LogicalRung,
    Role,
    RuleRun,
    RuleRung,
    Run,
    Rung,
    SpeakerRun,
    SpeakerRung,
    WatchRun,
    WatchRung,
)

pytestmark = pytest.mark.needs_root

DESCRIPTION = """\
nodes: 140
pods_per_node: 30
fabric: {kind: l2}
addresses: {pods: [10.244.0.0/16], services: 10.96.0.0/16, nodes: 192.168.0.0/16}
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need("bird", "ip", "nsenter", "setpriv", "unshare")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "virtboost"


@pytest.fixture
def described(tmp_path: Path) -> str:
    path = tmp_path / "net.yaml"
    path.write_text(DESCRIPTION)
    return str(path)


def run(*argv: str) -> Result:
    return CliRunner().invoke(app, argv, env={"COLUMNS": "120"})


def climbed(rung: Rung) -> Run:
    content = apart(conduct.STAGE, msgspec.json.encode(rung), lambda _: None)
    found: Run = msgspec.json.decode(content, type=Run)
    return found


def test_a_network_is_predicted_and_run(
    described: str, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fourteen nodes: 91 sessions, 13 each, 182 routes told; nothing of them is in the fit.

    Other tests keep the CPUs busy meanwhile, so that is no reason to reject a run here; and BFD every
    100 ms may take living nodes for dead.
    """
    monkeypatch.setattr(outcome, "MOST_BUSY", 1.0)
    written = tmp_path / "out.json"
    options = ("--design", "calico-mesh", "--sizes", "6,10", "--hold-out", "14", "--repeats", "1")
    done = run("validate", described, *options, "-o", str(written))
    assert written.exists(), done.output
    found = json.loads(written.read_text())
    assert [each for each in found["problems"] if not each.startswith("cut, BFD 3 x 100 ms")] == []
    rows = {(row["what"], row["kind"]): row for row in found["comparisons"]}
    exact = {
        what: (row["predicted"], row["measured"]["least"], row["measured"]["most"])
        for (what, kind), row in rows.items()
        if kind == "exact"
    }
    assert exact == {
        "BGP sessions": (91, 91, 91),
        "BGP sessions of a node": (13, 13, 13),
        "paths that a node's daemon holds": (14, 14, 14),
        "routes to pods in a node's kernel": (14, 14, 14),
        "sessions, simulated": (91, 91, 91),
        "routes in kernels, simulated": (182, 182, 182),
    }
    assert rows["routes told", "messages"]["predicted"] == 182
    memory = rows["memory of a node's BIRD", "memory"]
    assert memory["predicted"] == pytest.approx(memory["measured"]["median"], rel=0.1)
    hold, *_ = (row for (what, _), row in rows.items() if what == "hold time 9 s, 50 % noticed")
    assert 9 * (0.75 - 1 / 3) <= hold["measured"]["least"] <= hold["measured"]["most"] <= 10
    assert done.exit_code == ("missed" in done.stdout or "not as planned" in done.stdout)
    assert "the 140 nodes described are 10 times the largest network that was run" in done.stdout
    _used(described, found["calibration"]["machine"]["kernel"], state)


def _used(described: str, kernel: str, state: Path) -> None:
    """Plan and simulate take the costs of this machine, and say so."""
    assert machine.kept(state) is not None
    planned = json.loads(run("plan", described, "--json").stdout)
    assert kernel in planned["machine"] == planned["sources"]["calibration"]
    note = "note: what daemons cost is as net validate measured it:"
    assert note in run("plan", described).stdout
    mesh = next(each for each in planned["candidates"] if each["name"] == "calico-mesh")
    assert "calibration" in mesh["quantities"]["node_memory"]["sources"]
    simulated = run(
        "simulate", described, "--design", "calico-mesh", "--scenario", "start", "--json"
    )
    assert kernel in json.loads(simulated.stdout)["runs"][0]["machine"]
    (file,) = state.glob("net-*.json")
    elsewhere = file.rename(state / "other.json")
    argv = ("--design", "calico-mesh", "--scenario", "start", "--costs", str(elsewhere), "--json")
    assert run("simulate", described, *argv).stdout == simulated.stdout


def test_a_network_of_tunnels_is_predicted_and_run(
    described: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven nodes, none of which is in the fit: 2 * 6 rules for others, 5 * 30 for pods, 2 more; 3
    megaflows for each tunnel.  Other tests take CPUs meanwhile."""
    need("ovs-vswitchd", "ovsdb-server", "ovs-ofctl", "ethtool")
    monkeypatch.setattr(outcome, "MOST_OTHERS", 1.0)
    written = tmp_path / "out.json"
    options = ("--design", "ovs-vxlan", "--sizes", "3,5", "--hold-out", "7", "--repeats", "1")
    done = run("validate", described, *options, "-o", str(written))
    found = json.loads(written.read_text())
    rows = {row["what"]: row for row in found["comparisons"]}
    exact = {what: row["predicted"] for what, row in rows.items() if row["kind"] == "exact"}
    assert exact == {
        "tunnels of a node": 6,
        "OpenFlow rules of a node": 164,
        "megaflows of a node's tunnels": 18,
        "addresses that a node's switch learned": 0,
    }
    assert all(rows[what]["met"] for what in exact)
    memory = rows["memory of a node's ovs-vswitchd"]
    assert memory["predicted"] == pytest.approx(memory["measured"]["median"], rel=0.1)
    assert rows["CPU of all daemons"]["measured"]["median"] > 0
    assert {"50 % of nodes are ready", "95 % of nodes are ready"} < {*rows}
    assert done.exit_code == ("missed" in done.stdout)
    argv = ("--design", "ovs-vxlan", "--scenario", "start", "--json")
    simulated = json.loads(run("simulate", described, *argv).stdout)["runs"][0]
    assert found["calibration"]["machine"]["kernel"] in simulated["machine"]
    said = found["calibration"]["costs"]["switch_s"]
    assert simulated["outcomes"][0]["times"]["installed"]["p50"] > said > 0


def test_without_a_calibration_costs_are_those_of_another_machine(described: str) -> None:
    assert json.loads(run("plan", described, "--json").stdout)["machine"] is None
    simulated = run(
        "simulate", described, "--design", "calico-mesh", "--scenario", "start", "--json"
    )
    assert json.loads(simulated.stdout)["runs"][0]["machine"] == MACHINE


@pytest.mark.parametrize(
    ("role", "sent", "installed"), [("node", 60, 121), ("reflector", 60 * 59 * 2, 0)]
)
def test_a_bird_with_synthetic_peers(role: Role, sent: int, installed: int) -> None:
    """Sixty with two blocks each: a node tells each of its own; a reflector of all but their own."""
    found = climbed(SpeakerRung(role=role, peers=60, blocks=2))
    assert isinstance(found, SpeakerRun)
    assert sent <= found.routes_sent <= 1.05 * sent
    assert found.routes_installed == installed
    law = PAGE.bird_memory(60, 120, 60)
    assert law.low <= found.memory_bytes <= (law.high or 0)
    assert 0 < found.up_s <= found.done_s < 60


def test_databases_of_ovn() -> None:
    """Eight switches of five ports: 122 + 33 x 8 + 4 x 40 rows; 86 + 165 x 8 + 4 x 40 + 5 x 5 rules."""
    need("ethtool", "ovn-controller", "ovn-northd", "ovs-vswitchd")
    found = climbed(LogicalRung(nodes=8, ports=5))
    assert isinstance(found, LogicalRun)
    assert (found.rows, found.rules) == (546, 1_591)
    assert found.cpu_s > 0 and 0 < found.seconds < 60


def test_rules_of_an_open_vswitch() -> None:
    """1.34 kB each, as was measured before (``ovs-rules``)."""
    need("ovs-vswitchd", "ovsdb-server", "ovs-ofctl")
    found = climbed(RuleRung(rules=20_000))
    assert isinstance(found, RuleRun)
    assert found.memory_bytes / 20_000 == pytest.approx(1_340, rel=0.2)
    assert found.cpu_s > 0


def test_watchers_of_an_etcd() -> None:
    """More watchers take more; each is told of each key."""
    need("etcd")
    few, many = (climbed(WatchRung(watchers=watchers, events=20)) for watchers in (5, 100))
    assert isinstance(few, WatchRun)
    assert isinstance(many, WatchRun)
    assert many.cpu_s > 3 * few.cpu_s > 0


def test_a_size_without_a_valid_run_is_told(
    described: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "MOST_BUSY", -1.0)
    monkeypatch.setattr(conduct, "PAUSES_S", (0, 0))
    done = run(
        "validate",
        described,
        "--design",
        "calico-mesh",
        "--sizes",
        "3,4",
        "--hold-out",
        "5",
        "--repeats",
        "1",
    )
    assert isinstance(done.exception, TransportError)
    assert str(done.exception).startswith("validation: no valid run in 2: ")


def test_what_is_missing_is_said_first(described: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "search_path", lambda: "/nowhere")
    done = run("validate", described, "--ladder")
    assert str(done.exception).startswith("not installed: bird, ip, mount")
