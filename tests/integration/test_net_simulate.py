"""``virtboost net simulate`` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import html


def run(*argv: str, columns: int = 100) -> subprocess.CompletedProcess[str]:
    environment = {
        "COLUMNS": str(columns),
        "PYTHONPATH": ":".join(sys.path),
        "PATH": "/usr/bin:/bin",
        "XDG_STATE_HOME": "/nowhere",
    }
    command = [sys.executable, "-m", "virtboost", "net", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)  # fmt: skip


@pytest.fixture
def net(tmp_path: Path) -> str:
    path = tmp_path / "net.yaml"
    path.write_text(run("template", "flat").stdout)
    return str(path)


@pytest.mark.parametrize("columns", [60, 100])
def test_a_simulation_is_told(net: str, columns: int, golden: Callable[[str, str], None]) -> None:
    argv = ("simulate", net, "--design", "calico-reflectors", "--nodes", "60", "--seed", "7")
    done = run(*argv, columns=columns)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= columns
    golden(f"net/simulation-{columns}.txt", done.stdout)
    assert run(*argv, columns=columns).stdout == done.stdout


def test_a_sweep_is_the_same_in_a_file_on_stdout_and_in_more_processes(
    net: str, tmp_path: Path
) -> None:
    path = tmp_path / "out.json"
    argv = (
        "simulate",
        net,
        "--design",
        "calico-mesh",
        "--scenario",
        "start",
        "--scenario",
        "failure",
        "--nodes",
        "20,40",
        "--seeds",
        "2",
    )
    done = run(*argv, "--json", "-o", str(path), "--jobs", "1")
    assert done.returncode == 0
    assert done.stdout == path.read_text()
    document = json.loads(done.stdout)
    assert document["schema"] == "virtboost.net-simulation/1"
    assert [(each["nodes"], each["seed"]) for each in document["runs"]] == [
        (20, 0),
        (20, 1),
        (40, 0),
        (40, 1),
    ]
    assert [each["scenario"] for each in document["runs"][0]["outcomes"]] == ["start", "failure"]
    assert run(*argv, "--json", "--jobs", "2").stdout == done.stdout


def test_the_recommended_design_is_simulated(net: str) -> None:
    planned = json.loads(run("plan", net, "--json").stdout)["recommendation"]["design"]
    found = json.loads(
        run("simulate", net, "--nodes", "50", "--scenario", "watch", "--json").stdout
    )
    assert found["design"] == planned


def test_costs_of_another_machine_replace_those_that_they_name(net: str, tmp_path: Path) -> None:
    costs = tmp_path / "costs.yaml"
    costs.write_text("machine: a slow one\nwatch_s: 0.001\n")
    argv = (
        "simulate",
        net,
        "--design",
        "ovs-vxlan",
        "--scenario",
        "policy",
        "--nodes",
        "10",
        "--json",
    )
    with_policy = Path(net).read_text() + "policies: {selectors: 1, pods: 1}\n"
    Path(net).write_text(with_policy)
    (slow,), (plain,) = (
        json.loads(run(*argv, *more).stdout)["runs"] for more in (("--costs", str(costs)), ())
    )
    assert slow["machine"] == "a slow one"
    """The tenth node is told at the tenth turn, and 100 us later it is there; then 20 us for a member."""
    told = [each["outcomes"][0]["times"]["told"]["most"] for each in (slow, plain)]
    assert told == pytest.approx([0.0101, 10 * 141e-6 + 100e-6])


def test_a_page_has_a_picture_of_each_time_by_size(net: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    done = run(
        "simulate",
        net,
        "--design",
        "calico-reflectors",
        "--scenario",
        "start",
        "--nodes",
        "20,60",
        "--html",
        str(path),
    )
    assert done.returncode == 0, done.stderr
    page = html.fromstring(path.read_text())
    assert page.findtext(".//title") == "virtboost: a network simulated"
    assert len(page.findall(".//figure/svg")) == 2
    cells = {str(text) for text in page.itertext()}
    assert {"a session is up after", "BGP sessions that came up", "117"} <= cells
    """Two reflectors and 58 nodes: 116 sessions and their own."""


BAD = [
    (("--nodes", "10,x"), "--nodes 10,x: numbers with commas"),
    (("--nodes", "0"), "--nodes 0: from 1 to 100,000"),
    (("--design", "calico"), "calico: no such design"),
    (
        ("--design", "calico-mesh", "--scenario", "reflector"),
        "--scenario reflector: calico-mesh has none",
    ),
    (("--seeds", "20000"), "more than 10,000 runs"),
    (("--costs", "/nowhere"), "/nowhere: cannot be read"),
]


@pytest.mark.parametrize(("options", "told"), BAD)
def test_bad_input_is_one_line(net: str, options: tuple[str, ...], told: str) -> None:
    done = run("simulate", net, *options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_cost_is_told_with_its_line(net: str, tmp_path: Path) -> None:
    costs = tmp_path / "costs.yaml"
    costs.write_text("machine: mine\nsesion_s: 1\n")
    done = run("simulate", net, "--costs", str(costs))
    assert done.returncode == 2
    assert "costs.yaml:2: unknown key 'sesion_s'; did you mean 'session_s'?" in done.stderr
