"""``python -m virtboost.net.emulate.stage``: runs a scene, as the first process of namespaces."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import msgspec

from virtboost.net.emulate import space
from virtboost.net.emulate.apart import Tell, serve
from virtboost.net.emulate.fault import Trial
from virtboost.net.emulate.logical import Logical
from virtboost.net.emulate.loss import losses
from virtboost.net.emulate.outcome import Cost, Emulation, Measure, Spread, spread
from virtboost.net.emulate.plane import Plane
from virtboost.net.emulate.racked import Racked
from virtboost.net.emulate.routed import Routed
from virtboost.net.emulate.scene import Scene
from virtboost.net.emulate.speaker import Software
from virtboost.net.emulate.stored import Stored
from virtboost.net.emulate.switched import Switched

CLIENTS = resource.RUSAGE_CHILDREN
"""Programs that ended: scripts that play nodes' controllers, and the clients that these run."""

PLANES: dict[Software, type[Plane]] = {"felix": Stored, "ovn": Logical, "ovs": Switched}
"""Without BGP."""


def run(scene: Scene, tell: Tell) -> Emulation:
    """Build a scene, run it to its end and return what was measured.

    Raises:
        SpaceError: The kernel refuses a namespace.
        DaemonError: A daemon ended.
    """
    began = time.monotonic()
    tell(f"making {len(scene.speakers)} namespaces")
    space.build(scene)
    plane = _plane(scene)
    places = range(len(scene.speakers))
    before, setup_s = losses(places), time.monotonic() - began
    tell("starting daemons")
    converged, cost = _converge(scene, plane, setup_s)
    up = time.monotonic()
    tell("measuring")
    found = _measure(scene, plane, patience_s=scene.stalled_s if converged else 0)
    updates = plane.updates()
    reach = plane.ends.reach()
    lost = losses(places).since(before)
    faults = []
    if scene.faults and scene.starting_s:
        tell("waiting until daemons say that they have started")
        _rest(plane, up + scene.starting_s)
    for fault in scene.faults:
        tell(f"fault: {fault}")
        faults.append(Trial(fault, scene, plane.daemons, plane.watch, plane.ends).run())
    switches = sum(not (each.blocks or each.reflector) for each in scene.speakers)
    return Emulation(
        design=scene.design,
        nodes=len(scene.speakers) - switches,
        switches=switches,
        reflectors=sum(speaker.reflector for speaker in scene.speakers),
        described_nodes=scene.described_nodes,
        converged=converged,
        measures={
            key: Measure(expected=expected, measured=found[key])
            for key, expected in scene.expected.items()
        },
        unplanned={key: seen for key, seen in found.items() if key not in scene.expected},
        updates=updates,
        reach=reach,
        faults=tuple(faults),
        cost=cost,
        losses=lost,
    )


def _plane(scene: Scene) -> Plane:
    if any(speaker.uplink for speaker in scene.speakers):
        return Racked(scene)
    kinds = (speaker.daemon for speaker in scene.speakers)
    return next((PLANES[kind] for kind in kinds if kind in PLANES), Routed)(scene)


def _converge(scene: Scene, plane: Plane, setup_s: float) -> tuple[Spread | None, Cost]:
    """Start all daemons, and wait until no node lacks anything, or nothing happens any more."""
    watch = plane.watch
    busy, harness, clients = _busy(), _used_s(resource.RUSAGE_SELF), _used_s(CLIENTS)
    central = plane.central_cpu_s()
    began = time.monotonic()
    for each in plane.daemons:
        each.start()
    spawn_s = (time.monotonic() - began) / len(plane.daemons)
    checked = watch.changed_at = began
    while not watch.complete and time.monotonic() < min(
        began + scene.patience_s, watch.changed_at + scene.stalled_s
    ):
        watch.wait(1)
        if time.monotonic() > checked + 1:
            checked = time.monotonic()
            plane.check()
    watching = _used_s(resource.RUSAGE_SELF) - harness
    plane.check()
    reflecting = [each.cpu_s() for each in plane.daemons if each.speaker.reflector]
    worked, idle = (after - before for after, before in zip(_busy(), busy, strict=True))
    central = plane.central_cpu_s() - central
    own = plane.cpu_s() + central + _used_s(CLIENTS) - clients
    others = worked / os.sysconf("SC_CLK_TCK") - own - watching
    cost = Cost(
        setup_s=setup_s,
        spawn_s=spawn_s,
        daemon_cpu_s=own,
        reflector_cpu_s=max(reflecting, default=0),
        central_cpu_s=central,
        harness_cpu_s=watching,
        busy_ratio=worked / max(1, worked + idle),
        others_cpu_s=max(0.0, others),
    )
    if not watch.complete:
        return None, cost
    return spread(at - began for at in watch.complete_at.values()), cost


def _rest(plane: Plane, until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        plane.watch.wait(left)


def _measure(scene: Scene, plane: Plane, patience_s: float) -> dict[str, Spread]:
    """Count and weigh, once counts are as expected or no longer waited for."""
    end = time.monotonic() + patience_s
    while True:
        counted = plane.counted()
        if time.monotonic() > end or all(
            set(counted[key]) == {scene.expected[key].value} for key in plane.settling
        ):
            break
        time.sleep(1)
    counted |= plane.weighed()
    return {key: spread(values) for key, values in counted.items() if values}


def _busy() -> tuple[int, int]:
    """Return the ticks of all CPUs that were used, and those that were not.

    Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal.
    """
    ticks = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, idle


def _used_s(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    serve(lambda content, tell: run(msgspec.json.decode(content, type=Scene), tell))
