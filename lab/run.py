"""Machines of the lab that run: started, waited for, talked to, and stopped."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import qemu
from lab.initrd import initrd
from lab.machine import Machine
from lab.packages import FIRMWARE, LabError, kernel_release, run, unpacked

STATE_MIB, DISK_MIB = 128, 64

_HOST_KEY = re.compile(r"lab: (ssh-ed25519 \S+) ")

_CONFIG = """\
Host {name}
HostName 127.0.0.1
Port {port}
User root
IdentityFile "{folder}/key"
IdentitiesOnly yes
UserKnownHostsFile "{folder}/known_hosts"
HostKeyAlias {name}
StrictHostKeyChecking yes
"""


class Running:
    """A machine with its folder: what its disks hold is there, whether it has power or not."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        """Prepare the folder, and keep what a machine of an earlier day wrote to its disk."""
        self.machine = machine
        self.folder = folder
        self.config = folder / "config"
        """Configuration of ``ssh`` for it."""
        self.url = f"ssh://{machine.name}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        _make_key(folder / "key")
        _make_disks(machine, folder)

    def start(self, limit_s: float = 600) -> None:
        """Give it power, and wait until one can log in.

        Raises:
            LabError: It does not start, or not in time; the end of its console is told.
        """
        end = time.monotonic() + limit_s
        files = self._files()
        files.console.unlink(missing_ok=True)
        port = free_port()
        words = qemu.argv(self.machine, files, port)
        log = (self.folder / "qemu.log").open("wb")
        with log:
            # It ends with the process that started it, however that ends.
            self._process = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", "--", *words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        key = self._host_key(end)
        name = self.machine.name
        (self.folder / "known_hosts").write_text(f"{name} {key}\n")
        self.config.write_text(_CONFIG.format(name=name, port=port, folder=self.folder))
        self._wait_for_login(end)

    def ask(self, command: str, limit_s: float = 60) -> str:
        """Return what a command of its shell prints.

        Raises:
            LabError: It fails.
        """
        words = ("timeout", str(limit_s), "ssh", "-F", str(self.config), self.machine.name)
        return run([*words, command])

    def stop(self) -> None:
        """Shut it down; it loses its power where it takes too long."""
        if self._process is None:
            return
        try:
            self.ask("sync; poweroff", 20)
            self._process.wait(30)
        except (LabError, subprocess.TimeoutExpired):
            pass
        self.cut_power()

    def cut_power(self) -> None:
        """Take its power away, as of now."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _files(self) -> qemu.Files:
        root = unpacked(self.machine.arch)
        image = self.folder / "initrd"
        public_key = (self.folder / "key.pub").read_text().strip()
        image.write_bytes(initrd(self.machine, root, public_key))
        firmware = root / "usr" / "share" / FIRMWARE / "QEMU_EFI.fd"
        return qemu.Files(
            kernel=root / "boot" / f"vmlinuz-{kernel_release(root)}",
            initrd=image,
            firmware=firmware if self.machine.arch == "aarch64" else None,
            disks=self.folder,
            console=self.folder / "console",
            monitor=self.folder / "monitor",
        )

    def _host_key(self, end: float) -> str:
        """Return the public key of its SSH server, which it tells on its console."""
        while True:
            found = _HOST_KEY.search(self._console())
            if found:
                return found[1]
            self._require_alive(end)
            time.sleep(0.2)

    def _wait_for_login(self, end: float) -> None:
        while True:
            try:
                self.ask("true", 15)
            except LabError:
                self._require_alive(end)
                time.sleep(0.5)
            else:
                return

    def _require_alive(self, end: float) -> None:
        ended = self._process is None or self._process.poll() is not None
        if ended or time.monotonic() > end:
            log = (self.folder / "qemu.log").read_text(errors="replace")
            last = (log + self._console()).strip().splitlines()[-3:]
            self.cut_power()
            what = "ended" if ended else "does not answer"
            raise LabError(f"{self.machine.name} {what}: {' / '.join(last)}")

    def _console(self) -> str:
        file = self.folder / "console"
        return file.read_text(errors="replace").replace("\r", "") if file.exists() else ""


@contextmanager
def booted(machine: Machine, folder: Path) -> Iterator[Running]:
    """Run a machine; it is stopped at the end, whatever happens.

    Raises:
        LabError: It does not start.
    """
    made = Running(machine, folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _make_key(file: Path) -> None:
    if not file.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(file)])


def _make_disks(machine: Machine, folder: Path) -> None:
    state = folder / "state.img"
    if not state.exists():
        _sparse(state, STATE_MIB)
        run(["mke2fs", "-q", "-F", "-t", "ext4", str(state)])
    for number, device in enumerate(machine.devices):
        if device.kind != "nic":
            _sparse(folder / f"disk{number}.img", DISK_MIB)


def _sparse(file: Path, size_mib: int) -> None:
    with file.open("ab") as content:
        content.truncate(size_mib << 20)
