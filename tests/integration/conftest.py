"""Daemons that several tests share: each runs once, while the tests of its worker need it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.run import Running
from support import engines as container_engines
from support import lab as laboratory
from support import switch, virsh
from support.overlay import RULES, Overlay, overlay
from support.traffic import exchange


@pytest.fixture(scope="session")
def libvirt() -> Iterator[virsh.Libvirt]:
    """A libvirtd.  Tests that use it are in the group ``libvirt`` of pytest-xdist."""
    with TemporaryDirectory(prefix="virtboost-") as folder, virsh.libvirt(Path(folder)) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def engines() -> Iterator[container_engines.Engines]:
    """A containerd and a dockerd.  Tests that use them are in the group ``engines``."""
    with TemporaryDirectory(prefix="virtboost-") as folder:
        with container_engines.engines(Path(folder)) as daemons:
            yield daemons


@pytest.fixture(scope="session")
def ovs() -> Iterator[None]:
    """An Open vSwitch.  Tests that use it are in the group ``ovs``."""
    with TemporaryDirectory(prefix="virtboost-") as folder, switch.switch(Path(folder)):
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server of the lab.  Tests that use it are in the group ``lab``."""
    with TemporaryDirectory(prefix="virtboost-") as folder, laboratory.server(Path(folder)) as made:
        yield made


@pytest.fixture(scope="session")
def flow_overlay() -> Iterator[Overlay]:
    """A switch with a tunnel, in namespaces.  Tests that use it are in the group ``flow-agent``."""
    with TemporaryDirectory(prefix="virtboost-") as folder, overlay(Path(folder)) as each:
        with exchange(each, 20, 20) as first:  # the tunnel's neighbour is not known before
            assert first.end().answered
        yield each


@pytest.fixture
def made(flow_overlay: Overlay) -> Overlay:
    """The same, with rules and connections as at the start."""
    flow_overlay.rules(RULES)
    flow_overlay.app("dpctl/flush-conntrack")
    return flow_overlay
