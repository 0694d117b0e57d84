"""A real Open vSwitch: its database and its userspace datapath, without DPDK."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.daemon import ask, exclusive, need, running, succeeds

VSCTL = ("ovs-vsctl", "--timeout=10")

APPCTL = ("ovs-appctl", "--timeout=10")

_RUN = Path("/run/openvswitch")

_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


@contextmanager
def switch(folder: Path) -> Iterator[None]:
    """Run both daemons where their clients look for them.

    Interfaces of type ``dummy-pmd`` bring PMD threads, which poll, without a device.
    """
    need("ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-appctl", "ovsdb-tool", "unshare")
    with exclusive("ovs"):
        if succeeds(*VSCTL, "--no-wait", "show")():
            pytest.skip("this machine has an Open vSwitch of its own, which tests leave alone")
        made = not _RUN.exists()
        _RUN.mkdir(exist_ok=True)
        try:
            with _daemons(folder):
                yield
        finally:
            if made:
                shutil.rmtree(_RUN)


@contextmanager
def _daemons(folder: Path) -> Iterator[None]:
    database = str(folder / "conf.db")
    ask("ovsdb-tool", "create", database, _SCHEMA)
    with running(
        ("ovsdb-server", database, f"--remote=punix:{_RUN}/db.sock", "--pidfile"),
        log=folder / "ovsdb-server.log",
        ready=succeeds(*VSCTL, "--no-wait", "init"),
    ):
        with running(
            ("ovs-vswitchd", "--pidfile", "--enable-dummy", "--disable-system"),
            log=folder / "ovs-vswitchd.log",
            ready=succeeds(*APPCTL, "version"),
        ):
            yield
            for bridge in ask(*VSCTL, "list-br").split():
                ask(*VSCTL, "del-br", bridge)
