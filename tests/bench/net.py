"""Networks of BIRD and FRR as they are emulated: what is planned beside what was measured."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence

from support.daemon import PATH
from support.networks import described
from virtboost.net.description import Network
from virtboost.net.emulate.frr import BGPD
from virtboost.net.emulate.launch import emulate
from virtboost.net.emulate.outcome import Emulation, FaultOutcome, Spread
from virtboost.net.emulate.scene import Fault, scene
from virtboost.net.emulate.speaker import Role

TITLE = "Networks emulated"

BIRD: tuple[Role, ...] = ()

FRR: tuple[Role, ...] = ("nodes",)

SIZES = (
    ("calico-mesh", 20, BIRD),
    ("calico-mesh", 20, FRR),
    ("calico-mesh", 40, BIRD),
    ("calico-mesh", 40, FRR),
    ("calico-mesh", 80, BIRD),
    ("calico-mesh", 80, FRR),
    ("calico-mesh", 150, BIRD),
    ("calico-reflectors", 50, BIRD),
    ("calico-reflectors", 200, BIRD),
    ("calico-rack-reflectors", 310, BIRD),
    ("calico-tor", 60, BIRD),
)

DEATHS = {"node_failures_per_day": 1}

RESTARTS = {"node_failures_per_day": 1, "daemon_restarts_per_day": 20}
"""So many that graceful restart is chosen."""

FAULTS: tuple[tuple[str, Mapping[str, float], tuple[Fault, ...]], ...] = (
    ("calico-mesh", DEATHS, ("kill", "cut", "freeze")),
    ("calico-reflectors", DEATHS, ("kill", "cut", "reflector")),
    ("calico-reflectors", RESTARTS, ("kill", "cut")),
    ("calico-tor", DEATHS, ("kill", "cut", "freeze", "switch", "switch-cut", "switch-freeze")),
)

HEAD = """\
Each row is one run of `virtboost net emulate`: a BIRD (or an FRR: zebra and bgpd), a namespace and a block of pods for each node. Counts are exact or the run fails.
Converged: from the start of the first daemon until the median (last) node has every route in its kernel. CPU is of all daemons until then;
busy: of both CPUs, whoever kept them so. Memory (PSS) is of a node's daemons: planned, which is for BIRD only, and the most of any node's.
calico-tor has four racks: beside the nodes, eight switches and two spines, and 16 sessions between these.

| design | nodes | sessions | converged, s | CPU, s | CPU of the emulation, s | busy | memory planned, kB | measured | packets arrived |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""

FAULT_HEAD = """

Faults with 20 nodes, timers as planned for 50 nodes. Noticed: until other nodes had the victim's routes out of their kernels; back: from repair
until they had them again; lost: seconds of packets to the victim's pods and from them, by pair of nodes. Least to most.

| design, chosen timers | fault | noticed, s | planned, s | back, s | lost, s | planned, s |
|---|---|---:|---:|---:|---:|---:|"""


def versions() -> Sequence[str]:
    """Return the versions of BIRD and of FRR."""
    return tuple(map(_version, ("bird", BGPD)))


def _version(program: str) -> str:
    done = subprocess.run(
        (program, "--version"), capture_output=True, text=True, check=True, env={"PATH": PATH}
    )
    return (done.stdout + done.stderr).strip().splitlines()[0]


def run() -> str:
    """Return the result as Markdown."""
    return "\n".join((HEAD, *_sizes(), FAULT_HEAD, *_faults()))


def _sizes() -> Iterator[str]:
    for design, nodes, by_frr in SIZES:
        found = _run(design, nodes, described(nodes=400), (), by_frr)
        measures, cost = found.measures, found.cost
        cells = (
            f"{design}, FRR" if by_frr else design,
            f"{found.nodes}",
            f"{measures['sessions'].measured.median:,.0f}",
            _middle(found.converged),
            f"{cost.daemon_cpu_s:.2f}",
            f"{cost.harness_cpu_s:.2f}",
            f"{cost.busy_ratio:.0%}",
            *_memory(found),
            f"{found.reach.arrived:,} of {found.reach.sent:,}",
        )
        yield f"| {' | '.join(cells)} |"


def _memory(found: Emulation) -> tuple[str, str]:
    if "bird_memory" not in found.measures:
        return "", f"{found.unplanned['frr_memory'].most / 1000:,.0f}"
    memory = found.measures["bird_memory"]
    return f"{memory.expected.value / 1000:,.0f}", f"{memory.measured.most / 1000:,.0f}"


def _faults() -> Iterator[str]:
    for design, churn, faults in FAULTS:
        timers = "graceful restart" if churn is RESTARTS else "BFD"
        network = described(nodes=50, churn=churn)
        for each in _run(design, 20, network, faults).faults:
            yield f"| {design}, {timers} | {' | '.join(_fault_cells(each))} |"


def _fault_cells(found: FaultOutcome) -> tuple[str, ...]:
    planned = ""
    if found.expected is not None:
        planned = f"{found.expected.low:.2f} to {found.expected.high or 0:.2f}"
    detected = found.fault in ("cut", "freeze")
    return (
        found.fault,
        _ends(found.noticed),
        planned if detected else "",
        _ends(found.back),
        _ends(found.lost),
        "" if detected else planned,
    )


def _run(
    design: str,
    nodes: int,
    network: Network,
    faults: tuple[Fault, ...],
    by_frr: tuple[Role, ...] = (),
) -> Emulation:
    wanted = scene(network, nodes=nodes, design=design, faults=faults, by_frr=by_frr)
    found = emulate(wanted, lambda _: None)
    if found.problems:
        raise RuntimeError(f"{design}, {nodes} nodes: {found.problems}")
    return found


def _middle(found: Spread | None) -> str:
    return "" if found is None else f"{found.median:.2f} ({found.most:.2f})"


def _ends(found: Spread | None) -> str:
    return "nobody" if found is None else f"{found.least:.2f} to {found.most:.2f}"
