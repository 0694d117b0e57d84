"""Machines of the lab, for tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.machine import MACHINES
from lab.run import Running, booted
from support.daemon import PATH, exclusive

PROGRAMS = ("qemu-system-aarch64", "apt-get", "dpkg-deb", "depmod", "mke2fs", "setpriv", "ssh")


@contextmanager
def server(folder: Path, name: str = "taishan-16") -> Iterator[Running]:
    """Run a machine; taishan-16 has 2 sockets, 4 NUMA nodes, CPU clusters of 4."""
    missing = [each for each in PROGRAMS if shutil.which(each, path=PATH) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with exclusive(f"lab-{name}"), booted(MACHINES[name], folder) as running:
        yield running
