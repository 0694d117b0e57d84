"""A real containerd with a real dockerd on top of it, and containers of busybox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.daemon import ask, exclusive, groups_removed, need, running, succeeds

IMAGE = "vbtest/busybox:1"

DOCKER = ("docker", "--host", "unix:///var/run/docker.sock")

CTR = ("ctr", "--connect-timeout", "1s")

_SOCKETS = (Path("/run/docker.sock"), Path("/run/containerd"))


class Engines:
    """Both daemons as their tests use them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def docker(self, *argv: str) -> str:
        return ask(*DOCKER, *argv)

    def run(self, name: str, *options: str) -> None:
        """Start a container of Docker that sleeps."""
        self.docker("run", "--detach", "--name", name, *options, IMAGE, "sleep", "3600")

    def remove(self, name: str) -> None:
        succeeds(*DOCKER, "rm", "--force", name)()

    def inspect(self, name: str) -> Any:
        return json.loads(self.docker("inspect", name))[0]

    def ctr(self, *argv: str) -> str:
        return ask(*CTR, "--namespace", "k8s.io", *argv)

    def run_by_ctr(self, name: str, *options: str) -> None:
        self.ctr("run", "--detach", *options, f"docker.io/{IMAGE}", name, "sleep", "3600")

    def remove_by_ctr(self, name: str) -> None:
        for argv in (("tasks", "rm", "--force", name), ("containers", "rm", name)):
            succeeds(*CTR, "--namespace", "k8s.io", *argv)()


@contextmanager
def engines(folder: Path) -> Iterator[Engines]:
    """Run both where their clients look for them; Docker's image is in both."""
    need("docker", "dockerd", "containerd", "ctr", "runc", "busybox", "unshare")
    with exclusive("engines"):
        if succeeds(*DOCKER, "info")() or succeeds(*CTR, "version")():
            pytest.skip("this machine has a Docker of its own, which tests leave alone")
        with _daemons(folder):
            found = Engines(folder)
            _make_image(found)
            try:
                yield found
            finally:
                for name in found.docker("ps", "--all", "--quiet").split():
                    found.remove(name)
                for name in found.ctr("containers", "ls", "--quiet").split():
                    found.remove_by_ctr(name)


@contextmanager
def _daemons(folder: Path) -> Iterator[None]:
    (folder / "containerd.toml").write_text(
        'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
    )
    containerd = ("containerd", "--config", "{0}/containerd.toml", "--root", "{0}/containerd")
    dockerd = (
        *("dockerd", "--data-root", "{0}/docker", "--exec-root", "{0}/run"),
        *("--pidfile", "{0}/docker.pid", "--host", "unix:///var/run/docker.sock"),
        *("--containerd", "/run/containerd/containerd.sock"),
        *("--bridge", "none", "--iptables=false", "--storage-driver", "overlay2"),
    )
    made = [path for path in _SOCKETS if not path.exists()]
    with (
        groups_removed("docker", "k8s.io", "kubepods"),
        running(
            [word.format(folder) for word in (*containerd, "--state", "{0}/state")],
            log=folder / "containerd.log",
            ready=succeeds(*CTR, "version"),
        ) as below,
        running(
            [word.format(folder) for word in dockerd],
            log=folder / "dockerd.log",
            beside=below.pid,  # its containers' file systems are mounted by one, used by the other
            ready=succeeds(*DOCKER, "info"),
        ),
    ):
        yield
    for path in made:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _make_image(found: Engines) -> None:
    root = found.folder / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), root / "bin" / "busybox")
    for name in ("cat", "ps", "sh", "sleep", "timeout"):
        (root / "bin" / name).symlink_to("busybox")
    tar = subprocess.run(("tar", "-C", str(root), "-c", "."), capture_output=True, check=True)
    subprocess.run(
        (*DOCKER, "import", "-", IMAGE),
        input=tar.stdout,
        capture_output=True,
        check=True,
        env=dict(os.environ),
    )
    found.docker("save", "--output", str(found.folder / "image.tar"), IMAGE)
    found.ctr("images", "import", str(found.folder / "image.tar"))
