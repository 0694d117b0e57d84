"""Networks simulated: how long the largest take, and how much memory."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import yaml

from bench.measure import used
from support.networks import PLAIN

TITLE = "Networks simulated"

SIZES = (
    ("calico-mesh", 1_000, 500),
    ("calico-rack-reflectors", 10_000, 50),
    ("calico-reflectors", 10_000, 50),
)
"""Designs, nodes, pods of each: 500,000."""

GOAL_S, GOAL_BYTES = 60, 4 << 30

HEAD = """\
Each row is one run of `virtboost net simulate --scenario start --jobs 1` and one of all scenarios, Python's start in it. Goals: 60 s and 4 GiB
on one core for a start; its CPU seconds are told, which others on the machine do not change much. Complete: when the median (last) node has every route, of nodes with a CPU each; beyond 150 peers or 310 nodes all of
it is extrapolated.

| design | nodes | pods | sessions | messages | complete, s | start: CPU, s | peak memory, MiB | all scenarios: CPU, s | peak memory, MiB |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def versions() -> Sequence[str]:
    """Return the version of what computes."""
    return (f"numpy {version('numpy')}",)


def run() -> str:
    """Return the result as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        return "\n".join((HEAD, *_rows(Path(folder))))


def _rows(folder: Path) -> Iterator[str]:
    for design, nodes, pods in SIZES:
        net, out = folder / "net.yaml", folder / "out.json"
        net.write_text(yaml.safe_dump(_described(nodes, pods)))
        argv = [sys.executable, "-m", "virtboost", "net", "simulate", str(net), "--jobs", "1"]
        argv += ["--design", design, "-o", str(out)]
        start = used([*argv, "--scenario", "start"])
        (found,) = json.loads(out.read_text())["runs"][0]["outcomes"]
        if start.cpu_s > GOAL_S or start.peak_bytes > GOAL_BYTES:
            raise RuntimeError(f"{design}: {start}")
        whole = used(argv)
        complete = found["times"]["complete"]
        cells = (
            design,
            f"{nodes:,}",
            f"{nodes * pods:,}",
            f"{found['counts']['sessions']:,}",
            f"{found['counts']['messages']:,}",
            f"{complete['p50']:.2f} ({complete['most']:.2f})",
            *(
                text
                for each in (start, whole)
                for text in (f"{each.cpu_s:.1f}", f"{each.peak_bytes / (1 << 20):,.0f}")
            ),
        )
        yield f"| {' | '.join(cells)} |"


def _described(nodes: int, pods: int) -> dict[str, object]:
    addresses = PLAIN["addresses"] | {"pods": ["10.0.0.0/8"], "services": "172.16.0.0/16"}
    return PLAIN | {
        "nodes": [{"count": nodes, "racks": nodes // 40}],
        "pods_per_node": pods,
        "addresses": addresses,
        "churn": {"pods_per_s": 20, "node_failures_per_day": 1},
        "policies": {"selectors": 200, "pods": 100},
    }
