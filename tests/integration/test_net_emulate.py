"""``virtboost net emulate``: real BIRDs in namespaces, by hand-counted figures; nothing stays."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from support.daemon import PATH, gone, need, wait_until
from support.emulations import below, command, outside, ran, seen
from support.networks import described
from virtboost.errors import InputError, TransportError
from virtboost.net.emulate import apart, launch
from virtboost.net.emulate.scene import Fault, Scene, scene

pytestmark = pytest.mark.needs_root

FEW: dict[str, Any] = {"nodes": 50, "churn": {"node_failures_per_day": 1}}
"""Nodes that die: BFD every 500 ms is chosen, three may be missing."""


@pytest.fixture(autouse=True)
def _needs() -> None:
    need("bird", "ip", "nsenter", "setpriv", "unshare")


def acted(design: str, nodes: int, *faults: Fault, **changes: Any) -> Scene:
    network = described(**(FEW | changes))
    return scene(network, nodes=nodes, design=design, faults=faults)


def test_a_mesh_is_as_planned(tmp_path: Path) -> None:
    """Ten nodes: 45 sessions, nine each; ten routes; 90 ordered pairs."""
    before = outside()
    with command(tmp_path, "--design", "calico-mesh", "--nodes", "10", "--json") as process:
        out, err = process.communicate(timeout=120)
    document = json.loads(out)
    assert (process.returncode, err) == (bool(document["rejected"]), "")
    counts = {key: each["measured"]["most"] for key, each in document["measures"].items()}
    assert counts.pop("bird_memory") > 500_000
    assert counts == {"sessions": 45, "sessions_per_node": 9, "rib_paths": 10, "fib_routes": 10}
    assert document["reach"] == {"sent": 90, "arrived": 90}
    assert 0 < document["converged"]["least"] <= document["converged"]["most"] < 60
    assert document["cost"]["daemon_cpu_s"] > 0
    assert outside() == before


def test_reflectors_are_as_planned(tmp_path: Path) -> None:
    """Two reflect for eight: 2 x 8 + 1 sessions; of seven others' blocks two paths, of one's own one."""
    with command(tmp_path, "--design", "calico-reflectors", "--nodes", "10") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == ("rejected, seconds" in out, "")
    rows = {line[2:40].strip(): line.split() for line in out.splitlines() if line.startswith("  ")}
    assert rows["BGP sessions"][-2:] == ["17", "17"]
    assert rows["BGP sessions of a reflector"][-2:] == ["9", "9"]
    assert rows["paths that a node's daemon holds"][-2:] == ["15", "15"]
    assert rows["routes to pods in a node's kernel"][-2:] == ["8", "8"]
    assert "56 of 56 arrived" in out


def test_a_node_of_several_blocks_announces_each() -> None:
    run = ran(acted("calico-mesh", 4, pods_per_node=100))
    assert (seen(run, "rib_paths"), seen(run, "fib_routes")) == (8, 8)
    assert run.problems == ()


def test_two_run_at_once_with_the_same_addresses(tmp_path: Path) -> None:
    options = ("--design", "calico-mesh", "--nodes", "6", "--json")
    with command(tmp_path, *options) as one, command(tmp_path, *options) as other:
        found = [json.loads(process.communicate(timeout=120)[0]) for process in (one, other)]
    assert [one.returncode, other.returncode] == [bool(each["rejected"]) for each in found]
    assert [each["reach"] for each in found] == [{"sent": 30, "arrived": 30}] * 2


def test_a_killed_daemon_and_a_cut_link_are_noticed_and_come_back() -> None:
    run = ran(acted("calico-mesh", 5, "kill", "cut"))
    kill, cut = run.faults
    assert run.problems == ()
    assert (kill.noticed_by, cut.noticed_by) == (4, 4)
    assert kill.noticed is not None and kill.noticed.most < 1
    assert kill.lost.most > 0
    assert cut.noticed is not None
    assert 0.8 < cut.noticed.least <= cut.noticed.most < 5, "BFD of 3 x 500 ms, on a busy machine"
    assert cut.lost.least > cut.noticed.least
    assert cut.back is not None and cut.back.most < 30, "BIRD's own wait is 45 s at least"


def test_graceful_restart_keeps_packets_going() -> None:
    """Many restarts, few deaths: graceful restart is chosen; a second reflector keeps routes too."""
    churn = {"node_failures_per_day": 1, "daemon_restarts_per_day": 20}
    run = ran(acted("calico-reflectors", 5, "kill", "reflector", churn=churn))
    assert run.problems == ()
    for fault in run.faults:
        assert (fault.noticed_by, fault.noticed) == (0, None)
        assert fault.lost.most < 0.5, fault.fault


def test_what_is_not_as_planned_is_told() -> None:
    """One node of another AS: no session of it comes up."""
    wanted = acted("calico-mesh", 4)
    *others, last = wanted.speakers
    foreign = structs.replace(
        last, config=last.config.replace("local OWN as 64512", "local OWN as 7")
    )
    run = ran(structs.replace(wanted, speakers=(*others, foreign), patience_s=8))
    assert run.converged is None
    assert seen(run, "sessions") == 3
    assert run.reach.arrived == 6
    assert run.problems == (
        "some nodes did not get all routes or rules",
        "BGP sessions: not as planned",
        "BGP sessions of a node: not as planned",
        "paths that a node's daemon holds: not as planned",
        "routes to pods in a node's kernel: not as planned",
        "6 packets did not arrive",
    )


def test_an_overloaded_run_is_rejected() -> None:
    """A process for each CPU that does nothing but count, while five BIRDs start."""
    burn = [sys.executable, "-c", "n = 0\nwhile True: n += 1"]
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            stack.callback(stack.enter_context(subprocess.Popen(burn)).kill)
        run = ran(acted("calico-mesh", 5))
    assert run.problems == ()
    assert re.fullmatch(r"the CPUs were \d+% busy, over 70%", run.rejected[0])
    assert run.cost.busy_ratio > 0.9


def test_a_network_that_stands_still_is_not_waited_for() -> None:
    """Nobody speaks with anybody: no route comes, long before the patience ends."""
    wanted = acted("calico-mesh", 3)
    mute = tuple(structs.replace(each, config="protocol device {}") for each in wanted.speakers)
    began = time.monotonic()
    run = ran(structs.replace(wanted, speakers=mute, patience_s=3_000, stalled_s=3))
    assert time.monotonic() - began < 30
    assert "some nodes did not get all routes or rules" in run.problems


def test_a_daemon_that_ends_is_told() -> None:
    wanted = acted("calico-mesh", 3)
    broken = tuple(structs.replace(each, config="nonsense;") for each in wanted.speakers)
    with pytest.raises(
        TransportError, match=r"BIRD of 192\.168\.0\.1 ended: .*config:2:1 syntax error"
    ):
        ran(structs.replace(wanted, speakers=broken))


def test_more_neighbours_than_the_kernel_keeps_are_there() -> None:
    """The kernel keeps 1,024 for all namespaces; here are 36 x 35."""
    run = ran(acted("calico-mesh", 36))
    assert run.problems == ()
    assert seen(run, "sessions") == 630
    assert run.reach.sent == run.reach.arrived == 1260


def test_what_was_seen_is_told_though_it_cannot_be_written(tmp_path: Path) -> None:
    with command(tmp_path, "--design", "calico-mesh", "--nodes", "4", "-o", "/dev/full") as process:
        told, problems = process.communicate(timeout=60)
    assert "BGP sessions" in told
    full = "virtboost: /dev/full: cannot be written: No space left on device\n"
    assert (process.returncode, problems) == (2, full)


def test_a_kernel_that_refuses_namespaces_is_told(tmp_path: Path) -> None:
    with command(
        tmp_path, "--nodes", "4", before=("setpriv", "--bounding-set", "-sys_admin")
    ) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (3, "")
    assert (
        err
        == "virtboost: emulation: ended early: unshare: unshare failed: Operation not permitted\n"
    )


def test_a_stage_does_not_run_on_the_machine_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", launch.STAGE], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": PATH}, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout)["problem"].startswith("a stage is begun by virtboost net")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_one_that_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    before = outside()
    options = ("--design", "calico-mesh", "--nodes", "6", "--fault", "cut")
    with command(tmp_path, *options) as process:
        wait_until(lambda: _birds(process.pid) == 6, 60, lambda: str(below(process.pid)))
        started = below(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        wait_until(lambda: all(map(gone, started)), 20, lambda: str(started))
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert (out, err) == ("", "virtboost: interrupted\n" if number == signal.SIGINT else "")
    assert outside() == before


def _birds(pid: int) -> int:
    return list(below(pid).values()).count("bird")


def test_what_is_missing_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = acted("calico-mesh", 3)
    large = structs.replace(wanted.expected["bird_memory"], high=1e15)
    with pytest.raises(InputError, match=r"of memory, and .* are available: run fewer"):
        ran(structs.replace(wanted, expected=wanted.expected | {"bird_memory": large}))
    with monkeypatch.context() as patch:
        patch.setattr(apart, "SYSTEM", ())
        patch.setenv("PATH", "/nowhere")
        with pytest.raises(InputError, match=r"not installed: bird, ip, mount, .*Debian: bird2"):
            ran(wanted)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(InputError, match="only root can"):
        ran(wanted)
