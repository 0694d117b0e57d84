"""``virtboost net emulate`` of Calico's VXLAN: the kernel's devices, and etcd that nodes watch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from support.daemon import need
from support.emulations import command, outside, ran, seen
from support.networks import described
from virtboost.errors import TransportError
from virtboost.net.emulate.scene import Fault, Scene, scene

pytestmark = pytest.mark.needs_root


@pytest.fixture(autouse=True)
def _needs() -> None:
    need("bridge", "etcd", "ip", "nsenter", "setpriv", "unshare")


def acted(nodes: int, *faults: Fault, **changes: Any) -> Scene:
    network = described(**({"nodes": 50} | changes))
    return scene(network, nodes=nodes, design="calico-vxlan", faults=faults)


def test_tunnels_of_the_kernel_are_as_planned(tmp_path: Path) -> None:
    """Five nodes: four others each, as neighbours twice, and two pods; 200 events to five."""
    before = outside()
    with command(tmp_path, "--design", "calico-vxlan", "--nodes", "5", "--json") as process:
        out, err = process.communicate(timeout=120)
    document = json.loads(out)
    assert (process.returncode, err) == (bool(document["rejected"]), "")
    measures = {key: each["measured"]["most"] for key, each in document["measures"].items()}
    assert 0 <= measures.pop("watch_cpu") < 0.01
    assert measures == {
        "tunnels_per_node": 4, "fdb_entries": 4, "neighbours": 10, "fib_routes": 5, "watchers": 5,
        "watch_events": 1000,
    }  # fmt: skip
    assert document["reach"] == {"sent": 20, "arrived": 20}
    assert document["cost"]["daemon_cpu_s"] > 0
    assert outside() == before


def test_a_node_of_several_blocks_has_a_route_for_each() -> None:
    run = ran(acted(3, pods_per_node=100))
    assert run.problems == ()
    assert (seen(run, "fib_routes"), seen(run, "fdb_entries")) == (6, 2)


def test_the_kernel_goes_on_without_felix() -> None:
    run = ran(acted(4, "kill", "freeze", "cut"))
    kill, freeze, cut = run.faults
    assert run.problems == ()
    assert kill.lost.most < 0.5 and freeze.lost.most < 0.5
    assert 0.7 < cut.lost.least <= cut.lost.most < 5


def test_packets_take_the_tunnels() -> None:
    """The last node tells of an address that its device does not have: nothing comes out there."""
    *others, last = acted(3).speakers
    told = json.loads(last.config)
    wrong = json.loads(others[0].config)["own"]["mac"]
    lying = structs.replace(last, config=json.dumps(told | {"own": told["own"] | {"mac": wrong}}))
    run = ran(structs.replace(acted(3), speakers=(*others, lying), stalled_s=5))
    assert seen(run, "fib_routes") == 3
    assert run.reach.arrived < run.reach.sent
    assert "packets did not arrive" in run.problems[-1]


def test_a_datastore_that_does_not_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etcd").write_text("#!/bin/sh\necho no space left >&2\nexit 3\n")
    (tmp_path / "etcd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(TransportError, match="etcd ended: no space left"):
        ran(acted(2))
