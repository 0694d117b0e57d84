"""What is run for a validation: emulations of several sizes, cuts, ladders; again, if rejected."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence

import msgspec

from virtboost.errors import TransportError
from virtboost.net.description import Network
from virtboost.net.emulate.apart import Tell, apart, require_root
from virtboost.net.emulate.launch import OF_DAEMONS, PROGRAMS, emulate_together, require_programs
from virtboost.net.emulate.outcome import Emulation
from virtboost.net.emulate.scene import Fault, Scene, scene
from virtboost.net.emulate.speaker import Software
from virtboost.net.failure import Detection
from virtboost.net.validate import datastore, logical, switch
from virtboost.net.validate.findings import Cuts, Findings
from virtboost.net.validate.ladder import RUNGS, TALL
from virtboost.net.validate.order import Order, timers
from virtboost.net.validate.rung import Run, Rung, SpeakerRung

STAGE = "virtboost.net.validate.stage"

PAUSES_S = (2, 5, 10, 20, 40, 60)
"""After runs that were rejected: others may be done then. After the last, the size has none."""

MESH = "calico-mesh"
"""Where links are cut: there each node notices by itself."""

DAEMONS: dict[str, Software] = {"calico-vxlan": "felix", "ovs-vxlan": "ovs", "ovn-central": "ovn"}
"""By design without BGP."""

SEED = 1
"""Of the order of runs: what drifts on a machine is no size's."""


def require(order: Order) -> None:
    """Refuse before anything starts.

    Raises:
        InputError: Not root, or a program is missing.
    """
    require_root()
    require_programs(*OF_DAEMONS[DAEMONS.get(order.design, "bird")], *PROGRAMS)
    if order.ladder:
        require_programs(*switch.PROGRAMS, *datastore.PROGRAMS, *logical.PROGRAMS)


def measure(order: Order, network: Network, tell: Tell) -> Findings:
    """Run all that an order needs.

    Raises:
        InputError: This machine cannot run it.
        TransportError: A run failed, or a size has no valid one.
    """
    rejected: list[str] = []
    emulations = [*_emulations(order, network, rejected, tell)]
    cuts: tuple[Cuts, ...] = ()
    if order.by_bgp:
        tell(f"cutting links, {order.repeats} times with each of {len(timers(network))} timers")
        cuts = tuple(_cuts(order, network, rejected))
    return Findings(
        emulations=tuple(emulations),
        cuts=cuts,
        climbed=tuple(_climbed(_rungs(order), tell)),
        rejected=tuple(rejected),
    )


def _emulations(
    order: Order, network: Network, rejected: list[str], tell: Tell
) -> Iterator[Emulation]:
    sizes = [size for size in (*order.sizes, order.hold_out) for _ in range(order.repeats)]
    random.Random(SEED).shuffle(sizes)
    for place, nodes in enumerate(sizes, 1):
        tell(f"emulation {place} of {len(sizes)}: {nodes} nodes")
        yield from _valid([scene(network, nodes=nodes, design=order.design, faults=())], rejected)


def _valid(scenes: Sequence[Scene], rejected: list[str]) -> list[Emulation]:
    """Run scenes side by side until the machine leaves them alone."""
    for pause_s in PAUSES_S:
        found = emulate_together(scenes, lambda _: None)
        reasons = [f"{run.nodes} nodes: {'; '.join(run.rejected)}" for run in found if run.rejected]
        if not reasons:
            return found
        rejected += reasons
        time.sleep(pause_s)
    raise TransportError("validation", f"no valid run in {len(PAUSES_S)}: {rejected[-1]}")


def _cuts(order: Order, network: Network, rejected: list[str]) -> Iterator[Cuts]:
    """Cut a node's link with different timers, in networks that run side by side."""
    faults: tuple[Fault, ...] = tuple("cut" for _ in range(order.repeats))
    nodes = min(order.sizes)
    found = timers(network)
    scenes = [
        scene(network, nodes=nodes, design=MESH, faults=faults, detection=each) for each in found
    ]
    for detection, run in zip(found, _valid(scenes, rejected), strict=True):
        yield _cut(detection, run, nodes)


def _cut(detection: Detection, run: Emulation, nodes: int) -> Cuts:
    return Cuts(
        detection=detection,
        nodes=nodes,
        noticed_s=tuple(each for fault in run.faults for each in fault.noticed_s),
        trials=len(run.faults),
        problems=run.problems,
    )


def _rungs(order: Order) -> list[Rung]:
    """Return what single daemons are to do: BIRDs only where nodes speak BGP."""
    rungs = TALL if order.ladder else RUNGS
    return [each for each in rungs if order.by_bgp or not isinstance(each, SpeakerRung)]


def _climbed(rungs: Sequence[Rung], tell: Tell) -> Iterator[Run]:
    for place, rung in enumerate(rungs, 1):
        tell(f"rung {place} of {len(rungs)}")
        yield msgspec.json.decode(apart(STAGE, msgspec.json.encode(rung), tell), type=Run)
