"""Whatever fails while this machine is changed, every byte comes back.

The faults are real: the kernel refuses, a file system is read-only, a disk is full, a journal is
damaged, the process is killed; what is left undoes it, also the copy on the host alone.
"""

from __future__ import annotations

import contextlib
import mmap
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from support.applied import COPY, Dying, carried_out, in_a_child, taken_back, undone_there
from support.daemon import wait_until
from support.kernel import SWAPPINESS, changes, snapshot, untouched
from support.sshd import ROOT, virtboost
from virtboost.apply import execute
from virtboost.apply.copy import ROOT as COPIES
from virtboost.apply.copy import folder
from virtboost.apply.execute import apply, undo
from virtboost.apply.journal import Journal
from virtboost.errors import ChangeFailed, InputError
from virtboost.model.change import Change, IrqAffinity, Ksm, Sysctl, TransparentHugepages
from virtboost.model.cpuset import CpuSet
from virtboost.model.document import to_json
from virtboost.model.plan import Plan
from virtboost.transport.local import LocalReader
from virtboost.transport.writer import Write, Written, local_writer

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.xdist_group("libvirt"),  # whose daemon has huge pages of the same pool
    pytest.mark.skipif(not ROOT, reason="only root may change the kernel's settings"),
]

THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")

Before = dict[Path, bytes]


@pytest.fixture
def before() -> Iterator[Before]:
    with untouched() as found:
        yield found


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state")


class TestCopyOnTheHost:
    def test_it_brings_every_byte_back_and_goes(self, before: Before, journal: Journal) -> None:
        made = carried_out(journal)
        done = undone_there(made)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert snapshot() == before
        assert not Path(folder(made)).exists()
        assert taken_back(journal) == ()
        assert not journal.changesets("local")[0].open

    @pytest.mark.parametrize("writes", range(5))
    def test_after_kill_9(
        self, before: Before, journal: Journal, tmp_path: Path, writes: int
    ) -> None:
        state = tmp_path / "state"
        assert in_a_child(lambda: carried_out(Journal(state), Dying(COPY + writes))) == -9
        (made,) = journal.changesets("local")
        assert undone_there(made).returncode == 0
        assert snapshot() == before

    def test_what_somebody_changed_meanwhile(self, before: Before, journal: Journal) -> None:
        made = carried_out(journal)
        SWAPPINESS.write_text("33")
        done = undone_there(made)
        left = f"{SWAPPINESS}: somebody changed it after virtboost: left alone\n"
        assert (done.returncode, done.stderr) == (1, left)
        assert snapshot() == {**before, SWAPPINESS: b"33\n"}
        assert undone_there(made, "--force").returncode == 0
        assert snapshot() == before

    def test_undo_removes_it(self, before: Before, journal: Journal) -> None:
        made = carried_out(journal)
        assert Path(folder(made), "undo").stat().st_mode & 0o077 == 0
        taken_back(journal)
        assert not Path(folder(made)).exists()

    def test_a_damaged_journal(self, before: Before, journal: Journal, tmp_path: Path) -> None:
        """A page of the database that somebody wrote over: the copy undoes what it cannot."""
        made = carried_out(journal)
        file = tmp_path / "state" / "journal.sqlite"
        journal.close()
        with file.open("r+b") as database:
            database.seek(4096)
            database.write(b"\xff" * (file.stat().st_size - 4096))
        with pytest.raises(InputError, match=r"malformed; what it says is on each host too"):
            Journal(tmp_path / "state").changesets("local")
        assert undone_there(made).returncode == 0
        assert snapshot() == before


def test_a_clock_that_goes_backwards(
    before: Before, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = carried_out(journal)
    monkeypatch.setattr(execute, "_now", lambda: "1970-01-01T00:00:00+00:00")
    again = [Sysctl(name="vm.swappiness", value="44")]
    second = apply(LocalReader(), local_writer(), journal, again, hostname="vm")
    assert second is not None
    assert [each.id for each in journal.changesets("local")] == [first.id, second.id]
    for changeset in (second, first):
        assert undo(LocalReader(), local_writer(), journal, changeset, force=False) == ()
    assert snapshot() == before


def told_to_apply(folder: Path, change: Change, *, inside: Sequence[str] = ()) -> str:
    """Return what the command says of a plan that ends with a change which fails."""
    plan = folder / "plan.json"
    made = Plan(hostname=socket.gethostname(), changes=(*changes(), change))
    plan.write_text(to_json(made))
    done = subprocess.run(
        [*inside, *virtboost("apply", str(plan), "--yes")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_STATE_HOME": str(folder / "state")},
    )
    assert done.returncode == 3, done.stdout + done.stderr
    return done.stderr


def mounted(options: str) -> tuple[str, ...]:
    """Return the words that run a program after a mount that only it sees."""
    return ("unshare", "--mount", "sh", "-c", f'mount {options} && exec "$@"', "sh")


class TestFault:
    """A write that fails for a reason of the kernel: the others are undone, and it says why."""

    def test_a_file_system_that_is_read_only(self, before: Before, tmp_path: Path) -> None:
        change = TransparentHugepages(
            setting="enabled", value="never" if "[never]" not in THP.read_text() else "madvise"
        )
        told = told_to_apply(tmp_path, change, inside=mounted("-o remount,bind,ro /sys"))
        assert "Read-only file system; everything else was undone" in told
        assert snapshot() == before

    def test_no_place_for_the_copy(self, before: Before, tmp_path: Path) -> None:
        Path(COPIES).mkdir(exist_ok=True)
        change = Sysctl(name="vm.dirty_ratio", value="41")
        told = told_to_apply(tmp_path, change, inside=mounted(f"-t tmpfs -o ro none {COPIES}"))
        assert told.startswith(f"virtboost: local: {COPIES}/")
        assert told.endswith("Read-only file system; nothing was changed\n")
        assert snapshot() == before
        assert not Journal(tmp_path / "state" / "virtboost").changesets()[0].open

    def test_a_right_that_is_missing(self, before: Before, tmp_path: Path) -> None:
        restricted = int(Path("/proc/sys/kernel/dmesg_restrict").read_text())
        change = Sysctl(name="kernel.dmesg_restrict", value=str(1 - restricted))
        told = told_to_apply(tmp_path, change, inside=("setpriv", "--bounding-set=-sys_admin"))
        assert "Operation not permitted; everything else was undone" in told
        assert snapshot() == before

    def test_something_that_is_busy(self, before: Before, tmp_path: Path) -> None:
        """KSM does not take another ``merge_across_nodes`` while pages are merged."""
        file = Path("/sys/kernel/mm/ksm/merge_across_nodes")
        with merged_pages():
            change = Ksm(setting="merge_across_nodes", value=1 - int(file.read_text()))
            told = told_to_apply(tmp_path, change)
        assert "Device or resource busy; everything else was undone" in told
        assert snapshot() == before

    def test_an_interrupt_that_cannot_be_moved(self, before: Before, tmp_path: Path) -> None:
        irq = managed_interrupt()
        told = told_to_apply(tmp_path, IrqAffinity(irq=irq, cpus=CpuSet({0})))
        assert f"/proc/irq/{irq}/smp_affinity_list: '0': " in told
        assert told.endswith("everything else was undone\n")
        assert snapshot() == before

    def test_an_input_or_output_error(self, before: Before, journal: Journal) -> None:
        """Injected: the disk below a file of the target breaks while it is written."""
        with pytest.raises(ChangeFailed, match="Input/output error; everything else was undone"):
            carried_out(journal, Broken())
        assert snapshot() == before


class Broken:
    """A writer on whose host the last write of a batch is an input/output error."""

    name = "local"

    def write(self, writes: Sequence[Write], *, keep_going: bool) -> tuple[Written, ...]:
        put = "echo 'cat: write error: Input/output error' >&2; false"
        broken = [*writes[:-1], structs.replace(writes[-1], put=put)] if writes[1:] else writes
        if keep_going:
            broken = list(writes)
        return local_writer().write(broken, keep_going=keep_going)


@contextlib.contextmanager
def merged_pages() -> Iterator[None]:
    """Have the kernel merge some pages of this process."""
    ksm = Path("/sys/kernel/mm/ksm")
    run = (ksm / "run").read_text()
    with mmap.mmap(-1, 64 << 12, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_MERGEABLE)
        memory.write(b"x" * len(memory))
        (ksm / "run").write_text("1")
        try:
            wait_until(lambda: (ksm / "pages_shared").read_text() != "0\n", 30, lambda: "no page")
            yield
        finally:
            (ksm / "run").write_text("2")
            (ksm / "run").write_text(run)


def managed_interrupt() -> int:
    """Return an interrupt whose affinity the kernel itself keeps: of a queue of a disk."""
    for folder_ in Path("/proc/irq").glob("[0-9]*"):
        file = folder_ / "smp_affinity_list"
        try:
            file.write_text(file.read_text())
        except OSError:
            return int(folder_.name)
    pytest.skip("every interrupt of this machine can be moved")
