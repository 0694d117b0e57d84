"""``apply --persist``: what systemd's own programs set again at a boot, and undo takes away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.applied import taken_back
from support.daemon import ask, need
from support.kernel import FILES, SWAPPINESS, changes, snapshot, untouched
from support.sshd import ROOT, virtboost
from virtboost.apply.execute import apply
from virtboost.apply.journal import Journal
from virtboost.transport.local import LocalReader
from virtboost.transport.writer import local_writer

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.xdist_group("libvirt"),  # whose daemon has huge pages of the same pool
    pytest.mark.skipif(not ROOT, reason="only root may change the kernel's settings"),
]

Before = dict[Path, bytes]

FOLDERS = tuple(map(Path, ("/etc/sysctl.d", "/etc/tmpfiles.d", "/etc/udev/rules.d")))

UNITS = Path("/lib/systemd/system")


def written() -> list[Path]:
    return sorted(file for folder in FOLDERS for file in folder.glob("*virtboost-*"))


@pytest.fixture
def before() -> Iterator[Before]:
    need("systemd-tmpfiles")
    with untouched() as found:
        for folder in FOLDERS:
            folder.mkdir(parents=True, exist_ok=True)
        assert written() == []
        try:
            yield found
        finally:
            for file in written():
                file.unlink()


def boot() -> None:
    """Run what systemd runs at a boot, for our files only; the rule's program as udev runs it."""
    sysctls, tmpfiles, rules = (list(folder.glob("*virtboost-*")) for folder in FOLDERS)
    ask("/lib/systemd/systemd-sysctl", *map(str, sysctls))
    ask("systemd-tmpfiles", "--create", "--boot", *map(str, tmpfiles))
    for rule in rules:
        ask("sh", "-c", rule.read_text().partition("RUN+=\"/bin/sh -c '")[2].rpartition("'\"")[0])


def test_a_boot_sets_it_again(before: Before, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    wanted = changes()
    apply(LocalReader(), local_writer(), journal, wanted, hostname="vm", persist=True)
    after = snapshot()
    assert len(written()) == len(FILES)
    for path, content in before.items():
        text = content.decode()
        path.write_text(text.partition("[")[2].partition("]")[0] or text)
    assert snapshot() == before
    boot()
    assert snapshot() == after
    assert taken_back(journal) == ()
    assert snapshot() == before
    assert written() == []


def test_a_setting_that_fails_stops_no_boot() -> None:
    """``Wants``, not ``Requires``; and what starts guests comes after what these set."""
    need("systemd-tmpfiles")
    for unit in ("systemd-sysctl.service", "systemd-tmpfiles-setup.service"):
        assert (UNITS / "sysinit.target.wants" / unit).exists()
        assert "sysinit.target" in setting(UNITS / unit, "Before")
    assert setting(UNITS / "sysinit.target", "Requires") == []
    for unit in ("libvirtd.service", "docker.service"):
        assert setting(UNITS / unit, "DefaultDependencies") == [], "after sysinit.target"


def setting(unit: Path, name: str) -> list[str]:
    lines = unit.read_text().splitlines()
    return [
        w for line in lines if line.startswith(f"{name}=") for w in line[len(name) + 1 :].split()
    ]


def told(tmp_path: Path, *words: str, status: int) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        virtboost(*words),
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_the_command_line(before: Before, tmp_path: Path) -> None:
    value = str(int(SWAPPINESS.read_text()) ^ 1)
    plan = tmp_path / "plan.json"
    change = {"kind": "sysctl", "name": "vm.swappiness", "value": value}
    plan.write_text(
        json.dumps(
            {
                "schema": "virtboost.plan/1",
                "hostname": socket.gethostname(),
                "changes": [change],
            }
        )
    )
    told(tmp_path, "apply", str(plan), "--yes", "--persist", status=0)
    file = Path("/etc/sysctl.d/99-virtboost-vm.swappiness.conf")
    assert file.read_text().endswith(f"vm.swappiness = {value}\n")
    shown = told(tmp_path, "status", status=0).stdout
    assert f"file {file}: holds, takes effect at the next boot" in shown
    told(tmp_path, "undo", status=0)
    assert snapshot() == before


def test_several_hosts_are_all_looked_at_before_one_is_changed(
    before: Before, tmp_path: Path
) -> None:
    host = str(Path(__file__).parents[1] / "hosts/96arm-2s4n24cl4c/host.tar.zst")
    words = ("apply", "--item", "memory.thp", "-H", "local", "-H", host)
    done = told(tmp_path, *words, "--yes", status=2)
    assert "a recording cannot be changed" in done.stderr
    assert snapshot() == before
    shown = told(tmp_path, *words, "--dry-run", status=0).stdout
    assert f"{host}:" in shown
    assert "local:" in shown
