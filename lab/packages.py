"""Debian packages of another architecture, fetched by apt into a cache and unpacked there.

apt gets folders of its own, so the packages of this machine are neither read nor changed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DEBIAN = {"aarch64": "arm64", "x86_64": "amd64"}
"""Debian's name of an architecture."""

PROGRAMS = ("busybox-static", "dropbear-bin", "ethtool", "qemu-guest-agent")
"""What the machines run; their libraries come with them."""

ORACLES = ("util-linux", "pciutils", "hwloc-nox", "numactl")
"""What else tells of a machine: the recordings are compared with it."""

SWITCH = ("openvswitch-switch", "libbpf1", "iproute2", "python3")
"""What machines with Open vSwitch run besides."""

FIRMWARE = "qemu-efi-aarch64"


class LabError(Exception):
    """The lab cannot do something; the message says what, in one line."""


def cache() -> Path:
    """Return the folder of downloaded packages, outside the repository."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "virtboost" / "lab"


def unpacked(arch: str) -> Path:
    """Return the folder with the unpacked packages of an architecture, fetched where need be.

    Raises:
        LabError: A program is missing here, or a package cannot be fetched.
    """
    folder = cache() / arch
    wanted = " ".join((*PROGRAMS, *ORACLES, *SWITCH, FIRMWARE))
    there = folder / "unpacked"
    with _held(folder):
        if not there.exists() or there.read_text() != wanted:
            there.unlink(missing_ok=True)
            _fetch(folder, DEBIAN[arch])
            _unpack(folder)
            there.write_text(wanted)
    return folder / "root"


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path, architecture: str) -> None:
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "APT::Get::List-Cleanup": "false",
        "Acquire::Languages": "none",
        "Dir::State": str(folder),
        "Dir::State::status": str(folder / "status"),
        "Dir::Cache": str(folder),
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    run(["apt-get", *options, "update"])
    install = ["install", "--yes", "--no-install-recommends", "--download-only"]
    run(["apt-get", *options, *install, *PROGRAMS, *ORACLES, *SWITCH])
    depends = run(["apt-cache", *options, "depends", f"linux-image-{architecture}"])
    kernel = next(line.split()[1] for line in depends.splitlines() if "Depends: linux-" in line)
    alone = [kernel, *([FIRMWARE] if architecture == "arm64" else [])]
    run(["apt-get", *options, "download", *alone], cwd=folder / "archives")


def _unpack(folder: Path) -> None:
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for package in sorted((folder / "archives").glob("*.deb")):
        run(["dpkg-deb", "--extract", str(package), str(root)])
    run(["depmod", "--basedir", str(root), kernel_release(root)])


def kernel_release(root: Path) -> str:
    """Return the release of the kernel among unpacked packages."""
    return next((root / "lib" / "modules").iterdir()).name


def run(argv: Sequence[str], cwd: Path | None = None) -> str:
    """Run a program and return what it prints.

    Raises:
        LabError: It is not installed, or failed.
    """
    env = {**os.environ, "LC_ALL": "C", "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False
        )
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise LabError(f"{argv[0]}: {''.join(last) or f'status {done.returncode}'}")
    return done.stdout
