"""What tells of changes: the real kernel's messages, and a database and a switch that answer oddly."""

from __future__ import annotations

import json
import os
import select
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.daemon import ask, need, wait_until
from support.netns import own_network
from virtboost.errors import InputError, Unreachable
from virtboost.flow.agent.device import Features, device_of, queueing
from virtboost.flow.agent.watch import (
    DaemonMonitor,
    DatabaseMonitor,
    KernelMonitor,
    RuleMonitor,
    Watch,
)


class Database:
    """Answers ``get_schema`` and ``monitor`` as ovsdb-server does (RFC 7047), in small pieces."""

    def __init__(self, folder: Path, error: str | None = None) -> None:
        self._error = error
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / "db.sock"))
        self._server.listen()
        self.asked: list[Any] = []
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        self.client, _ = self._server.accept()
        bridge: dict[str, Any] = {"columns": {"name": {}, "ports": {}}}
        tables = {"Bridge": bridge, "CT_Timeout_Policy": {"columns": {"timeouts": {}}}}
        answers: list[dict[str, Any]] = [
            {"tables": tables},
            {"Bridge": {}, "CT_Timeout_Policy": {}},
        ]
        for result in answers:
            self.asked.append(json.loads(self.client.recv(1 << 16)))
            error = self._error if len(self.asked) == 2 else None
            answer = None if error else result
            self.send({"id": self.asked[-1]["method"], "result": answer, "error": error})

    def close(self) -> None:
        self.client.close()
        self._server.close()

    def send(self, message: dict[str, Any]) -> None:
        for byte in json.dumps(message):
            self.client.send(byte.encode())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path)
    yield made
    made.close()


def test_the_database_is_asked_for_what_it_has(database: Database, tmp_path: Path) -> None:
    monitor = DatabaseMonitor(tmp_path)
    wanted = database.asked[1]["params"][2]
    assert wanted["Bridge"] == {"columns": ["name", "ports"]}
    assert "Open_vSwitch" not in wanted
    assert not monitor.policies
    database.send({"method": "echo", "params": ["a"], "id": "echo"})
    while select.select([monitor], [], [], 0.2)[0]:
        assert not monitor.changed()
    assert json.loads(database.client.recv(1 << 16)) == {
        "result": ["a"],
        "error": None,
        "id": "echo",
    }
    update: dict[str, Any] = {"CT_Timeout_Policy": {"x": {"new": {}}}}
    database.send({"method": "update", "params": [None, update], "id": None})
    changes = []
    while select.select([monitor], [], [], 0.2)[0]:
        changes.append(monitor.changed())
    assert changes.count(True) == 1
    assert monitor.policies
    database.client.close()
    assert monitor.changed()
    assert not monitor.alive
    monitor.close()


def test_a_database_that_refuses_is_said(tmp_path: Path) -> None:
    database = Database(tmp_path, error="unknown column")
    with pytest.raises(Unreachable, match="monitor: unknown column"):
        DatabaseMonitor(tmp_path)
    database.close()


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"db\.sock"):
        DatabaseMonitor(tmp_path)


def fake(folder: Path, script: str) -> None:
    program = folder / "ovs-ofctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_a_bridge_that_tells_no_rules_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "echo 'ovs-ofctl: br0 is not a bridge or a socket' >&2; exit 1")
    with pytest.raises(Unreachable, match="br0: its rules are not told: ovs-ofctl: br0 is not"):
        RuleMonitor(tmp_path, "br0")
    fake(tmp_path, "exit 1")
    with pytest.raises(Unreachable, match="no answer"):
        RuleMonitor(tmp_path, "br0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="needs setpriv"):
        RuleMonitor(tmp_path, "br0")


def test_a_monitor_that_ends_is_a_change_and_not_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "echo 'NXST_FLOW_MONITOR reply'; sleep 0.3")
    closed: list[str] = []
    watch = Watch(closed.append)
    monitor = RuleMonitor(tmp_path, "br0")
    watch.add(monitor)
    assert watch.alive
    wait_until(lambda: not watch.alive, 10, lambda: "is alive")
    assert closed == ["rules of br0"]
    assert select.select([watch.told], [], [], 1)[0]
    watch.remove(monitor)
    assert watch.alive
    watch.stop()


def test_a_source_that_is_not_understood_is_a_change_and_not_alive() -> None:
    class Garbled:
        name, alive = "garbled", True

        def __init__(self) -> None:
            self._end, self.other = socket.socketpair()

        def fileno(self) -> int:
            return self._end.fileno()

        def changed(self) -> bool:
            raise KeyError(self._end.recv(10))

        def close(self) -> None:
            self._end.close()
            self.other.close()

    closed: list[str] = []
    watch, garbled = Watch(closed.append), Garbled()
    watch.add(garbled)
    garbled.other.sendall(b"?")
    assert select.select([watch.told], [], [], 10)[0]
    assert (closed, watch.alive) == (["garbled"], False)
    watch.remove(garbled)
    assert watch.alive
    watch.stop()


def test_a_daemon_that_goes(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "ctl"))
        server.listen()
        monitor = DaemonMonitor(tmp_path / "ctl")
        client, _ = server.accept()
        assert not select.select([monitor], [], [], 0)[0]
        client.close()
        assert select.select([monitor], [], [], 5)[0]
        assert (monitor.changed(), monitor.alive) == (True, False)
        monitor.close()
    with pytest.raises(Unreachable):
        DaemonMonitor(tmp_path / "gone")


@pytest.fixture
def device() -> Iterator[str]:
    """Make a veth where no other test changes devices and routes."""
    need("ip", "ethtool")
    with own_network():
        ask("ip", "link", "add", "vw0", "type", "veth", "peer", "name", "vw0p")
        yield "vw0"


@pytest.mark.needs_root
def test_only_devices_of_the_datapath_and_routes_count(device: str) -> None:
    mine = device_of(device)
    assert mine is not None
    assert mine.mtu_bytes == 1500
    monitor = KernelMonitor()

    def changed() -> bool:
        found = False
        while select.select([monitor], [], [], 0.2)[0]:
            found = monitor.changed() or found
        return found

    changed()
    ask("ip", "link", "set", device, "mtu", "1400")
    assert not changed()
    monitor.devices = frozenset((mine.ifindex,))
    ask("ip", "link", "set", device, "mtu", "1300")
    assert changed()
    ask("ip", "link", "set", f"{device}p", "mtu", "1300")
    monitor.devices = frozenset()
    changed()
    ask("ip", "addr", "add", "192.0.2.77/32", "dev", device)
    assert changed()
    monitor.close()
    after = device_of(device)
    assert after is not None
    assert after.mtu_bytes == 1300


@pytest.mark.needs_root
def test_what_shapes_a_device_is_known_and_heard_of(device: str) -> None:
    mine = device_of(device)
    assert mine is not None
    monitor = KernelMonitor()
    monitor.devices = frozenset((mine.ifindex,))
    ask("ip", "link", "set", device, "up")
    assert queueing().get(mine.ifindex, set()) <= {"noqueue"}
    while select.select([monitor], [], [], 0.2)[0]:
        monitor.changed()
    ask(
        "tc",
        "qdisc",
        "add",
        "dev",
        device,
        "root",
        *["tbf", "rate", "1gbit", "burst", "1m", "latency", "9ms"],
    )
    ask("tc", "qdisc", "add", "dev", device, "clsact")
    assert select.select([monitor], [], [], 5)[0]
    assert monitor.changed()
    assert queueing()[mine.ifindex] == {"tbf", "clsact"}
    monitor.close()


@pytest.mark.needs_root
def test_a_neighbour_with_another_address_is_a_change(device: str) -> None:
    """That it was heard of again is none; nor is one of a device that does not count."""
    mine = device_of(device)
    assert mine is not None
    monitor = KernelMonitor(in_kernel=True)

    def told(*words: str) -> bool:
        ask("ip", "neighbour", *words, "dev", device)
        found = False
        while select.select([monitor], [], [], 0.2)[0]:
            found = monitor.changed() or found
        return found

    known = ("replace", "192.0.2.9", "lladdr", "02:00:00:00:00:09")
    assert not told(*known)
    monitor.devices = frozenset((mine.ifindex,))
    assert told(*known, "nud", "reachable")
    assert not told(*known, "nud", "stale")
    assert told("replace", "192.0.2.9", "lladdr", "02:00:00:00:00:08")
    assert told("del", "192.0.2.9")
    monitor.close()


@pytest.mark.needs_root
def test_a_veth_takes_what_is_redirected_when_its_other_end_has_gro(device: str) -> None:
    features = Features()
    found = device_of(device)
    assert found is not None
    if features.takes_redirected(found.ifindex) is None:
        pytest.skip("this kernel does not tell: it is before 6.3")
    for end in (device, f"{device}p"):
        ask("ip", "link", "set", end, "up")
    told = []
    for state in ("off", "on"):
        ask("ethtool", "-K", f"{device}p", "gro", state)
        told.append(features.takes_redirected(found.ifindex))
    assert told == [False, True]
    assert features.takes_redirected(1 << 30) is None
    features.close()
    assert device_of("no-such-device") is None
