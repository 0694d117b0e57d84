"""Changes that tools of the host carry out: libvirt, Docker, Open vSwitch, systemd, GRUB, files.

What became of them is judged by the kernel or by the tool itself, and undo by the bytes before.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from support.applied import COPY, Dying, in_a_child, undone_there
from support.daemon import ask, end, need, succeeds
from support.engines import Engines
from support.sshd import ROOT, virtboost
from support.switch import VSCTL
from support.virsh import VIRSH, Libvirt
from virtboost.apply.execute import Conflict, apply, undo
from virtboost.apply.journal import Changeset, Journal
from virtboost.apply.preflight import preflight
from virtboost.errors import InputError
from virtboost.model.change import (
    Change,
    ContainerUpdate,
    FileEdit,
    GuestEmulatorPin,
    GuestIothreadPin,
    GuestMemoryBacking,
    GuestMemoryPolicy,
    GuestTopologyEdit,
    GuestVcpuPin,
    ModuleParameter,
    OvsOtherConfig,
)
from virtboost.model.cpuset import CpuSet
from virtboost.transport.local import LocalReader
from virtboost.transport.writer import local_writer

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(not ROOT, reason="only root may change the system"),
]

NAME = "vbtest apply"

GUEST = f"""
<domain type='qemu'>
  <name>{NAME}</name>
  <memory unit='MiB'>32</memory>
  <vcpu>2</vcpu>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><graphics type='vnc' passwd='secret9'/></devices>
</domain>
"""

ONE = CpuSet({1})

LIBVIRT_SOCKET = Path("/run/libvirt/libvirt-sock")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state")


def carried_out(journal: Journal, changes: Sequence[Change]) -> Changeset:
    made = apply(LocalReader(), local_writer(), journal, changes, hostname="vm")
    assert made is not None
    return made


def taken_back(journal: Journal, *, force: bool = False) -> tuple[Conflict, ...]:
    """Undo as a new process would: by what is on disk."""
    changeset = journal.changesets("local")[-1]
    return undo(LocalReader(), local_writer(), journal, changeset, force=force)


def killed(tmp_path: Path, changes: Sequence[Change], writes: int) -> None:
    """Carry changes out in a process that is killed after some writes."""

    def act() -> None:
        dying = Dying(COPY + writes)
        apply(LocalReader(), dying, Journal(tmp_path / "state"), changes, hostname="vm")

    assert in_a_child(act) == -9


Back = Callable[[Journal], tuple[Conflict, ...]]


def by_the_copy(journal: Journal) -> tuple[Conflict, ...]:
    """Undo as somebody does who has the host only."""
    done = undone_there(journal.changesets("local")[-1])
    assert (done.returncode, done.stderr) == (0, "")
    return ()


@pytest.fixture(params=[taken_back, by_the_copy])
def back(request: pytest.FixtureRequest) -> Back:
    way: Back = request.param
    return way


@pytest.mark.xdist_group("libvirt")
class TestGuest:
    CHANGES = (
        GuestVcpuPin(guest=NAME, vcpu=0, cpus=CpuSet({0})),
        GuestVcpuPin(guest=NAME, vcpu=1, cpus=ONE),
        GuestIothreadPin(guest=NAME, iothread=1, cpus=ONE),
        GuestEmulatorPin(guest=NAME, cpus=ONE),
        GuestMemoryPolicy(guest=NAME, mode="strict", node_ids=(0,)),
        GuestMemoryBacking(guest=NAME, page_size_bytes=2 << 20),
        GuestTopologyEdit(guest=NAME, sockets=1, dies=1, clusters=1, cores=2, threads=1),
    )
    PINS: ClassVar = {
        "CPU 0/TCG": "0",
        "CPU 1/TCG": "1",
        "IO iothread1": "1",
        "qemu-system-x86": "1",
    }

    @pytest.fixture
    def guest(self, libvirt: Libvirt) -> Iterator[Libvirt]:
        libvirt.start(GUEST)
        try:
            yield libvirt
        finally:
            libvirt.remove(NAME)

    def definition(self) -> str:
        return ask(*VIRSH, "dumpxml", "--inactive", "--security-info", NAME)

    def affinity(self, guest: Libvirt) -> dict[str, str]:
        """What the kernel says of the threads."""
        found = {name: allowed for name, (_, allowed) in guest.threads(NAME).items()}
        return {name: found[name] for name in self.PINS} | {"main": cpus_of(guest.process(NAME))}

    def test_a_running_guest(self, guest: Libvirt, journal: Journal, back: Back) -> None:
        before, free = self.definition(), self.affinity(guest)
        assert set(free.values()) == {"0-1"}
        carried_out(journal, self.CHANGES)
        assert self.affinity(guest) == {**self.PINS, "main": "1"}
        after = self.definition()
        for part in (
            "<vcpupin vcpu='0' cpuset='0'/>",
            "<vcpupin vcpu='1' cpuset='1'/>",
            "<iothreadpin iothread='1' cpuset='1'/>",
            "<emulatorpin cpuset='1'/>",
            "<memory mode='strict' nodeset='0'/>",
            "<page size='2048' unit='KiB'/>",
            "<topology sockets='1' dies='1' cores='2' threads='1'/>",
            "passwd='secret9'",
        ):
            assert part in after
        assert back(journal) == ()
        assert self.affinity(guest) == free
        assert self.definition() == before
        assert taken_back(journal) == ()

    @pytest.mark.parametrize("writes", range(0, 6, 2))
    def test_kill_9(self, guest: Libvirt, journal: Journal, tmp_path: Path, writes: int) -> None:
        """Four pins, and a definition that is written once."""
        before, free = self.definition(), self.affinity(guest)
        killed(tmp_path, self.CHANGES, writes)
        assert taken_back(journal) == ()
        assert self.affinity(guest) == free
        assert self.definition() == before
        assert taken_back(journal) == ()

    def test_the_journal_keeps_no_secret(
        self, guest: Libvirt, journal: Journal, tmp_path: Path
    ) -> None:
        carried_out(journal, self.CHANGES)
        kept = b"".join(file.read_bytes() for file in (tmp_path / "state").iterdir())
        assert b"cputune" in kept
        assert b"secret9" not in kept

    def test_a_guest_that_is_gone_meanwhile(
        self, guest: Libvirt, journal: Journal, back: Back
    ) -> None:
        before = self.definition()
        carried_out(journal, self.CHANGES)
        ask(*VIRSH, "destroy", NAME)
        assert back(journal) == ()
        assert self.definition() == before
        assert taken_back(journal) == ()
        assert not journal.changesets("local")[0].open

    def test_a_libvirt_that_does_not_answer_is_no_guest_that_is_gone(
        self, guest: Libvirt, journal: Journal
    ) -> None:
        free = self.affinity(guest)
        made = carried_out(journal, self.CHANGES[:1])
        hidden = LIBVIRT_SOCKET.rename(LIBVIRT_SOCKET.with_name("hidden"))
        try:
            left = {each.path: each.theirs for each in taken_back(journal)}
            assert left == {f"vcpupin '{NAME}' 0": None, f"domain '{NAME}'": None}
            assert undone_there(made).returncode == 1
        finally:
            hidden.rename(LIBVIRT_SOCKET)
        assert taken_back(journal) == ()
        assert self.affinity(guest) == free

    def test_a_guest_that_does_not_run(self, guest: Libvirt, journal: Journal) -> None:
        ask(*VIRSH, "destroy", NAME)
        before = self.definition()
        made = carried_out(journal, self.CHANGES)
        assert [record.setting.path for record in made.records] == [f"domain '{NAME}'"]
        ask(*VIRSH, "start", NAME)
        assert self.affinity(guest) == {**self.PINS, "main": "1"}
        assert taken_back(journal) == ()
        assert self.definition() == before

    def test_another_device_meanwhile_stays(self, guest: Libvirt, journal: Journal) -> None:
        """Undo restores what was tuned, not the whole definition."""
        carried_out(journal, self.CHANGES[:1])
        xml = self.definition().replace(
            "<devices>",
            "<devices><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
        )
        guest.define(xml)
        assert taken_back(journal) == ()
        assert "/dev/urandom" in self.definition()
        assert "vcpupin" not in self.definition()

    def test_pins_that_somebody_changed_meanwhile(self, guest: Libvirt, journal: Journal) -> None:
        carried_out(journal, [GuestVcpuPin(guest=NAME, vcpu=0, cpus=CpuSet({0}))])
        ask(*VIRSH, "vcpupin", NAME, "0", "1", "--live")
        (conflict,) = taken_back(journal)
        assert (conflict.path, conflict.theirs) == (f"vcpupin '{NAME}' 0", "1")

    def test_pins_to_a_cpu_that_is_not_there(self, guest: Libvirt, journal: Journal) -> None:
        before = self.definition()
        with pytest.raises(InputError, match=r"vcpupin .*: CPUs 900 are not online"):
            carried_out(journal, [GuestVcpuPin(guest=NAME, vcpu=0, cpus=CpuSet({900}))])
        assert self.definition() == before

    def test_a_guest_that_lives_only_while_it_runs(
        self, libvirt: Libvirt, journal: Journal
    ) -> None:
        """Defining it would make it outlive its end: only its threads are pinned."""
        libvirt.create(GUEST)
        try:
            carried_out(journal, self.CHANGES[:2])
            assert self.affinity(libvirt)["CPU 0/TCG"] == "0"
            assert ask(*VIRSH, "list", "--all", "--persistent", "--name") == ""
            assert taken_back(journal) == ()
        finally:
            libvirt.remove(NAME)

    def test_no_such_guest(self, libvirt: Libvirt) -> None:
        with pytest.raises(InputError, match="by hand: virsh vcpupin nobody 0 1 --live --config"):
            preflight(LocalReader(), [GuestVcpuPin(guest="nobody", vcpu=0, cpus=ONE)])


@pytest.mark.xdist_group("engines")
@pytest.mark.parametrize(
    "case",
    [
        ((), ("0-1", -1)),
        (("--cpuset-cpus", "0", "--cpuset-mems", "0", "--memory", "64m"), ("0", 64 << 20)),
    ],
)
def test_container(
    engines: Engines,
    journal: Journal,
    tmp_path: Path,
    back: Back,
    case: tuple[tuple[str, ...], tuple[str, int]],
) -> None:
    options, limits = case
    engines.run("vbtest-apply", *options)
    try:
        pid = engines.inspect("vbtest-apply")["State"]["Pid"]
        assert inside(pid) == limits
        update = ContainerUpdate(
            engine="docker",
            container="vbtest-apply",
            cpuset=ONE,
            node_ids=(0,),
            memory_bytes=96 << 20,
        )
        for writes in range(4):
            killed(tmp_path / str(writes), [update], writes)
            assert taken_back(Journal(tmp_path / str(writes) / "state")) == ()
            assert inside(pid) == limits
        carried_out(journal, [update])
        assert inside(pid) == ("1", 96 << 20)
        assert back(journal) == ()
        assert inside(pid) == limits
        assert taken_back(journal) == ()
    finally:
        engines.remove("vbtest-apply")


def cpus_of(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    cpus = re.search(r"^Cpus_allowed_list:\s*(\S+)", status, re.MULTILINE)
    assert cpus
    return cpus[1]


def inside(pid: int) -> tuple[str, int]:
    """Return CPUs and memory limit (-1: none) of a process as the kernel tells them."""
    group = re.search(r"^\d+:memory:(.*)$|^0::(.*)$", Path(f"/proc/{pid}/cgroup").read_text(), re.M)
    assert group
    if group[1] is not None:
        file = Path(f"/sys/fs/cgroup/memory{group[1]}/memory.limit_in_bytes")
    else:
        file = Path(f"/sys/fs/cgroup{group[2]}/memory.max")
    limit = file.read_text().strip()
    return cpus_of(pid), -1 if limit == "max" or int(limit) > 1 << 60 else int(limit)


@pytest.mark.xdist_group("ovs")
def test_open_vswitch(ovs: None, journal: Journal, tmp_path: Path, back: Back) -> None:
    def told() -> str:
        return ask(*VSCTL, "get", "Open_vSwitch", ".", "other_config")

    ask(*VSCTL, "set", "Open_vSwitch", ".", "other_config:max-idle=20000")
    try:
        before = told()
        wanted = [
            OvsOtherConfig(key="max-idle", value="30000"),
            OvsOtherConfig(key="pmd-cpu-mask", value="0x2"),
            OvsOtherConfig(key="no-such-key", value="a,b:c"),
        ]
        for writes in range(4):
            killed(tmp_path / str(writes), wanted, writes)
            assert taken_back(Journal(tmp_path / str(writes) / "state")) == ()
            assert told() == before
        carried_out(journal, wanted)
        assert told() == '{max-idle="30000", no-such-key="a,b:c", pmd-cpu-mask="0x2"}'
        assert back(journal) == ()
        assert told() == before
        carried_out(journal, [OvsOtherConfig(key="max-idle", value=None)])
        assert told() == "{}"
        assert taken_back(journal) == ()
        assert told() == before
    finally:
        ask(*VSCTL, "clear", "Open_vSwitch", ".", "other_config")


@pytest.mark.xdist_group("files")
class TestFile:
    FILE = Path("/etc/sysctl.d/virtboost-test.conf")

    @pytest.fixture
    def file(self) -> Iterator[Path]:
        self.FILE.parent.mkdir(exist_ok=True)
        try:
            yield self.FILE
        finally:
            self.FILE.unlink(missing_ok=True)

    def edit(self, before: str | None, after: str | None) -> FileEdit:
        return FileEdit(path=str(self.FILE), before=before, after=after)

    @pytest.mark.parametrize("before", [None, "", "a = 1", "a = 1\n\n", "\n  'a' \\n\t$x\n.\n"])
    def test_every_byte_is_as_before(
        self, file: Path, journal: Journal, tmp_path: Path, back: Back, before: str | None
    ) -> None:
        if before is not None:
            file.write_text(before)
            file.chmod(0o640)
        for writes in range(2):
            killed(tmp_path / str(writes), [self.edit(before, "b = 2\n")], writes)
            assert taken_back(Journal(tmp_path / str(writes) / "state")) == ()
            assert (file.read_text() if file.exists() else None) == before
        carried_out(journal, [self.edit(before, "b = 2\n")])
        assert file.read_text() == "b = 2\n"
        assert file.stat().st_mode & 0o777 == (0o644 if before is None else 0o640)
        assert back(journal) == ()
        assert (file.read_text() if file.exists() else None) == before

    def test_a_file_that_goes(self, file: Path, journal: Journal) -> None:
        file.write_text("a = 1\n")
        carried_out(journal, [self.edit("a = 1\n", None)])
        assert not file.exists()
        assert taken_back(journal) == ()
        assert file.read_text() == "a = 1\n"

    def test_a_file_that_is_another_by_now(self, file: Path, journal: Journal) -> None:
        file.write_text("c = 3\n")
        with pytest.raises(InputError, match="is not as it was when this edit was made"):
            carried_out(journal, [self.edit("a = 1\n", "b = 2\n")])
        assert file.read_text() == "c = 3\n"

    def test_a_link_is_not_followed(self, file: Path, journal: Journal, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.write_text("mine\n")
        file.symlink_to(other)
        with pytest.raises(InputError, match="is not there, or says nothing"):
            carried_out(journal, [self.edit("mine\n", "b = 2\n")])
        assert other.read_text() == "mine\n"

    def test_bytes_that_are_no_text(self, file: Path, journal: Journal) -> None:
        file.write_bytes(b"\xff\xfe")
        with pytest.raises(InputError, match="is not there, or says nothing"):
            carried_out(journal, [self.edit(None, "b = 2\n")])
        assert file.read_bytes() == b"\xff\xfe"


def test_module_parameter(journal: Journal, back: Back) -> None:
    """The kernel shows a flag as Y or N, whatever was written."""
    live = Path("/sys/module/workqueue/parameters/power_efficient")
    file = Path("/etc/modprobe.d/virtboost-workqueue-disable_numa.conf")
    assert live.stat().st_mode & 0o222 == 0, "the parameter that no file can change"
    carried_out(journal, [ModuleParameter(module="workqueue", name="disable_numa", value="1")])
    assert file.read_text() == "options workqueue disable_numa=1\n"
    assert back(journal) == ()
    assert not file.exists()


@contextmanager
def inside_a_namespace(script: str) -> Iterator[tuple[str, ...]]:
    """Yield the words that run a program where a script has mounted what it wants."""
    holder = subprocess.Popen(
        ("unshare", "--mount", "sh", "-euc", f"{script}\necho ready; exec sleep 300"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "ready\n"
        yield ("nsenter", f"--target={holder.pid}", "--mount", f"--wd={Path.cwd()}")
    finally:
        holder.kill()
        holder.communicate()


def product(inside: tuple[str, ...], tmp_path: Path, *words: str, status: int = 0) -> str:
    """Run virtboost in a namespace with a journal of its own."""
    done = subprocess.run(
        (*inside, *virtboost(*words)),
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, ""), done.stdout
    return done.stdout


def plan_of(tmp_path: Path, *changes: dict[str, object]) -> str:
    plan = tmp_path / "plan.json"
    hostname = ask("hostname")
    plan.write_text(
        json.dumps({"schema": "virtboost.plan/1", "hostname": hostname, "changes": changes})
    )
    return str(plan)


GRUB = '# How to boot\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="hugepages=4"\n'


def test_grub(tmp_path: Path) -> None:
    """The real ``update-grub`` writes the menu, for an image that only has its name."""
    need("update-grub", "unshare", "nsenter")
    boot, default = tmp_path / "boot", tmp_path / "default"
    (boot / "grub").mkdir(parents=True)
    (boot / "vmlinuz-6.1.0-1-amd64").touch()
    default.mkdir()
    (default / "grub").write_text(GRUB)
    plan = plan_of(
        tmp_path,
        {"kind": "kernel-argument", "name": "hugepages", "value": "64"},
        {"kind": "kernel-argument", "name": "nosmt", "value": ""},
        {"kind": "kernel-argument", "name": "quiet", "value": None},
    )
    mounts = f"mount --bind {boot} /boot; mount --bind {default} /etc/default"
    with inside_a_namespace(mounts) as inside:
        assert "takes effect at the next boot" in product(inside, tmp_path, "apply", plan, "--yes")
        menu = (boot / "grub" / "grub.cfg").read_text()
        assert re.search(r"^\s*linux\s.* root=\S+ ro hugepages=64 nosmt\s*$", menu, re.MULTILINE)
        assert (default / "grub").read_text() == (
            '# How to boot\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=""\n'
            'GRUB_CMDLINE_LINUX="hugepages=64 nosmt"\n'
        )
        assert "takes effect at the next boot" in product(inside, tmp_path, "status")
        product(inside, tmp_path, "undo")
    assert (default / "grub").read_text() == GRUB
    menu = (boot / "grub" / "grub.cfg").read_text()
    assert re.search(r"^\s*linux\s.* ro hugepages=4 quiet\s*$", menu, re.MULTILINE)


UNIT = """[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/sleep 1000
[Install]
WantedBy=vbtest.target
"""

SYSTEMD = """
mount -t tmpfs none /run
mount -t tmpfs none /etc/systemd/system
printf '[Unit]\\nDefaultDependencies=no\\n' >/etc/systemd/system/vbtest.target
printf '%s' "$UNIT" >/etc/systemd/system/irqbalance.service
mkdir /etc/systemd/system/vbtest.target.wants
ln -s ../irqbalance.service /etc/systemd/system/vbtest.target.wants/
mkdir -p /sys/fs/cgroup/systemd/vbtest && echo $$ >/sys/fs/cgroup/systemd/vbtest/cgroup.procs || :
exec unshare --cgroup --fork --pid --mount-proc /lib/systemd/systemd --system --unit=vbtest.target
"""


@contextmanager
def systemd(log: Path) -> Iterator[tuple[str, ...]]:
    """Run a systemd of its own, with one service; yield the words that run a program in it."""
    need("unshare", "nsenter", "/lib/systemd/systemd", "systemctl")
    environment = {
        "PATH": os.environ["PATH"],
        "UNIT": UNIT,
        "container": "virtboost-test",
        "SYSTEMD_UNIT_PATH": "/etc/systemd/system",
    }
    with log.open("wb") as out:
        starter = subprocess.Popen(
            ("unshare", "--mount", "--uts", "--ipc", "sh", "-euc", SYSTEMD),
            env=environment,
            stdout=out,
            stderr=out,
        )
    try:
        inside: tuple[str, ...] = ()
        for _ in range(100):
            children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split()
            if children:
                inside = ("nsenter", f"--target={children[0]}", "--mount", "--pid")
                if succeeds(*inside, "systemctl", "is-active", "irqbalance")():
                    break
            time.sleep(0.1)
        assert inside, log.read_text()
        assert ask(*inside, "systemctl", "is-active", "irqbalance") == "active", log.read_text()
        yield inside
    finally:
        for child in Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split():
            end(int(child))
        starter.kill()
        starter.wait()


def test_service(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        {"kind": "service-state", "name": "irqbalance", "active": False, "enabled": False},
    )
    with systemd(tmp_path / "log") as inside:

        def states() -> list[str]:
            shown = subprocess.run(
                (
                    *inside,
                    "systemctl",
                    "show",
                    "-P",
                    "ActiveState",
                    "-P",
                    "UnitFileState",
                    "irqbalance",
                ),
                capture_output=True,
                text=True,
                check=True,
            )
            return shown.stdout.split()

        assert states() == ["active", "enabled"]
        product(inside, tmp_path, "apply", plan, "--yes")
        assert states() == ["inactive", "disabled"]
        product(inside, tmp_path, "undo")
        assert states() == ["active", "enabled"]
