"""A real libvirtd with guests of its own: QEMU without KVM, no operating system in them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.daemon import (
    ask,
    end,
    exclusive,
    groups_removed,
    huge_pages,
    need,
    running,
    succeeds,
)

VIRSH = ("virsh", "--quiet", "--connect", "qemu:///system")

HUGE_PAGES = 96
"""Of 2 MB, for the guests of a test."""

_RUN = Path("/run/libvirt/qemu")

_PREPARE = """\
mount --bind {folder}/qemu.conf /etc/libvirt/qemu.conf
for name in /etc/libvirt/qemu /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
  mkdir -p $name {folder}$name; mount --bind {folder}$name $name
done
mount -t tmpfs none /dev/shm; mkdir /dev/shm/huge; mount -t hugetlbfs none /dev/shm/huge
[ ! -e /dev/kvm ] || mount --bind {folder}/no-kvm /dev/kvm
PATH={folder}/bin:/usr/sbin:/sbin
"""
"""What a libvirt of a test must not see or leave behind.

/dev/kvm goes because on many a test machine it is there and runs no guest, and libvirt then probes
each QEMU anew for each question.  It probes those that it finds in PATH, for seconds each.
"""

_EMULATORS = ("qemu-system-x86_64", "qemu-system-aarch64")

_SETTINGS = """\
stdio_handler = "file"
security_driver = "none"
namespaces = []
hugetlbfs_mount = "/dev/shm/huge"
"""


class Libvirt:
    """The daemon as its tests use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, xml: str) -> None:
        """Define a guest and start it."""
        self.define(xml)
        ask(*VIRSH, "start", _name(xml))

    def define(self, xml: str) -> None:
        file = self.folder / f"{_name(xml)}.xml"
        file.write_text(xml)
        ask(*VIRSH, "define", str(file))

    def create(self, xml: str) -> None:
        """Start a guest that has no definition which outlives it."""
        file = self.folder / f"{_name(xml)}.xml"
        file.write_text(xml)
        ask(*VIRSH, "create", str(file))

    def remove(self, name: str) -> None:
        for command in ("destroy", "undefine"):
            succeeds(*VIRSH, command, name)()

    def process(self, name: str) -> int:
        """Return the PID of a guest's QEMU."""
        return int((_RUN / f"{name}.pid").read_text())

    def threads(self, name: str) -> dict[str, tuple[int, str]]:
        """Return thread id and ``Cpus_allowed_list`` of each of QEMU's threads, by its name.

        The kernel tells them: they are the truth that libvirt and the scan are held against.
        """
        found = {}
        for task in Path(f"/proc/{self.process(name)}/task").iterdir():
            allowed = re.search(r"^Cpus_allowed_list:\s*(\S+)", (task / "status").read_text(), re.M)
            assert allowed
            found[(task / "comm").read_text().strip()] = (int(task.name), allowed[1])
        return found


@contextmanager
def libvirt(folder: Path) -> Iterator[Libvirt]:
    """Run libvirtd where ``qemu:///system`` looks for it."""
    need("libvirtd", "virsh", "unshare", *_EMULATORS)
    folder.chmod(0o755)  # QEMU runs as a user of its own
    (folder / "qemu.conf").write_text(_SETTINGS)
    (folder / "no-kvm").touch(0o600)
    (folder / "bin").mkdir()
    for emulator in _EMULATORS:
        (folder / "bin" / emulator).symlink_to(str(shutil.which(emulator)))
    with exclusive("libvirt"):
        if succeeds(*VIRSH, "list")():
            pytest.skip("this machine has a libvirt of its own, which tests leave alone")
        with _daemon(folder):
            try:
                yield Libvirt(folder)
            finally:
                _end_guests()


@contextmanager
def _daemon(folder: Path) -> Iterator[None]:
    with (
        huge_pages(HUGE_PAGES),
        groups_removed("machine", "machine.slice"),
        running(
            ("libvirtd", "--timeout", "5400"),
            log=folder / "libvirtd.log",
            prepare=_PREPARE.format(folder=folder),
            ready=succeeds(*VIRSH, "list"),
        ),
    ):
        yield


def _end_guests() -> None:
    for name in ask(*VIRSH, "list", "--name").split():
        succeeds(*VIRSH, "destroy", name)()
    for file in _RUN.glob("*.pid"):
        if file.name != "driver.pid":
            end(int(file.read_text()))


def _name(xml: str) -> str:
    found = re.search(r"<name>([^<]+)</name>", xml)
    assert found
    return found[1]
