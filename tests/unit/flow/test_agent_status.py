"""What an agent says of itself: for Prometheus's own parser, for a terminal, over its sockets."""

from __future__ import annotations

import select
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from virtboost.errors import InputError, Unreachable
from virtboost.flow import abi
from virtboost.flow.agent.control import Control, MetricsServer, ask
from virtboost.flow.agent.status import Direction, FlowStatus, metrics, spelled
from virtboost.report.flow_agent import status_lines, top_table

STATUS = FlowStatus(
    pid=7, state="open", reason="", datapath="netdev@ovs-netdev", ports=("vm", "uplink"),
    observe=False, tcp_window="strict", lease_ms=500, check_ms=12.5, entries=2, max_entries=10,
    removed=4, packets=1234567, bytes=9876543, passes={"no entry": 3, 'odd "name"\\': 1},
    refused={"R12": 5, "its window": 1}, closed={"rules of br": 6}, samples=True, verified={"same": 8},
    busiest=(
        Direction(what="udp 10.0.0.1:1 -> 10.0.0.2:2", port="vm", packets=9, bytes=900, packets_per_s=1500.4),
        Direction(what="tcp \x1b[31m", port="b", packets=1, bytes=1, packets_per_s=0),
    ),
)  # fmt: skip


def test_metrics_are_prometheus() -> None:
    families = {each.name: each for each in text_string_to_metric_families(metrics(STATUS))}
    values = {
        (name, *sample.labels.values()): sample.value
        for name, family in families.items()
        for sample in family.samples
    }
    assert values["virtboost_flow_packets",] == 1234567
    assert values["virtboost_flow_passes", 'odd "name"\\'] == 1
    assert values["virtboost_flow_closed", "rules of br"] == 6
    assert values["virtboost_flow_state", "open"] == 1
    assert values["virtboost_flow_state", "quarantined"] == 0
    assert values["virtboost_flow_check_seconds",] == 0.0125
    kinds = {name: family.type for name, family in families.items()}
    assert kinds["virtboost_flow_packets"] == "counter"
    assert kinds["virtboost_flow_entries"] == "gauge"
    assert all(family.documentation for family in families.values())


def test_that_nothing_is_sampled_is_said() -> None:
    text = "\n".join(status_lines(replace(STATUS, samples=False), width=80))
    assert "samples: none in front of the kernel's datapath" in text


def test_lines() -> None:
    text = "\n".join(status_lines(STATUS, width=80))
    assert "agent 7 at netdev@ovs-netdev: entries are carried out" in text
    assert "2 of 10 entries took 1,234,567 packets" in text
    assert "5  R12 its connection is not established both ways" in text


def test_a_quarantine_is_said() -> None:
    status = msgspec.structs.replace(STATUS, state="quarantined", reason="udp: another packet")
    lines = list(status_lines(status, width=80))
    assert "QUARANTINED" in lines[0]
    assert "udp: another packet" in lines[1]


def test_top_has_as_many_rows_as_there_is_room_for() -> None:
    for height, rows in ((24, 2), (5, 1), (1, 1)):
        assert top_table(STATUS, height).row_count == rows
    console = Console(width=100)
    with console.capture() as captured:
        console.print(top_table(STATUS, 24))
    assert "1,500" in captured.get()
    assert "\x1b[31m" not in captured.get()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (abi.Key(protocol=6, eth_type=0x0800, source_port=1, destination_port=80), "tcp 10.0.0.1:1 -> 10.0.0.2:80"),
        (abi.Key(protocol=1, eth_type=0x0800, destination_port=0x800), "icmp 10.0.0.1 -> 10.0.0.2"),
        (abi.Key(protocol=17, eth_type=0x86DD, source_port=1, destination_port=2), "udp [fd00::1]:1 -> [fd00::2]:2"),
    ],
)  # fmt: skip
def test_spelled(key: abi.Key, text: str) -> None:
    if key.eth_type == 0x0800:
        key.source[:4], key.destination[:4] = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    else:
        key.source[:] = socket.inet_pton(socket.AF_INET6, "fd00::1")
        key.destination[:] = socket.inet_pton(socket.AF_INET6, "fd00::2")
    assert spelled(key) == text


def answering(control: Control, times: int = 100_000) -> threading.Thread:
    def serve() -> None:
        select.select([control], [], [], 10)
        for _ in range(3):
            control.serve(lambda question: question * times)
            time.sleep(0.3)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_the_socket_answers_and_is_of_one_agent(tmp_path: Path) -> None:
    path = tmp_path / "run" / "flow.sock"
    control = Control(path)
    assert path.stat().st_mode & 0o777 == 0o600
    thread = answering(control)
    assert ask(path, "status") == "status" * 100_000
    thread.join()
    thread = answering(control, 0)
    assert ask(path, "flows") == ""
    thread.join()
    with pytest.raises(InputError, match="another agent"):
        Control(path)
    control.close()
    with pytest.raises(Unreachable, match="no agent answers"):
        ask(path, "status")
    Control(path).close()


def test_one_that_asks_nothing_does_not_hold_others_up(tmp_path: Path) -> None:
    control = Control(tmp_path / "flow.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(tmp_path / "flow.sock"))
        begun = time.monotonic()
        control.serve(lambda question: question)
        assert time.monotonic() - begun < 0.1
        silent.sendall(b"status\n")  # it was only slow
        control.serve(lambda question: f"{question}!")
        assert silent.recv(64) == b"status!\0"
    control.close()


def test_one_that_does_not_read_does_not_hold_the_agent_up(tmp_path: Path) -> None:
    control = Control(tmp_path / "flow.sock")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(tmp_path / "flow.sock"))
        deaf.sendall(b"flows\n")
        time.sleep(0.1)
        begun = time.monotonic()
        control.serve(lambda _: "x" * 10_000_000)
        assert time.monotonic() - begun < 5
        assert deaf.recv(1) == b"x"
    control.close()


def test_metrics_are_served() -> None:
    server = MetricsServer(("127.0.0.1", 0))
    server.text = metrics(STATUS)
    url = f"http://127.0.0.1:{server.port}"
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        assert answer.read().decode() == server.text
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{url}/", timeout=10)
    with pytest.raises(InputError, match="--metrics"):
        MetricsServer(("127.0.0.1", server.port))
    server.close()
