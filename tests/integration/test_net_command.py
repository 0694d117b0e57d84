"""``virtboost net`` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from virtboost.net.template import NAMES


def run(*argv: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    environment = {
        "COLUMNS": str(columns),
        "PYTHONPATH": ":".join(sys.path),
        "PATH": "/usr/bin:/bin",
        "XDG_STATE_HOME": "/nowhere",
    }
    return subprocess.run(
        [sys.executable, "-m", "virtboost", "net", *argv], capture_output=True, text=True, check=False, env=environment, timeout=60
    )  # fmt: skip


@pytest.fixture
def described(tmp_path: Path) -> Callable[[str], Path]:
    def write(name: str) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(run("template", name).stdout)
        return path

    return write


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_planned(
    name: str, described: Callable[[str], Path], golden: Callable[[str, str], None]
) -> None:
    done = run("plan", str(described(name)))
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    golden(f"net/{name}.txt", done.stdout)


def test_every_figure_of_every_design(described: Callable[[str], Path]) -> None:
    path = described("flat")
    shown = run("plan", str(path), "-v").stdout
    document = json.loads(run("plan", str(path), "--json").stdout)
    assert document["schema"] == "virtboost.net-plan/1"
    for candidate in document["candidates"]:
        assert f"\n{candidate['name']}: {candidate['title']}"[:60] in shown
        for figure in candidate["quantities"].values():
            assert figure["tag"] in ("exact", "measured", "published", "extrapolated")
            assert all(key in document["sources"] for key in figure["sources"])


def test_a_plan_is_written_whole(described: Callable[[str], Path], tmp_path: Path) -> None:
    path = described("small")
    written = tmp_path / "plan.json"
    assert run("plan", str(path), "-o", str(written)).returncode == 0
    assert written.read_text() == run("plan", str(path), "--json").stdout


@pytest.mark.parametrize("verb", [("template", "small"), ("plan", "/dev/stdin")])
def test_standard_output_that_is_full(verb: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "virtboost", "net", *verb],
            input=run("template", "small").stdout, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env={"PYTHONPATH": ":".join(sys.path), "XDG_STATE_HOME": "/nowhere"}, timeout=60
        )  # fmt: skip
    problem = "standard output cannot be written: No space left on device"
    assert (done.returncode, done.stderr) == (2, f"virtboost: {problem}\n")


def test_no_design_is_a_finding(described: Callable[[str], Path]) -> None:
    path = described("tenants")
    path.write_text(path.read_text().replace("offload]", "userspace]"))
    done = run("plan", str(path))
    assert done.returncode == 1
    assert "no design serves this network" in done.stdout


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("pods_per_node", "pods_pernode", ":3: unknown key 'pods_pernode'; did you mean 'pods_per_node'?"),
        ("10.244.0.0/16", "10.96.128.0/17", ":6: addresses: services 10.96.0.0/16 and pods 10.96.128.0/17 overlap"),
        ("10.244.0.0/16", "10.244.0.0/24", ":2: addresses.pods: room for 4 blocks of /26; 50 nodes of 30 pods need 50: a /20 at least"),
        ("nodes: 50", "nodes: [", "not YAML"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    before: str, after: str, told: str, described: Callable[[str], Path]
) -> None:
    path = described("small")
    path.write_text(path.read_text().replace(before, after))
    done = run("plan", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_what_is_not_there() -> None:
    assert "cannot be read" in run("plan", "/nowhere.yaml").stderr
    assert "no such template" in run("template", "huge").stderr


def test_files_are_written_to_a_new_folder(
    described: Callable[[str], Path], tmp_path: Path
) -> None:
    path, folder = described("racks"), tmp_path / "out"
    assert run("plan", str(path), "--write", str(folder)).returncode == 0
    names = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
    assert names == [
        "bird/node-any.conf",
        "bird/switch-192.168.0.1.conf",
        "bird/switch-192.168.0.2.conf",
        "calico.yaml",
        "commands.sh",
        "frr/node-any.conf",
        "frr/switch-192.168.0.1.conf",
        "frr/switch-192.168.0.2.conf",
    ]
    again = run("plan", str(path), "--write", str(folder))
    assert again.returncode == 2
    assert "cannot be written: File exists" in again.stderr


def test_a_cluster_is_described_and_planned(tmp_path: Path) -> None:
    objects, path = tmp_path / "objects.json", tmp_path / "net.yaml"
    status = {
        "nodeInfo": {"architecture": "arm64"},
        "addresses": [{"type": "InternalIP", "address": "192.168.0.7"}],
    }
    node = {"kind": "Node", "metadata": {"name": "kp1"}, "status": status}
    objects.write_text(json.dumps({"kind": "List", "items": [node]}))
    given = ("--fabric", "l2", "--pods", "10.244.0.0/16", "--services", "10.96.0.0/16")
    done = run("describe", str(objects), *given)
    assert (done.returncode, done.stderr) == (0, "")
    path.write_text(done.stdout)
    assert run("plan", str(path)).returncode == 0
    assert "give --pods CIDR" in run("describe", str(objects), "--fabric", "l2").stderr


def test_a_cluster_is_held_against_its_plan(
    described: Callable[[str], Path], tmp_path: Path
) -> None:
    """One node of the fifty, and no pool of Calico."""
    status = {
        "nodeInfo": {"architecture": "arm64"},
        "addresses": [{"type": "InternalIP", "address": "10.9.9.9"}],
    }
    node = {"kind": "Node", "metadata": {"name": "kp1"}, "status": status}
    objects = tmp_path / "objects.json"
    objects.write_text(json.dumps({"kind": "List", "items": [node]}))
    done = run("drift", str(described("small")), str(objects), "--json")
    assert (done.returncode, done.stderr) == (1, "")
    document = json.loads(done.stdout)
    assert (document["schema"], document["design"]) == ("virtboost.net-drift/1", "calico-mesh")
    assert [each["object"] for each in document["differences"]] == [
        *("cluster", "node kp1", "IPPool 10.244.0.0/16")
    ]
    done = run("drift", str(described("small")), str(objects), "--design", "calico-mash")
    assert (done.returncode, done.stdout) == (2, "")
    assert "calico-mash: no such design" in done.stderr
