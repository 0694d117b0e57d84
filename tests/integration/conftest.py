"""Daemons that several tests share: each runs once, while the tests of its worker need it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support import virsh


@pytest.fixture(scope="session")
def libvirt() -> Iterator[virsh.Libvirt]:
    """A libvirtd.  Tests that use it are in the group ``libvirt`` of pytest-xdist."""
    with TemporaryDirectory(prefix="virtboost-") as folder, virsh.libvirt(Path(folder)) as daemon:
        yield daemon
