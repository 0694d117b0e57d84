"""``virtboost plan`` as a person types it."""

import json
import subprocess
from pathlib import Path

import pytest

from support.captures import HOSTS
from support.sshd import virtboost

KUNPENG = str(HOSTS / "96arm-2s4n24cl4c" / "host.tar.zst")

WORKLOAD = """
guests:
- {name: db, template: database, memory: 2GiB}
- {name: hpc, template: memory-bandwidth, vcpus: 8, memory: 1GiB}
- {name: web, template: general, count: 3, memory: 256MiB}
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        virtboost("plan", *arguments), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def asked(tmp_path: Path) -> str:
    path = tmp_path / "workload.yaml"
    path.write_text(WORKLOAD)
    return str(path)


def test_text_file_and_picture(asked: str, tmp_path: Path) -> None:
    plan, page = tmp_path / "plan.json", tmp_path / "plan.html"
    done = run(asked, "-H", KUNPENG, "--limit", "0.2", "-o", str(plan), "--html", str(page))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("kunpeng-lab: 5 of 5 placed")
    assert done.stdout.rstrip().endswith(f"report: {page}")
    document = json.loads(plan.read_text())
    assert document["schema"] == "virtboost.plan/1"
    assert {guest["name"] for guest in document["guests"]} == {
        "db",
        "hpc",
        "web-1",
        "web-2",
        "web-3",
    }
    assert "hpc" in page.read_text()


def test_json_is_the_same_each_time(asked: str) -> None:
    first, second = (run(asked, "-H", KUNPENG, "--json", "--limit", "0.2") for _ in range(2))
    assert first.stdout == second.stdout
    assert json.loads(first.stdout)["unplaced"] == []


def test_what_has_no_place_is_told_by_the_status(asked: str) -> None:
    Path(asked).write_text("guests: [{name: big, vcpus: 200, memory: 1GiB}]")
    done = run(asked, "-H", KUNPENG, "--limit", "0")
    assert done.returncode == 1
    assert "no place for big: " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "give a WORKLOAD.yaml, or --running"),
        (("nothing.yaml",), "nothing.yaml: cannot be read: No such file or directory"),
        (("--running", "-H", KUNPENG), "--running: no guest runs"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], problem: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert problem in done.stderr


def test_plan_in_the_words_of_one_program(asked: str) -> None:
    done = run(asked, "-H", KUNPENG, "--limit", "0", "--emit", "nova")
    assert (done.returncode, done.stderr) == (0, "")
    flavors = [line for line in done.stdout.splitlines() if line.startswith("openstack flavor")]
    assert len(flavors) == 3  # the three of web are alike


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--emit", "docker"), "no container has a place"),
        (("--emit", "nova", "--domain", "db.xml"), "--domain goes with --emit libvirt"),
        (("--domain", "db.xml"), "--domain goes with --emit libvirt"),
        (("--emit", "libvirt", "--domain", "/no/such.xml"), "No such file or directory"),
        (("--emit", "nova", "--json"), "of --json, --script and --emit one at most"),
    ],
)
def test_emit_that_cannot_be(asked: str, arguments: tuple[str, ...], reason: str) -> None:
    done = run(asked, "-H", KUNPENG, "--limit", "0", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_density_of_hosts_side_by_side(tmp_path: Path) -> None:
    other = str(HOSTS / "32arm-2s4n8cl4c" / "host.tar.zst")
    words = virtboost("density", "-H", KUNPENG, "-H", other)
    text = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert text.stderr == ""
    assert text.stdout.startswith("kunpeng-lab\n")
    assert "no host can be emptied" in text.stdout
    done = subprocess.run([*words, "--json"], capture_output=True, timeout=120, check=True)
    document = json.loads(done.stdout)
    assert document["schema"] == "virtboost.density/1"
    counted = {h["server"]: [n["cpus"] for n in h["nodes"]] for h in document["hosts"]}
    assert counted == {"kunpeng-lab": [24] * 4, "taishan-32": [8] * 4}


def test_density_tells_of_a_host_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"rubbish")
    words = virtboost("density", "-H", KUNPENG, "-H", str(broken))
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert "broken.tar" in done.stderr
    assert done.stdout.startswith("kunpeng-lab\n")
