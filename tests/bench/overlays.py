"""Networks of tunnels as they are emulated: Open vSwitch, OVN, and VXLAN of the kernel after etcd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence

from support.daemon import PATH
from support.networks import described
from virtboost.net.emulate.launch import emulate
from virtboost.net.emulate.outcome import Emulation
from virtboost.net.emulate.scene import Fault, scene

TITLE = "Networks of tunnels emulated"

SIZES = (
    ("ovs-vxlan", 10, 30),
    ("ovs-vxlan", 30, 30),
    ("ovs-vxlan", 50, 30),
    ("ovn-central", 10, 10),
    ("ovn-central", 20, 30),
    ("ovn-central", 30, 15),
    ("calico-vxlan", 10, 30),
    ("calico-vxlan", 30, 30),
    ("calico-vxlan", 100, 30),
)
"""Design, nodes, pods of each."""

FAULTS: tuple[Fault, ...] = ("kill", "cut", "freeze")

COUNTS = {
    "openflow_rules": "rules",
    "logical_flows": "logical flows",
    "megaflows": "megaflows",
    "tunnels_per_node": "tunnels",
    "fdb_entries": "FDB",
    "neighbours": "neighbours",
    "fib_routes": "routes",
    "watch_events": "events",
}

HEAD = """\
Each row is one run of `virtboost net emulate`, with daemons for each node and two pods of each in namespaces. Counts are those of the closed forms on every node,
or the run fails. Ready: from the start of the first daemon until the median (last) node has all rules or routes. CPU is of all daemons
until then, with the scripts that play controllers, and of the emulation; busy: of both CPUs, whoever kept them so. Memory (their own, without pages of files):
ovs-vswitchd, ovn-controller, the most of any node's. Event: CPU of etcd for each event it sends, beyond writing it.

| design | nodes x pods | counts | ready, s | CPU, s | CPU of the emulation, s | busy | memory, MB | event, us | packets arrived |
|---|---:|---|---:|---:|---:|---:|---:|---:|---:|"""

FAULT_HEAD = """

Faults with 5 nodes, each undone after a second: seconds of packets to the victim's pods and from them that were lost, by pair of nodes. Least to most.

| design | kill | cut | freeze |
|---|---:|---:|---:|"""


def versions() -> Sequence[str]:
    """Return the versions of Open vSwitch, OVN and etcd."""
    asked = (("ovs-vswitchd", "--version"), ("ovn-controller", "--version"), ("etcd", "--version"))
    told = (
        subprocess.run(argv, capture_output=True, text=True, check=True, env={"PATH": PATH})
        for argv in asked
    )
    return tuple(done.stdout.splitlines()[0] for done in told)


def run() -> str:
    """Return the result as Markdown."""
    return "\n".join((HEAD, *map(_size, SIZES), FAULT_HEAD, *_faults()))


def _size(size: tuple[str, int, int]) -> str:
    design, nodes, pods = size
    found = _run(design, nodes, pods, ())
    if found.converged is None:
        raise RuntimeError(f"{design}: not all nodes were ready")
    cells = (
        design,
        f"{nodes} x {pods}",
        ", ".join(_counts(found)),
        f"{found.converged.median:.1f} ({found.converged.most:.1f})",
        f"{found.cost.daemon_cpu_s:.1f}",
        f"{found.cost.harness_cpu_s:.1f}",
        f"{found.cost.busy_ratio:.0%}",
        ", ".join(_most(found, ("switch_memory", "controller_memory"), 1e6)),
        ", ".join(_most(found, ("watch_cpu",), 1e-6)),
        f"{found.reach.arrived:,} of {found.reach.sent:,}",
    )
    return f"| {' | '.join(cells)} |"


def _counts(found: Emulation) -> Iterator[str]:
    for key, title in COUNTS.items():
        if key in found.measures:
            yield f"{found.measures[key].measured.most:,.0f} {title}"


def _most(found: Emulation, keys: tuple[str, ...], unit: float) -> Iterator[str]:
    for key in keys:
        if key in found.measures:
            yield f"{found.measures[key].measured.most / unit:.0f}"


def _faults() -> Iterator[str]:
    for design in ("ovs-vxlan", "ovn-central", "calico-vxlan"):
        found = _run(design, 5, 10, FAULTS).faults
        cells = (f"{each.lost.least:.2f} to {each.lost.most:.2f}" for each in found)
        yield f"| {design} | {' | '.join(cells)} |"


def _run(design: str, nodes: int, pods: int, faults: tuple[Fault, ...]) -> Emulation:
    network = described(nodes=400, pods_per_node=pods)
    found = emulate(scene(network, nodes=nodes, design=design, faults=faults), lambda _: None)
    if found.problems:
        raise RuntimeError(f"{design}, {nodes} nodes: {found.problems}")
    return found
