"""What came of an emulation, beside what the plan expected."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct, structs

from virtboost.net.emulate.scene import WITHOUT_BGP, Fault
from virtboost.net.figure import Figure

TITLES = {
    "sessions": "BGP sessions",
    "sessions_per_node": "BGP sessions of a node",
    "sessions_per_reflector": "BGP sessions of a reflector",
    "fabric_sessions": "BGP sessions of the fabric",
    "rib_paths": "paths that a node's daemon holds",
    "fib_routes": "routes to pods in a node's kernel",
    "next_hops": "next hops of each such route of another's",
    "switch_routes": "routes to pods in a switch's kernel",
    "switch_next_hops": "next hops of each to another rack",
    "bird_memory": "memory of a node's BIRD",
    "reflector_memory": "memory of a reflector's BIRD",
    "frr_memory": "memory of a node's FRR",
    "frr_reflector_memory": "memory of a reflector's FRR",
    "tunnels_per_node": "tunnels of a node",
    "openflow_rules": "OpenFlow rules of a node",
    "megaflows": "megaflows of a node's tunnels",
    "logical_flows": "rows of logical flows in the southbound database",
    "controller_memory": "memory of a node's ovn-controller",
    "learned_addresses": "addresses that a node's switch learned",
    "fdb_entries": "forwarding entries of a node's VXLAN device",
    "neighbours": "neighbour entries of a node",
    "watchers": "watchers of the datastore",
    "watch_events": "events that the datastore sent to them",
    "watch_cpu": "CPU of the datastore for each",
    "switch_memory": "memory of a node's ovs-vswitchd",
}
"""Of what is measured, by key."""

MOST_BUSY = 0.7
"""Of the CPUs: above, times are the machine's rather than the design's."""

MOST_OTHERS = 0.15
"""Of the CPU seconds, of programs beside the emulation, where its start fills all CPUs anyhow: that
of tunnels does."""

MOST_HARNESS = 0.2
"""Of all CPU seconds."""


class Spread(Struct, frozen=True, kw_only=True):
    """A quantity over many daemons or nodes."""

    least: float
    median: float
    p95: float
    """Of 100 nodes the 95th, of few nodes the last."""
    most: float


class Measure(Struct, frozen=True, kw_only=True):
    """A quantity that the plan has a form for."""

    expected: Figure
    measured: Spread

    @property
    def agrees(self) -> bool:
        """Whether all of what was measured is within the interval that was expected."""
        high = self.expected.high
        return self.expected.low <= self.measured.least and (
            high is None or self.measured.most <= high
        )


class Reach(Struct, frozen=True, kw_only=True):
    """Packets from a pod of each node to one of each other node."""

    sent: int
    arrived: int


class Cost(Struct, frozen=True, kw_only=True):
    """What it took until all routes were everywhere."""

    setup_s: float
    """Until namespaces and links were there, before any daemon."""
    spawn_s: float
    """From the start of one daemon to that of the next."""
    daemon_cpu_s: float
    """Of all daemons, and of scripts that play the part of some."""
    reflector_cpu_s: float
    """Of the busiest reflector; 0: there is none."""
    central_cpu_s: float = 0.0
    """Of those that all nodes share, etcd or OVN's databases and northd; 0: there are none."""
    harness_cpu_s: float
    """Of what watched them."""
    busy_ratio: float
    """Of all CPUs of this machine, whoever kept them busy."""
    others_cpu_s: float = 0.0
    """Of all that is none of these."""


class Losses(Struct, frozen=True, kw_only=True):
    """What kernels dropped meanwhile; BGP sends it again, later."""

    links: int = 0
    """Packets, by the ends of links."""
    sockets: int = 0
    """Datagrams without room in their socket."""
    backlog: int = 0
    """Packets beyond ``netdev_max_backlog``, on all of this machine."""
    neighbours: int = 0
    """Neighbours without room in the kernel's table, of all of this machine."""

    def since(self, before: Losses) -> Losses:
        """Return what was lost after an earlier count."""
        gone = {key: getattr(self, key) - getattr(before, key) for key in self.__struct_fields__}
        return Losses(**gone)


class FaultOutcome(Struct, frozen=True, kw_only=True):
    """What came of a fault; all times in seconds."""

    fault: Fault
    victim: str
    """Address of the node, reflector or switch."""
    noticed_by: int
    """Nodes that took the victim's routes out of their kernels."""
    noticed: Spread | None
    """After the fault; None: no node did."""
    noticed_s: tuple[float, ...]
    """Of each node that did."""
    repaired_s: float
    """When the fault was undone."""
    back: Spread | None
    """From repair until those nodes had the routes again; None: nothing was gone, or not again."""
    lost: Spread
    """While packets did not arrive, by the nodes that sent some all the time."""
    expected: Figure | None
    """Of the plan: of ``noticed`` (cut, freeze) or of ``lost`` (kill, switch-cut)."""
    restored: bool
    """Whether all sessions and routes were there again in the end."""


class Emulation(Struct, frozen=True, kw_only=True):
    """A network that was run."""

    schema: Literal["virtboost.net-emulation/1"] = "virtboost.net-emulation/1"
    design: str
    nodes: int
    """Of them, the reflectors hold no pods."""
    reflectors: int
    switches: int = 0
    """Of racks and the fabric, beside the nodes."""
    described_nodes: int
    converged: Spread | None
    """Seconds from the first daemon's start until a node had every route; None: not all had."""
    measures: dict[str, Measure]
    unplanned: dict[str, Spread] = {}
    """What the plan has no form for: memory of FRR."""
    updates: int
    """Routes that BIRDs were told of, over all sessions, once all had all; that FRR's took."""
    reach: Reach
    faults: tuple[FaultOutcome, ...]
    cost: Cost
    losses: Losses = Losses()
    problems: tuple[str, ...] = ()
    """What is not as it must be."""
    rejected: tuple[str, ...] = ()
    """Why seconds are not to be trusted, of the clock or of the CPUs; empty: they are."""


def spread(values: Iterable[float]) -> Spread:
    """Return least, median and most of some values."""
    found = sorted(values)
    return Spread(
        least=found[0],
        median=statistics.median(found),
        p95=found[math.ceil(0.95 * len(found)) - 1],
        most=found[-1],
    )


def judged(run: Emulation) -> Emulation:
    """Return a run with what is wrong with it, and with its times."""
    busy = _crowd(run.cost) if run.design in WITHOUT_BGP else _overload(run.cost)
    reasons = (*busy, *_own(run.cost), *_lost(run.losses))
    return structs.replace(run, problems=tuple(_problems(run)), rejected=reasons)


def _problems(run: Emulation) -> Iterator[str]:
    if run.converged is None:
        yield "some nodes did not get all routes or rules"
    for key, measure in run.measures.items():
        if measure.expected.tag == "exact" and not measure.agrees:
            yield f"{TITLES[key]}: not as planned"
    if run.reach.arrived < run.reach.sent:
        yield f"{run.reach.sent - run.reach.arrived:,} packets did not arrive"
    for fault in run.faults:
        if not fault.restored:
            yield f"{fault.fault}: sessions or routes did not come back"


def _overload(cost: Cost) -> Iterator[str]:
    if cost.busy_ratio > MOST_BUSY:
        yield f"the CPUs were {cost.busy_ratio:.0%} busy, over {MOST_BUSY:.0%}"


def _crowd(cost: Cost) -> Iterator[str]:
    ratio = cost.others_cpu_s / (cost.daemon_cpu_s + cost.harness_cpu_s + cost.others_cpu_s)
    if ratio > MOST_OTHERS:
        yield f"{ratio:.0%} of the CPU seconds went to other programs, over {MOST_OTHERS:.0%}"


def _own(cost: Cost) -> Iterator[str]:
    whole = cost.daemon_cpu_s + cost.harness_cpu_s
    if cost.harness_cpu_s > MOST_HARNESS * whole:
        ratio = cost.harness_cpu_s / whole
        yield f"{ratio:.0%} of the CPU seconds are the emulation's own, over {MOST_HARNESS:.0%}"


def _lost(losses: Losses) -> Iterator[str]:
    if losses.links:
        yield f"links dropped {losses.links:,} packets"
    if losses.sockets:
        yield f"sockets had no room for {losses.sockets:,} datagrams"
    if losses.backlog:
        yield f"{losses.backlog:,} packets were beyond net.core.netdev_max_backlog"
    if losses.neighbours:
        yield f"the kernel's neighbour table was full {losses.neighbours:,} times"
