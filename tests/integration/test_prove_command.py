"""``virtboost prove`` on this machine: a setting of the kernel, and what programs print of it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sshd import virtboost

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("prove")]

SETTING = Path("/proc/sys/vm/stat_interval")

BOOT = "/proc/sys/kernel/random/boot_id"

SPEC = r"""
factors:
- {name: stat, plan: fix.json}
workloads:
- name: interval
  command: [cat, /proc/sys/vm/stat_interval]
  metrics: [{name: value, pattern: '(\S+)', better: higher, unit: s}]
- name: constant
  command: [echo, '5']
  metrics: [{name: five, pattern: '(\S+)', better: lower}]
settle_s: 0
null_blocks: 0
seed: 1
"""

CONSTANT = "[echo, '5']"


@pytest.fixture
def before() -> Iterator[str]:
    found = SETTING.read_text()
    yield found
    SETTING.write_text(found)


@pytest.fixture
def asked(tmp_path: Path, before: str) -> Path:
    write_plan(tmp_path, {"kind": "sysctl", "name": "vm.stat_interval", "value": wanted(before)})
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


def wanted(before: str) -> str:
    return str(int(before) + 9)


def write_plan(folder: Path, change: dict[str, object]) -> None:
    plan = {"schema": "virtboost.plan/1", "hostname": socket.gethostname(), "changes": [change]}
    (folder / "fix.json").write_text(json.dumps(plan))


def command(asked: Path, *words: str) -> tuple[tuple[str, ...], dict[str, str]]:
    state = str(asked.parent / "state")
    return virtboost("prove", *words), {**os.environ, "XDG_STATE_HOME": state}


def run(asked: Path, *words: str, around: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    argv, environment = command(asked, *words)
    return subprocess.run(
        (*around, *argv),
        cwd=asked.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )


def told(asked: Path, number: int = 1) -> dict[str, dict[str, object]]:
    """Return the verdicts of an experiment by ``workload metric``."""
    done = run(asked, "show", str(number), "--json")
    return {f"{v['workload']} {v['metric']}": v for v in json.loads(done.stdout)["verdicts"]}


def test_an_effect_and_none(asked: Path, before: str) -> None:
    """The figure is the setting itself: the effect is what was changed, exactly."""
    output, page, winners = (asked.parent / name for name in ("f.json", "f.html", "w.json"))
    files = ("-o", str(output), "--html", str(page), "--winners", str(winners))
    done = run(asked, str(asked), "--yes", *files)
    assert (done.returncode, done.stderr) == (0, "")
    assert "stat: keep: interval value: better" in done.stdout
    assert "constant five: no difference" in done.stdout
    assert SETTING.read_text() == before
    found = json.loads(output.read_text())
    verdict = found["verdicts"][0]
    assert verdict["effect"] == 9
    assert verdict["low"] == pytest.approx(9)
    assert {
        each["figures"]["value"] for each in found["runs"] if each["workload"] == "interval"
    } == {float(before), float(before) + 9}
    (change,) = json.loads(winners.read_text())["changes"]
    assert (change["name"], change["value"]) == ("vm.stat_interval", wanted(before))
    assert page.read_text().count("<svg") == 3


def test_what_is_kept_of_it(asked: Path) -> None:
    """Every run with the state that the machine was in, in a database that others can read."""
    assert run(asked, str(asked), "--yes").returncode == 0
    printed = run(asked, "list").stdout
    assert re.fullmatch(r"1  \S+  local  stat: done\n", printed)
    database = sqlite3.connect(asked.parent / "state" / "virtboost" / "experiments.sqlite")
    busy = "SELECT document ->> '$.before.busy_s', document ->> '$.after.busy_s' FROM run"
    states = database.execute(busy).fetchall()
    assert len(states) > 20
    assert all(0 < before <= after for before, after in states)
    times = database.execute("SELECT document ->> '$.began_at' FROM run").fetchall()
    assert times == sorted(times)
    assert run(asked, str(asked), "--yes").returncode == 0
    compared = json.loads(run(asked, "compare", "1", "2", "--json").stdout)["contrasts"]
    assert [each["agreement"] for each in compared] == ["agree", "agree"]
    assert run(asked, "show", "7").stderr == (
        "virtboost: no experiment 7; virtboost prove list shows what there is\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (CONSTANT, "[sh, -c, 'echo lost >&2; exit 3']", "exit status 3: lost"),
        (CONSTANT, "[echo, nan]", "its figure is no number"),
        (CONSTANT, "[echo, many]", "its figure is no number: 'many'"),
        (r"pattern: '(\S+)', better: lower", "pattern: 'x(.)', better: lower", "no figure in its output"),
        (CONSTANT, "[/nonexistent]", "/nonexistent: No such file or directory"),
        (CONSTANT, "[sleep, '9']\n  limit_s: 0.2", "no end after 0.2 s"),
        (r"pattern: '(\S+)', better: lower", "probe: power, better: lower", "the host does not tell its power"),
    ],
)  # fmt: skip
def test_a_workload_that_fails_says_how(
    asked: Path, before: str, old: str, new: str, problem: str
) -> None:
    assert old in SPEC
    asked.write_text(SPEC.replace(old, new))
    done = run(asked, str(asked), "--yes")
    assert done.returncode == 1
    assert "constant five: failed with it and without: " in done.stdout
    assert problem in " ".join(done.stdout.split())
    assert SETTING.read_text() == before


def test_one_that_fails_on_one_side_only(asked: Path, before: str) -> None:
    script = f"[sh, -c, 'grep -x {before.strip()} /proc/sys/vm/stat_interval']"
    asked.write_text(SPEC.replace(CONSTANT, script))
    done = run(asked, str(asked), "--yes")
    assert done.returncode == 1
    assert "constant five: failed with it, not without: exit status 1" in done.stdout
    assert "stat: do not keep: constant five: failed" in done.stdout


def killed(asked: Path, before: str, number: signal.Signals, *words: str) -> int:
    """Send a signal while the change is made and a workload runs; return how it ended."""
    argv, environment = command(asked, *words)
    with subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        end = time.monotonic() + 30
        while SETTING.read_text() == before and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(number)
        return process.wait(30)


def test_killed_in_the_middle_the_next_start_undoes_first(asked: Path, before: str) -> None:
    asked.write_text(SPEC.replace(CONSTANT, "[sleep, '60']"))
    assert killed(asked, before, signal.SIGKILL, str(asked), "--yes") == -signal.SIGKILL
    assert SETTING.read_text() != before
    asked.write_text(SPEC)
    done = run(asked, str(asked), "--yes")
    assert done.returncode == 0
    assert done.stderr == (
        "virtboost: experiment 1 was not at its end: its changes are undone first\n"
    )
    assert told(asked, 2)["interval value"]["before"] == float(before)
    assert SETTING.read_text() == before
    assert [line.split(": ")[1] for line in run(asked, "list").stdout.splitlines()] == [
        "killed",
        "done",
    ]


def test_killed_in_the_middle_it_goes_on(asked: Path, before: str) -> None:
    """The block that was killed does not count; the others do."""
    count = asked.parent / "count"
    script = f"echo >> {count}; [ $(wc -l < {count}) != 14 ] || sleep 60; echo 5"
    asked.write_text(SPEC.replace(CONSTANT, f"[sh, -c, '{script}']"))
    argv, environment = command(asked, str(asked), "--yes")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=environment) as process:
        end = time.monotonic() + 30
        while time.monotonic() < end and not (
            count.exists() and count.read_text().count("\n") == 14
        ):
            time.sleep(0.02)
        process.kill()
    done = run(asked, "resume", "1")
    assert done.returncode == 0, done.stderr
    found = json.loads(run(asked, "show", "1", "--json").stdout)
    assert [(each["number"], each["void"]) for each in found["voids"]] == [
        (3, "it was interrupted")
    ]
    assert [each["outcome"] for each in found["verdicts"]] == ["better", "no difference"]
    assert SETTING.read_text() == before


def test_killed_at_any_moment_the_next_start_begins_with_the_host_as_it_was(
    asked: Path, before: str
) -> None:
    """Fifteen times, some milliseconds after one run or another; no run without it ever saw it."""
    count, chance = asked.parent / "count", random.Random(1)
    asked.write_text(SPEC.replace(CONSTANT, f"[sh, -c, 'echo >> {count}; echo 5']"))
    argv, environment = command(asked, str(asked), "--yes")
    for number in range(15):
        count.write_text("")
        with subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        ) as process:
            end = time.monotonic() + 30
            while count.stat().st_size <= number % 6 and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
    assert run(asked, str(asked), "--yes").returncode == 0
    assert SETTING.read_text() == before
    database = sqlite3.connect(asked.parent / "state" / "virtboost" / "experiments.sqlite")
    seen = database.execute(
        "SELECT DISTINCT document ->> '$.applied', document ->> '$.figures.value' FROM run "
        "WHERE document ->> '$.workload' = 'interval'"
    ).fetchall()
    assert sorted(seen) == [(0, float(before)), (1, float(before) + 9)]
    begun = database.execute("SELECT COUNT(DISTINCT experiment) FROM run").fetchone()[0]
    assert begun > 10


def test_interrupted_the_host_is_as_it_was(asked: Path, before: str) -> None:
    asked.write_text(SPEC.replace(CONSTANT, "[sleep, '60']"))
    assert killed(asked, before, signal.SIGINT, str(asked), "--yes") == 130
    assert SETTING.read_text() == before
    assert run(asked, "list").stdout.endswith("stat: interrupted\n")


def test_of_two_at_once_the_second_waits(asked: Path, before: str) -> None:
    asked.write_text(SPEC.replace(CONSTANT, "[sleep, '60']"))
    argv, environment = command(asked, str(asked), "--yes")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=environment) as process:
        end = time.monotonic() + 30
        while SETTING.read_text() == before and time.monotonic() < end:
            time.sleep(0.02)
        done = run(asked, str(asked), "--yes")
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert done.returncode == 2
    assert re.search(r"experiments on local: process \d+ is at it", done.stderr)


def test_an_item_of_the_catalogue(asked: Path, before: str) -> None:
    """One of the site's own: what makes it ok is the change."""
    site = f"own: [{{id: site.stat, title: T, look_at: 'sysctl:vm.stat_interval', wanted: '{wanted(before)}'}}]"
    (asked.parent / "virtboost.yaml").write_text(site)
    asked.write_text(SPEC.replace("plan: fix.json", "item: site.stat"))
    done = run(asked, str(asked), "--yes")
    assert done.returncode == 0, done.stderr
    assert told(asked)["interval value"]["effect"] == 9


def test_what_its_own_looking_costs_is_an_experiment_too(asked: Path, before: str) -> None:
    asked.write_text(SPEC.replace("plan: fix.json", "probes: 'off'"))
    done = run(asked, str(asked), "-o", str(asked.parent / "found.json"))
    assert done.returncode == 0, done.stderr
    runs = json.loads((asked.parent / "found.json").read_text())["runs"]
    assert all((each["before"] is None) == each["applied"] for each in runs)
    assert SETTING.read_text() == before


def test_a_setting_that_somebody_changes_meanwhile(asked: Path, before: str) -> None:
    """It is watched, and the block does not count in which it was changed."""
    watched = Path("/proc/sys/vm/page-cluster")
    old = watched.read_text()
    count = asked.parent / "count"
    script = f"echo >> {count}; [ $(wc -l < {count}) != 7 ] || echo 5 > {watched}; echo 5"
    text = SPEC.replace(CONSTANT, f"[sh, -c, '{script}']")
    asked.write_text(f"watch: [{watched}]\n{text}")
    try:
        assert run(asked, str(asked), "--yes").returncode == 0
    finally:
        watched.write_text(old)
    (void,) = json.loads(run(asked, "show", "1", "--json").stdout)["voids"]
    assert void["void"] == f"{watched}: was '{old.strip()}', is '5'"


ETC = Path("/etc/sysctl.d/virtboost-prove.conf")


@pytest.fixture
def edit(asked: Path) -> Iterator[Path]:
    """A plan for a file that is in force at the next boot only."""
    write_plan(
        asked.parent, {"kind": "file-edit", "path": str(ETC), "before": None, "after": "9\n"}
    )
    asked.write_text(SPEC.replace("/proc/sys/vm/stat_interval", f"{asked.parent}/in-force"))
    (asked.parent / "in-force").write_text("1\n")
    yield asked
    ETC.unlink(missing_ok=True)


def test_what_waits_is_refused_unless_something_puts_it_in_force(edit: Path) -> None:
    done = run(edit, str(edit), "--yes")
    assert done.returncode == 2
    assert "say with activate: what puts it in force" in done.stderr
    assert not ETC.exists()
    script = f"cat {ETC} > {edit.parent}/in-force 2>/dev/null || echo 1 > {edit.parent}/in-force"
    text = edit.read_text()
    edit.write_text(text.replace("fix.json", f"fix.json, activate: [sh, -c, '{script}']"))
    assert run(edit, str(edit), "--yes").returncode == 0
    assert told(edit)["interval value"]["effect"] == 8
    assert not ETC.exists()
    refuses = "[sh, -c, '[ ! -e refuses ] || { echo no >&2; exit 4; }']"
    refuses = refuses.replace("refuses ]", f"{edit.parent}/refuses ]")
    (edit.parent / "refuses").touch()
    edit.write_text(text.replace("fix.json", f"fix.json, activate: {refuses}"))
    for _ in range(2):
        done = run(edit, str(edit), "--yes")
        assert done.returncode == 3
        assert "stat: activate: exit status 4: no" in done.stderr
    (edit.parent / "refuses").unlink()
    done = run(edit, str(edit), "--yes")
    assert "experiment 2 was not at its end: its changes are undone first" in done.stderr


def test_killed_between_an_undo_and_what_puts_it_in_force(edit: Path) -> None:
    """The next start runs the command that was still due."""
    force, slow = edit.parent / "in-force", edit.parent / "slow"
    script = (
        f"[ -e {ETC} ] || while [ -e {slow} ]; do touch {edit.parent}/waits; sleep 0.05; done; "
        f"cat {ETC} > {force} 2>/dev/null || echo 1 > {force}"
    )
    edit.write_text(
        edit.read_text().replace("fix.json", f"fix.json, activate: [sh, -c, '{script}']")
    )
    slow.touch()
    argv, environment = command(edit, str(edit), "--yes")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=environment) as process:
        end = time.monotonic() + 30
        while not (edit.parent / "waits").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.kill()
    assert (ETC.exists(), force.read_text()) == (False, "9\n")
    slow.unlink()
    subprocess.run(("pkill", "-f", str(slow)), check=False)
    force.write_text("9\n")
    done = run(edit, str(edit), "--yes")
    assert done.returncode == 0
    assert "experiment 1 was not at its end" in done.stderr
    assert told(edit, 2)["interval value"]["before"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_by_a_signal_the_host_is_as_it_was(
    asked: Path, before: str, number: signal.Signals
) -> None:
    asked.write_text(SPEC.replace(CONSTANT, "[sleep, '60']"))
    assert killed(asked, before, number, str(asked), "--yes") == 130
    assert SETTING.read_text() == before


def test_a_setting_of_the_kernel_does_not_outlive_a_reboot(asked: Path, before: str) -> None:
    asked.write_text(SPEC.replace("fix.json", "fix.json, activate: [reboot]"))
    done = run(asked, str(asked), "--yes")
    assert done.returncode == 2
    assert "stat_interval: a reboot takes it back" in done.stderr


def test_reboots(edit: Path) -> None:
    """A boot is another boot_id, and the file is in force then; all else is real."""
    boot = edit.parent / "boot"
    around = ("unshare", "-m", "sh", "-c", f'mount --bind {boot} {BOOT} && exec "$@"', "sh")
    boot.write_text("boot-0\n")
    edit.write_text(edit.read_text().replace("fix.json", "fix.json, activate: [reboot]"))
    done = run(edit, str(edit), "--yes", around=around)
    assert done.stderr == "virtboost: boot this host, and then: virtboost prove resume 1\n"
    again = run(edit, "resume", "1", around=around)
    assert (again.returncode, again.stderr) == (
        2,
        "virtboost: experiment 1 waits for a reboot of local\n",
    )
    other = run(edit, str(edit), "--yes", around=around)
    assert other.returncode == 2
    assert "boot it and virtboost prove resume 1" in other.stderr
    reboots = 0
    while done.stderr and reboots < 60:
        reboots += 1
        boot.write_text(f"boot-{reboots}\n")
        (edit.parent / "in-force").write_text(ETC.read_text() if ETC.exists() else "1\n")
        done = run(edit, "resume", "1", around=around)
        assert done.returncode == 0, done.stderr
    assert 10 < reboots < 60
    found = json.loads(run(edit, "show", "1", "--json").stdout)
    assert found["verdicts"][0]["effect"] == 8
    assert found["voids"] == []
    assert not ETC.exists()


def test_a_screening_of_three(asked: Path, before: str) -> None:
    """Two that do not touch the figure, and the one that is the figure."""
    names = ("vm.dirty_writeback_centisecs", "vm.page-cluster")
    paths = [Path("/proc/sys", name.replace(".", "/")) for name in names]
    values = [str(int(path.read_text()) + 1) for path in paths]
    more = "".join(
        f"- {{name: {name}, changes: [{{kind: sysctl, name: {name}, value: '{value}'}}]}}\n"
        for name, value in zip(names, values, strict=True)
    )
    text = SPEC.replace("workloads:\n", f"{more}workloads:\n", 1)
    asked.write_text(text.replace("null_blocks: 0", "null_blocks: 8"))
    done = run(asked, str(asked), "--yes", "--design", "screen", "--winners", "keep.json")
    assert done.returncode == 0, done.stderr
    assert "stat, with others: promising: interval value +9" in done.stdout
    (change,) = json.loads((asked.parent / "keep.json").read_text())["changes"]
    assert change["name"] == "vm.stat_interval"
    assert [str(int(path.read_text()) + 1) for path in paths] == values


def test_without_a_terminal_nobody_agrees(asked: Path, before: str) -> None:
    done = run(asked, str(asked))
    assert done.returncode == 2
    assert "--yes carries it out" in done.stderr
    assert SETTING.read_text() == before


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("plan: fix.json", "item: no.such", "no.such"),
        ("plan: fix.json", "plan: none.json", "none.json: cannot be read: No such file"),
        ("plan: fix.json", "changes: [{kind: sysctl, name: vm.nothing, value: '1'}]", "vm/nothing"),
        ("command: [echo, '5']", "use: nonsense", "constant: .*nonsense"),
        ("settle_s: 0", "settle_s: 0\ndesign: screen", "screen is for 3 factors and more"),
        ("settle_s: 0", "watch: [/proc/sys/vm/none]", "watch: /proc/sys/vm/none: is not there"),
        ("settle_s: 0", "blocks: 6", "blocks: 7 at least"),
        ("command: [echo, '5']", "command: [x]\n  at: ssh://-o", "is not a host"),
        ("factors:", "factor:", "unknown key 'factor'; did you mean 'factors'"),
    ],
)
def test_specs_that_mean_nothing_here(asked: Path, old: str, new: str, problem: str) -> None:
    assert old in SPEC
    asked.write_text(SPEC.replace(old, new))
    done = run(asked, str(asked), "--yes")
    assert done.returncode == 2
    assert re.search(problem, done.stderr)
    assert done.stderr.count("\n") == 1
