"""``virtboost plan --fleet`` as a user types it: tables, files, recordings, and what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pyarrow as arrow
import pytest
from pyarrow import csv, parquet

from support.captures import HOSTS
from support.fleets import SERVERS, judged, sequence
from support.sshd import virtboost

KP = HOSTS / "32arm-2s4n8cl4c" / "host.tar.zst"

FLEET = """
servers:
  - {name: big, count: 2, arch: x86_64, nodes: [{cpus: 8, memory: 32GiB}, {cpus: 8, memory: 32GiB}]}
recordings: [kp.tar.zst]
"""

REQUESTS = """
requests:
  - {name: web, count: 2, vcpus: 2, memory: 1GiB, strategy: anti-affinity, group: web, arch: x86_64}
  - {name: arm, vcpus: 4, memory: 128MiB, cells: 2, arch: aarch64}
  - {name: huge, vcpus: 64, memory: 1GiB}
"""


def told(*words: str | Path, status: int) -> str:
    done = subprocess.run(
        virtboost("plan", *map(str, words)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout or done.stderr


def test_tables(tmp_path: Path) -> None:
    """The data set's own files; the same as Parquet give the same plan."""
    asked = sequence("c1")
    words = ("--fleet", SERVERS, "--requests", asked, "--online", "--json")
    document = json.loads(told(*words, status=0))
    assert judged(document, "c1") == {}
    assert document["totals"]["placed"] == 4998
    for path in (SERVERS, asked):
        parquet.write_table(csv.read_csv(path), tmp_path / f"{path.stem}.parquet")
    again = (
        "--fleet",
        tmp_path / "servers.parquet",
        "--requests",
        tmp_path / f"{asked.stem}.parquet",
    )
    assert json.loads(told(*again, "--online", "--json", status=0)) == document


def test_files_with_a_recording(tmp_path: Path) -> None:
    shutil.copy(KP, tmp_path / "kp.tar.zst")
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "requests.yaml").write_text(REQUESTS)
    words = ("--fleet", tmp_path / "fleet.yaml", "--requests", tmp_path / "requests.yaml")
    document = json.loads(told(*words, "--json", status=1))
    places = {each["request"]: each for each in document["assignments"]}
    assert {places["web-1"]["server"], places["web-2"]["server"]} == {"big-1", "big-2"}
    assert places["arm"]["server"] == "taishan-32"
    assert [cell["vcpus"] for cell in places["arm"]["cells"]] == [2, 2]
    assert [each["request"] for each in document["refused"]] == ["huge"]
    assert "cpus           removed      3, left      0" in told(
        *words, "--explain", "huge", status=1
    )
    assert "huge: cpus: none of the 3 servers" in told(*words, status=1)
    folder = json.loads(
        told("--fleet", tmp_path, "--requests", tmp_path / "requests.yaml", "--json", status=1)
    )
    assert folder["totals"]["servers"] == 1


def test_objectives(tmp_path: Path) -> None:
    """Two on one server leave 3 pCPUs and 6 GiB, and nothing fits there: on two, one more does."""
    (tmp_path / "fleet.csv").write_text("CPU1,RAM1\n11,22\n11,22\n")
    (tmp_path / "requests.csv").write_text("flavor_vcpus,flavor_ram,numa\n4,8,1\n4,8,1\n")
    words = ("--fleet", tmp_path / "fleet.csv", "--requests", tmp_path / "requests.csv", "--online")
    assert "placed on 1 of 2 servers" in told(*words, status=0)
    said = told(*words, "--objective", "stranded", status=0)
    assert "placed on 2 of 2 servers" in said
    assert "stranded: 0 pCPUs and 0" in said
    assert "'money' is not one of 'servers', 'stranded'" in " ".join(
        told(*words, "--objective", "money", status=2).replace("│", " ").split()
    )


@pytest.mark.parametrize(
    ("fleet", "requests", "problem"),
    [
        ("CPU1,RAM1\n4,x\n", "", "fleet.csv:2: RAM1: 'x' is not a whole number from 0 on"),
        ("cores\n4\n", "", "fleet.csv:2: no column CPU1"),
        ("", "", "fleet: no server"),
        (
            "CPU1,RAM1\n4,4\n",
            "flavor_vcpus,flavor_ram,numa,strategy\n1,1,1,near\n",
            "requests.csv:2: strategy: 'near' is none of affinity, anti-affinity, fault_domain",
        ),
        (
            "CPU1,RAM1\n4,4\n",
            "flavor_vcpus,flavor_ram,numa\n1,-1,1\n",
            "requests.csv:2: flavor_ram: '-1' is not a whole number from 0 on",
        ),
        (
            "CPU1,RAM1\n4,4\n",
            "flavor_vcpus,flavor_ram,numa\n0,1,1\n",
            "fleet: guest 0: vcpus, memory and cells are 1 or more",
        ),
    ],
)
def test_bad_tables(tmp_path: Path, fleet: str, requests: str, problem: str) -> None:
    (tmp_path / "fleet.csv").write_text(fleet)
    (tmp_path / "requests.csv").write_text(requests)
    words = ("--fleet", tmp_path / "fleet.csv", "--requests", tmp_path / "requests.csv")
    assert problem in told(*words, status=2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("servers: [{name: a, node: []}]", "did you mean 'nodes'?"),
        ("servers: [{name: a, nodes: [{cpus: 4, memory: -1GiB}]}]", "is not a size"),
        ("servers: [{name: a, nodes: []}]", "nodes: one at least"),
        ("servers: [{name: a, count: 0, nodes: [{cpus: 1, memory: 1G}]}]", "count: from 1 to"),
        (
            "servers: [{name: a, nodes: [{cpus: 1, memory: 1G}], distances: [[10, 12]]}]",
            "distances: 1 rows of 1, or none",
        ),
        ("recordings: [nothing.tar]", "no such recording"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "fleet.yaml").write_text(text)
    (tmp_path / "requests.yaml").write_text(REQUESTS)
    words = ("--fleet", tmp_path / "fleet.yaml", "--requests", tmp_path / "requests.yaml")
    assert problem in told(*words, status=2)


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "cannot be read" in told("--fleet", tmp_path / "x.csv", "--requests", "y", status=2)
    assert "goes with --requests" in told("--fleet", tmp_path, status=2)
    table = tmp_path / "t.parquet"
    table.write_bytes(b"rubbish")
    assert "as Parquet" in told("--fleet", table, "--requests", table, status=2)
    parquet.write_table(arrow.table({"CPU1": [4], "RAM1": [None]}), table)
    assert "RAM1: '' is not" in told("--fleet", table, "--requests", table, status=2)
