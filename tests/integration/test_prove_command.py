"""``virtboost prove`` on this machine: a setting of the kernel, and what a program prints of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sshd import virtboost

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("prove")]

SETTING = Path("/proc/sys/vm/stat_interval")

SPEC = r"""
plan: fix.json
settle_s: 0
workloads:
- {name: interval, command: [cat, /proc/sys/vm/stat_interval], figure: '(\S+)', better: higher, unit: s}
- {name: constant, command: [echo, '5'], figure: '(\S+)', better: lower}
"""


@pytest.fixture
def before() -> Iterator[str]:
    found = SETTING.read_text()
    yield found
    SETTING.write_text(found)


@pytest.fixture
def asked(tmp_path: Path, before: str) -> Path:
    change = {"kind": "sysctl", "name": "vm.stat_interval", "value": str(int(before) + 9)}
    plan = {"schema": "virtboost.plan/1", "hostname": socket.gethostname(), "changes": [change]}
    (tmp_path / "fix.json").write_text(json.dumps(plan))
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


def command(asked: Path, *words: str) -> tuple[tuple[str, ...], dict[str, str]]:
    state = str(asked.parent / "state")
    return virtboost("prove", str(asked), *words), {**os.environ, "XDG_STATE_HOME": state}


def run(asked: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv, environment = command(asked, *words)
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=120, check=False, env=environment
    )


def test_an_effect_and_none(asked: Path, before: str) -> None:
    """The figure is the setting itself: the effect is what was changed, exactly."""
    output = asked.parent / "found.json"
    done = run(asked, "--yes", "-o", str(output))
    assert (done.returncode, done.stderr) == (0, "")
    assert "interval: better:" in done.stdout
    assert "constant: no difference: 5 -> 5" in done.stdout
    assert SETTING.read_text() == before
    told = json.loads(output.read_text())
    verdict = told["verdicts"][0]
    assert verdict["effect"] == 9
    assert verdict["low"] == pytest.approx(9)
    assert {run["figure"] for run in told["runs"] if run["workload"] == "interval"} == {
        float(before), float(before) + 9,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[echo, '5']", "[sh, -c, 'echo lost >&2; exit 3']", "exit status 3: lost"),
        ("[echo, '5']", "[echo, nan]", "its figure is no number"),
        ("[echo, '5']", "[echo, many]", "its figure is no number: 'many'"),
        (r"[echo, '5'], figure: '(\S+)'", "[echo, '5'], figure: 'x(.)'", "no figure in its output"),
        ("[echo, '5']", "[/nonexistent]", "No such file"),
        (
            "better: lower",
            "better: lower, limit_s: 0.2, command: [sleep, '9']",
            "no end after 0.2 s",
        ),
    ],
)
def test_a_workload_that_fails_says_how(
    asked: Path, before: str, old: str, new: str, problem: str
) -> None:
    text = SPEC.replace(old, new)
    if "sleep" in new:
        text = text.replace("command: [echo, '5'], ", "")
    asked.write_text(text)
    done = run(asked, "--yes")
    assert done.returncode == 1
    assert "constant: failed: " in done.stdout
    assert problem in " ".join(done.stdout.split())
    assert SETTING.read_text() == before


def test_killed_in_the_middle_the_next_start_says_what_to_undo(asked: Path, before: str) -> None:
    asked.write_text(SPEC.replace("[echo, '5']", "[sleep, '60']"))
    argv, environment = command(asked, "--yes")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=environment) as process:
        end = time.monotonic() + 30
        while SETTING.read_text() == before and time.monotonic() < end:
            time.sleep(0.02)
        process.kill()
    assert SETTING.read_text() != before
    done = run(asked, "--yes")
    assert done.returncode == 2
    assert "is not undone: virtboost undo 1" in done.stderr
    undone = subprocess.run(
        virtboost("undo", "1"), env=environment, capture_output=True, check=False
    )
    assert undone.returncode == 0
    assert SETTING.read_text() == before


def test_interrupted_the_host_is_as_it_was(asked: Path, before: str) -> None:
    asked.write_text(SPEC.replace("[echo, '5']", "[sleep, '60']"))
    argv, environment = command(asked, "--yes")
    with subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        end = time.monotonic() + 30
        while SETTING.read_text() == before and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert SETTING.read_text() == before


def test_what_waits_for_a_reboot_is_refused(asked: Path) -> None:
    path = "/etc/sysctl.d/virtboost-prove.conf"
    change = {"kind": "file-edit", "path": path, "before": None, "after": "vm.swappiness = 1\n"}
    plan = {"schema": "virtboost.plan/1", "hostname": socket.gethostname(), "changes": [change]}
    (asked.parent / "fix.json").write_text(json.dumps(plan))
    done = run(asked, "--yes")
    assert done.returncode == 2
    assert "takes effect" in done.stderr
    assert not Path(path).exists()


def test_without_a_terminal_nobody_agrees(asked: Path, before: str) -> None:
    done = run(asked)
    assert done.returncode == 2
    assert "--yes carries it out" in done.stderr
    assert SETTING.read_text() == before
