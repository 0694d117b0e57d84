"""Changes of this machine's kernel, carried out, interrupted and taken back."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.applied import COPY, Dying, carried_out, in_a_child, taken_back
from support.daemon import ask
from support.kernel import SWAPPINESS, changes, snapshot, untouched
from support.sshd import ROOT, serving, virtboost
from virtboost.apply.execute import Conflict, apply, undo
from virtboost.apply.journal import Journal
from virtboost.errors import BadAnswer, ChangeFailed, InputError
from virtboost.model.change import KernelFile, Sysctl
from virtboost.transport.local import LocalReader
from virtboost.transport.ssh import SshReader
from virtboost.transport.writer import Write, Written, local_writer, ssh_writer

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.xdist_group("libvirt"),  # whose daemon has huge pages of the same pool
    pytest.mark.skipif(not ROOT, reason="only root may change the kernel's settings"),
]

Before = dict[Path, bytes]


@pytest.fixture
def before() -> Iterator[Before]:
    with untouched() as found:
        yield found


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state")


def test_undo_brings_every_byte_back_and_a_second_does_nothing(
    before: Before, journal: Journal
) -> None:
    carried_out(journal)
    after = snapshot()
    assert all(after[path] != content for path, content in before.items())
    assert taken_back(journal) == ()
    assert snapshot() == before
    SWAPPINESS.write_text("11")
    assert taken_back(journal) == ()
    assert SWAPPINESS.read_text() == "11\n"


def test_what_is_as_wanted_is_not_journalled(before: Before, journal: Journal) -> None:
    same = Sysctl(name="vm.swappiness", value=before[SWAPPINESS].decode().strip())
    assert apply(LocalReader(), local_writer(), journal, [same], hostname="vm") is None
    assert journal.changesets() == ()


@pytest.mark.parametrize("writes", range(5))
def test_kill_9_while_applying(
    before: Before, journal: Journal, tmp_path: Path, writes: int
) -> None:
    folder = tmp_path / "state"
    assert in_a_child(lambda: carried_out(Journal(folder), Dying(COPY + writes))) == -9
    assert sum(now != before[path] for path, now in snapshot().items()) == writes
    assert taken_back(journal) == ()
    assert snapshot() == before
    assert not journal.changesets("local")[0].open


@pytest.mark.parametrize("writes", range(5))
def test_kill_9_while_undoing(
    before: Before, journal: Journal, tmp_path: Path, writes: int
) -> None:
    changeset, folder = carried_out(journal), tmp_path / "state"

    def die() -> None:
        undo(LocalReader(), Dying(writes), Journal(folder), changeset, force=False)

    assert in_a_child(die) == -9
    assert taken_back(journal) == ()
    assert snapshot() == before


def test_a_value_that_the_kernel_refuses_undoes_the_others(
    before: Before, journal: Journal
) -> None:
    bad = Sysctl(name="vm.dirty_ratio", value="100000")
    with pytest.raises(ChangeFailed, match=r"dirty_ratio: '100000': Invalid argument"):
        apply(LocalReader(), local_writer(), journal, [*changes(), bad], hostname="vm")
    assert snapshot() == before


def test_keep_going_keeps_what_could_be_changed(before: Before, journal: Journal) -> None:
    bad = Sysctl(name="vm.dirty_ratio", value="100000")
    wanted = [bad, *changes()]
    with pytest.raises(ChangeFailed, match="the others hold"):
        apply(LocalReader(), local_writer(), journal, wanted, hostname="vm", keep_going=True)
    assert all(now != before[path] for path, now in snapshot().items())
    assert taken_back(journal) == ()
    assert snapshot() == before


def test_a_value_that_the_kernel_alters_is_a_failure_with_both_numbers(
    before: Before, journal: Journal
) -> None:
    """Read-ahead is a number of pages: 5 KiB are one of them, and the kernel says so nowhere."""
    file = next(Path("/sys/block").glob("*/queue/read_ahead_kb"))
    prior = file.read_bytes()
    odd = KernelFile(path=str(file), value="5")
    with pytest.raises(ChangeFailed, match="wrote '5', it says '4'; everything else was undone"):
        apply(LocalReader(), local_writer(), journal, [*changes(), odd], hostname="vm")
    assert file.read_bytes() == prior
    assert snapshot() == before


def test_what_somebody_changed_meanwhile_is_left_alone(before: Before, journal: Journal) -> None:
    made = carried_out(journal)
    SWAPPINESS.write_text("33")
    ours = made.records[0].setting.value
    prior = before[SWAPPINESS].decode().strip()
    conflict = Conflict(path=str(SWAPPINESS), ours=ours, theirs="33", prior=prior)
    assert taken_back(journal) == (conflict,)
    assert snapshot() == {**before, SWAPPINESS: b"33\n"}
    assert taken_back(journal, force=True) == ()
    assert snapshot() == before


def test_a_connection_that_is_lost_after_the_writes(before: Before, journal: Journal) -> None:
    class Lost:
        name = "local"

        def write(self, writes: Sequence[Write], *, keep_going: bool) -> tuple[Written, ...]:
            local_writer().write(writes[: COPY + 2], keep_going=keep_going)
            raise BadAnswer("local", "the answer is cut off")

    with pytest.raises(BadAnswer):
        carried_out(journal, Lost())
    assert snapshot() != before
    assert taken_back(journal) == ()
    assert snapshot() == before


def test_two_at_once(before: Before, journal: Journal, tmp_path: Path) -> None:
    with journal.lock("local"):
        with pytest.raises(InputError, match=rf"local: process {os.getpid()} is at it"):
            carried_out(Journal(tmp_path / "state"))
    assert snapshot() == before


def test_a_full_disk_for_the_journal(before: Before, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    ask("mount", "-t", "tmpfs", "-o", "size=128k", "none", str(folder))
    try:
        kept = Journal(folder)
        with contextlib.suppress(OSError):
            (folder / "filler").write_bytes(b"x" * (1 << 20))
        with pytest.raises(InputError, match="the journal cannot be used"):
            carried_out(kept)
    finally:
        ask("umount", "--lazy", str(folder))
    assert snapshot() == before


def test_a_damaged_journal(tmp_path: Path) -> None:
    Journal(tmp_path)
    file = tmp_path / "journal.sqlite"
    for part in tmp_path.glob("journal.sqlite-*"):
        part.unlink()
    file.write_bytes(b"rubbish" * 1000)
    with pytest.raises(InputError, match="no journal can be kept there: file is not a database"):
        Journal(tmp_path)


def test_over_ssh(before: Before, journal: Journal, tmp_path: Path) -> None:
    with serving(tmp_path, {"plain": ""}) as server:
        reader = SshReader("ssh://plain", config=server.config)
        writer = ssh_writer(reader)
        made = apply(reader, writer, journal, changes(), hostname="vm")
        assert made is not None
        assert all(now != before[path] for path, now in snapshot().items())
        assert server.sessions == 2, "everything is read in one round trip and written in one"
        assert undo(reader, writer, journal, made, force=False) == ()
    assert snapshot() == before


SITE = """
own:
  - id: site.swappiness
    title: Little swapping
    look_at: sysctl:vm.swappiness
    wanted: "7"
"""


def test_the_loop_of_the_command_line(before: Before, tmp_path: Path) -> None:
    """check -> fix plan -> apply -> check finds nothing -> status -> undo -> as before."""
    (tmp_path / "virtboost.yaml").write_text(SITE)
    plan = tmp_path / "fix.json"

    def run(*words: str, status: int) -> str:
        done = subprocess.run(
            virtboost(*words),
            cwd=tmp_path,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (status, ""), done.stdout
        return done.stdout

    check = ("check", "--item", "site.swappiness")
    run(*check, "--fix-plan", str(plan), status=1)
    assert str(SWAPPINESS) in run("apply", str(plan), "--dry-run", status=0)
    assert snapshot() == before
    run("apply", str(plan), "--yes", status=0)
    assert SWAPPINESS.read_text() == "7\n"
    run(*check, status=0)
    told = json.loads(run("status", "--json", status=0))
    assert [record["holds"] for record in told["changesets"][0]["records"]] == [True]
    printed = run("undo", "--print", status=0)
    assert printed == f"echo {before[SWAPPINESS].decode().strip()} > {SWAPPINESS}\n"
    run("undo", status=0)
    assert snapshot() == before
    run(*check, status=1)
