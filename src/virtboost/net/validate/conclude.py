"""What measurements say: costs from the smaller sizes, held against the size that was held out."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from itertools import chain

from msgspec import structs

from virtboost.net import ovs
from virtboost.net.description import Network
from virtboost.net.emulate.outcome import TITLES, Emulation, spread
from virtboost.net.emulate.scene import smaller
from virtboost.net.failure import Detection
from virtboost.net.simulate.cost import Costs
from virtboost.net.validate import predict, tunnels, work
from virtboost.net.validate.calibrate import Data, calibrated, cpu_rows, memory_rows
from virtboost.net.validate.calibration import Calibration, Machine
from virtboost.net.validate.compare import WALL_NODES, Comparison, Size
from virtboost.net.validate.findings import Cuts, Findings
from virtboost.net.validate.fit import explained, worst
from virtboost.net.validate.order import Order
from virtboost.net.validate.result import Validation
from virtboost.net.validate.rung import Run, SpeakerRun

FAR = 10
"""Times beyond what was fitted, at which memory has a goal of its own."""


Told = tuple[Iterator[Comparison], Calibration]
"""What is held against the size that was held out, and what is kept."""


def conclude(
    order: Order, network: Network, found: Findings, machine: Machine, made_at: str
) -> Validation:
    """Return predictions beside measurements, and costs from all of them."""
    judged = _by_bgp if order.by_bgp else _by_tunnels
    comparisons, calibration = judged(order, network, found, machine)
    return Validation(
        design=order.design,
        described_nodes=network.node_count,
        sizes=order.sizes,
        hold_out=order.hold_out,
        repeats=order.repeats,
        comparisons=(
            *_structure(_held_out(order, found)),
            *comparisons,
            *_databases(found.climbed),
        ),
        rejected=found.rejected,
        problems=tuple(_problems(found)),
        calibration=structs.replace(calibration, made_at=made_at),
    )


def _by_tunnels(order: Order, network: Network, found: Findings, machine: Machine) -> Told:
    """Conclude of tunnels: what predicts the held-out size comes from the smaller ones alone."""
    start = tunnels.Start(network=network, design=order.design, cpus=machine.cpus)
    held_out = _held_out(order, found)
    smaller_ones = [run for run in found.emulations if run not in held_out]
    costs = tunnels.calibrated(start, tunnels.Known(smaller_ones, found.climbed), Costs())
    everything = tunnels.Known(found.emulations, found.climbed)
    final = tunnels.calibrated(start, everything, Costs())
    calibration = Calibration(
        machine=machine,
        made_at="",
        watchers=max(_watchers(found.climbed), tunnels.watchers(held_out)),
        rules=_rules(found.climbed),
        rows=_rows(found.climbed),
        tunnels={order.design: tunnels.reach(start, everything, final)},
        costs=structs.replace(final, machine=machine.label, spawn_s=0.0),
    )
    return tunnels.compared(start, costs, held_out), calibration


def _by_bgp(order: Order, network: Network, found: Findings, machine: Machine) -> Told:
    """Conclude of BGP.

    Costs that predict the held-out size come from the smaller ones, and from single BIRDs with no
    more peers than the held-out size brings.
    """
    held_out = _held_out(order, found)
    fitted = [run for run in found.emulations if run not in held_out]
    blocks = smaller(network, order.hold_out).blocks_per_node
    near = [run for run in found.climbed if _peers(run) < order.hold_out]
    case = predict.Question(network=network, design=order.design)
    known = Data(emulations=fitted, blocks=blocks, climbed=near)
    cuts = [cut for cut in found.cuts if not cut.problems and not cut.missing]
    belief = _prompt(cuts)
    costs = calibrated(known, belief, case.shares)
    said = case.start(order.hold_out, _emulated(costs, held_out), machine.cpus)
    everything = Data(emulations=found.emulations, blocks=blocks, climbed=found.climbed)
    comparisons = chain(
        _network(said, held_out, blocks), _beyond(known, costs, found.climbed), _cuts(costs, cuts)
    )
    return comparisons, _calibration(order, everything, case, belief, machine)


def _calibration(
    order: Order, data: Data, case: predict.Question, belief: Costs, machine: Machine
) -> Calibration:
    costs = structs.replace(calibrated(data, belief, case.shares), machine=machine.label)
    values = structs.asdict(costs)
    return Calibration(
        machine=machine,
        made_at="",
        nodes=order.hold_out,
        peers=max((order.hold_out - 1, *map(_peers, data.climbed))),
        watchers=_watchers(data.climbed),
        rules=_rules(data.climbed),
        rows=_rows(data.climbed),
        memory_error=worst(memory_rows(data), values),
        cpu_error=worst(cpu_rows(data, costs, case.shares), values),
        costs=costs,
    )


def _held_out(order: Order, found: Findings) -> list[Emulation]:
    return [run for run in found.emulations if run.nodes == order.hold_out]


def _watchers(climbed: Sequence[Run]) -> int:
    return max((run.rung.watchers for run in work.watched(climbed)), default=0)


def _rows(climbed: Sequence[Run]) -> int:
    return max((run.rows for run in work.databases(climbed)), default=0)


def _rules(climbed: Sequence[Run]) -> int:
    return max((run.rung.rules for run in work.ruled(climbed)), default=0)


def _prompt(cuts: Sequence[Cuts]) -> Costs:
    """Return costs before, but for how late BFD is here, which the fastest timers tell best."""
    found = [cut for cut in cuts if cut.detection.by == "bfd"]
    if not found:
        return Costs()
    fastest = min(found, key=lambda cut: cut.detection.interval_ms)
    return Costs(bfd_late_s=predict.lateness(fastest.detection, fastest.noticed_s))


def _peers(run: Run) -> int:
    return run.rung.peers if isinstance(run, SpeakerRun) else 0


def _structure(runs: Sequence[Emulation]) -> Iterator[Comparison]:
    """Yield what follows by counting."""
    size = _size(runs)
    for key, measure in runs[0].measures.items():
        if measure.expected.tag == "exact":
            seen = [run.measures[key].measured for run in runs]
            ends = spread(end for each in seen for end in (each.least, each.most))
            yield size.compared(TITLES[key], "exact", measure.expected.value, ends)


def _emulated(costs: Costs, runs: Sequence[Emulation]) -> Costs:
    """Return costs with daemons that are started one after the other."""
    return structs.replace(costs, spawn_s=statistics.median(run.cost.spawn_s for run in runs))


def _problems(found: Findings) -> Iterator[str]:
    for run in found.emulations:
        yield from (f"{run.nodes} nodes: {problem}" for problem in run.problems)
    for cut in found.cuts:
        yield from (f"cut, {_way(cut.detection)}: {problem}" for problem in cut.problems)
        if cut.missing:
            yield f"cut, {_way(cut.detection)}: {cut.missing} nodes did not notice"


def _network(said: predict.Said, runs: Sequence[Emulation], blocks: int) -> Iterator[Comparison]:
    """Yield what a simulation says of a network beside what was measured."""
    size = _size(runs)
    sessions = spread(run.measures["sessions"].measured.median for run in runs)
    yield size.compared("sessions, simulated", "exact", said.sessions, sessions)
    routes = spread(
        (run.nodes - run.reflectors) * (run.measures["fib_routes"].measured.median - blocks)
        for run in runs
    )
    yield size.compared("routes in kernels, simulated", "exact", said.routes, routes)
    updates = spread(run.updates for run in runs)
    yield size.compared("routes told", "messages", said.updates, updates)
    for key in ("bird_memory", "reflector_memory"):
        if key in runs[0].measures:
            seen = spread(run.measures[key].measured.median for run in runs)
            yield size.compared(TITLES[key], "memory", said.memory[key], seen, "B")
    cpu_s = spread(run.cost.daemon_cpu_s for run in runs)
    yield size.compared("CPU of all BIRDs", "cpu", said.cpu_s, cpu_s, "s")
    ways = [run.converged for run in runs if run.converged is not None]
    if ways and runs[0].nodes <= WALL_NODES:
        halves, lates = (spread(getattr(way, key) for way in ways) for key in ("median", "p95"))
        yield size.compared("50 % of nodes have every route", "middle", said.half_s, halves, "s")
        yield size.compared("95 % of nodes have every route", "late", said.late_s, lates, "s")


def _beyond(known: Data, costs: Costs, climbed: Sequence[Run]) -> Iterator[Comparison]:
    """Yield the memory of the BIRD that has ten times as many peers as those fitted to, or more."""
    most = max(row.work["peer_bytes"] for row in memory_rows(known))
    far = [run for run in climbed if _peers(run) >= FAR * most]
    for row in [*work.climbed_memory(far)][:1]:
        peers = row.work["peer_bytes"]
        size = Size(name=f"{peers:,.0f} peers", runs=1)
        said = explained(row, structs.asdict(costs))
        what = f"memory of a BIRD, {peers / most:.0f} times beyond"
        yield size.compared(what, "beyond", said, spread([row.value]), "B")


def _databases(climbed: Sequence[Run]) -> Iterator[Comparison]:
    """Yield what OVN made of its databases beside the closed forms of the plan."""
    for run in work.databases(climbed):
        nodes, ports = run.rung.nodes, run.rung.ports
        size = Size(name=f"{nodes} nodes of {ports} pods", runs=1)
        for key, said, seen in (
            ("logical_flows", ovs.ovn_rows(nodes, ports, 0), run.rows),
            ("openflow_rules", ovs.ovn_rules(nodes, ports, 0, 0), run.rules),
        ):
            yield size.compared(TITLES[key], "exact", said.value, spread([seen]))


def _cuts(costs: Costs, cuts: Sequence[Cuts]) -> Iterator[Comparison]:
    for cut in cuts:
        half, late = predict.noticed(cut.detection, costs)
        name, seen = _way(cut.detection), spread(cut.noticed_s)
        size = Size(name=f"{cut.nodes} nodes", runs=cut.trials)
        yield size.compared(f"{name}, 50 % noticed", "noticed", half, seen, "s")
        spot = structs.replace(seen, median=seen.p95)
        yield size.compared(f"{name}, 95 % noticed", "noticed", late, spot, "s")


def _way(detection: Detection) -> str:
    if detection.by == "bfd":
        return f"BFD {detection.multiplier} x {detection.interval_ms} ms"
    return f"hold time {detection.interval_ms / 1000:g} s"


def _size(runs: Sequence[Emulation]) -> Size:
    return Size(name=f"{runs[0].nodes} nodes", runs=len(runs))
