"""A server of the lab: checked, planned, proved and undone over SSH; and booted for a change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.run import Running
from support.proving import Prover
from virtboost.apply.journal import Journal
from virtboost.emit.edit import edits
from virtboost.model.change import FileEdit
from virtboost.prove.host import Act, Due, HostBench, Place
from virtboost.prove.spec import REBOOT
from virtboost.transport.program import ssh_program
from virtboost.transport.ssh import SshReader
from virtboost.transport.writer import ssh_writer

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("lab")]

SITE = "own: [{id: site.stat, title: T, look_at: 'sysctl:vm.stat_interval', wanted: '10'}]\n"

SPEC = r"""
factors:
- {name: plan, plan: fix.json}
workloads:
- name: interval
  command: [cat, /proc/sys/vm/stat_interval]
  metrics: [{name: value, pattern: '(\S+)', better: higher, unit: s}]
settle_s: 0
alpha: 0.5
null_blocks: 0
"""


def test_the_loop(server: Running, tmp_path: Path) -> None:
    """check -> plan -> prove -> apply what won -> check finds nothing -> undo."""
    host = ("-H", server.url)
    prover = Prover(tmp_path, server.config)
    (tmp_path / "virtboost.yaml").write_text(SITE)
    before = server.ask("cat /proc/sys/vm/stat_interval").strip()
    check = ("check", "--item", "site.stat", *host)
    prover.run(*check, "--fix-plan", "fix.json", status=1)
    found = prover.prove(SPEC, *host, "--winners", "keep.json")
    assert [each["kept"] for each in found["decisions"]] == [True]
    assert found["verdicts"][0]["effect"] == 10 - int(before)
    assert all(run["before"]["load"] is not None for run in found["runs"])
    assert server.ask("cat /proc/sys/vm/stat_interval").strip() == before
    prover.run("apply", "keep.json", "--yes", *host)
    prover.run(*check)
    prover.run("undo", *host)
    assert server.ask("cat /proc/sys/vm/stat_interval").strip() == before
    assert json.loads(prover.run("status", "--json", *host))["changesets"] == []


def test_a_change_that_waits_for_a_boot(server: Running, tmp_path: Path) -> None:
    """The file is read when the server boots; it is booted for the change, and for its undo."""
    path = "/etc/sysctl.d/90-proved.conf"
    edit = FileEdit(path=path, before=None, after="vm.stat_interval = 7\n")
    reader = SshReader(server.url, config=server.config)
    place = Place(
        reader,
        ssh_writer(reader),
        Journal(tmp_path / "state"),
        None,
        lambda at: ssh_program(server.url, config=server.config),
        boots=True,
    )
    act = Act("file", (edit,), frozenset(each.path for each in edits(edit)), REBOOT, quiet=False)
    bench = HostBench(
        place, [act], purpose="experiment 1", watch=(), due=Due((), lambda names: None), settle_s=0
    )
    before = server.ask("cat /proc/sys/vm/stat_interval").strip()
    assert bench.put(["file"]) is True
    assert server.ask("cat /proc/sys/vm/stat_interval").strip() == "7" != before
    assert bench.put(["file"]) is False
    assert bench.put([]) is True
    assert server.ask("cat /proc/sys/vm/stat_interval").strip() == before
    assert server.ask(f"ls {path} 2>/dev/null || echo gone").strip() == "gone"
