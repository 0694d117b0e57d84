"""``python -m virtboost.net.emulate.stage``: runs a scene, as the first process of namespaces.

A scene comes on stdin; messages go to stdout, a line of JSON each.  All that it starts ends with
it.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from virtboost.net.emulate import space
from virtboost.net.emulate.daemon import DaemonError
from virtboost.net.emulate.fault import Trial
from virtboost.net.emulate.logical import Logical
from virtboost.net.emulate.outcome import Cost, Emulation, Measure, Spread, judged, spread
from virtboost.net.emulate.plane import Plane
from virtboost.net.emulate.routed import Routed
from virtboost.net.emulate.scene import Scene
from virtboost.net.emulate.speaker import Software
from virtboost.net.emulate.stored import Stored
from virtboost.net.emulate.switched import Switched

CLIENTS = resource.RUSAGE_CHILDREN
"""Programs that ended: scripts that play nodes' controllers, and the clients that these run."""

PLANES: dict[Software, type[Plane]] = {"felix": Stored, "ovn": Logical, "ovs": Switched}
"""Without BGP."""


class Said(Struct, frozen=True, tag=True):
    """How far it is."""

    text: str


class Done(Struct, frozen=True, tag=True):
    """What came of it."""

    emulation: Emulation


class Failed(Struct, frozen=True, tag=True):
    """Why it did not run."""

    problem: str


Message = Said | Done | Failed


def run(scene: Scene, tell: Callable[[str], None]) -> Emulation:
    """Build a scene, run it to its end and return what was measured.

    Raises:
        SpaceError: The kernel refuses a namespace.
        DaemonError: A daemon ended.
    """
    began = time.monotonic()
    tell(f"making {len(scene.speakers)} namespaces")
    space.build(scene)
    plane = _plane(scene)
    setup_s = time.monotonic() - began
    tell("starting daemons")
    converged, cost = _converge(scene, plane, setup_s)
    tell("measuring")
    measures = _measure(scene, plane)
    reach = plane.ends.reach()
    faults = []
    for fault in scene.faults:
        tell(f"fault: {fault}")
        faults.append(Trial(fault, scene, plane.daemons, plane.watch, plane.ends).run())
    found = Emulation(
        design=scene.design,
        nodes=len(scene.speakers),
        reflectors=sum(speaker.reflector for speaker in scene.speakers),
        described_nodes=scene.described_nodes,
        converged=converged,
        measures=measures,
        reach=reach,
        faults=tuple(faults),
        cost=cost,
    )
    return judged(found)


def _plane(scene: Scene) -> Plane:
    kinds = (speaker.daemon for speaker in scene.speakers)
    return next((PLANES[kind] for kind in kinds if kind in PLANES), Routed)(scene)


def _converge(scene: Scene, plane: Plane, setup_s: float) -> tuple[Spread | None, Cost]:
    """Start all daemons, and wait until every node has all that it lacks."""
    watch = plane.watch
    busy, harness, clients = _busy(), _used_s(resource.RUSAGE_SELF), _used_s(CLIENTS)
    began = time.monotonic()
    for each in plane.daemons:
        each.start()
    checked = began
    while not watch.complete and time.monotonic() < began + scene.patience_s:
        watch.wait(1)
        if time.monotonic() > checked + 1:
            checked = time.monotonic()
            plane.check()
    worked, idle = (after - before for after, before in zip(_busy(), busy, strict=True))
    cost = Cost(
        setup_s=setup_s,
        daemon_cpu_s=plane.cpu_s() + _used_s(CLIENTS) - clients,
        harness_cpu_s=_used_s(resource.RUSAGE_SELF) - harness,
        busy_ratio=worked / max(1, worked + idle),
    )
    if not watch.complete:
        return None, cost
    return spread(at - began for at in watch.complete_at.values()), cost


def _measure(scene: Scene, plane: Plane) -> dict[str, Measure]:
    """Count and weigh, once counts are as expected or no longer waited for."""
    end = time.monotonic() + scene.patience_s
    while True:
        counted = plane.counted()
        if time.monotonic() > end or all(
            set(counted[key]) == {scene.expected[key].value} for key in plane.settling
        ):
            break
        time.sleep(1)
    counted |= plane.weighed()
    return {
        key: Measure(expected=expected, measured=spread(counted[key]))
        for key, expected in scene.expected.items()
    }


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


def _messages() -> Iterator[Message]:
    if os.getpid() != 1:
        yield Failed("a stage is begun by virtboost net emulate, in namespaces of its own")
        return
    scene = msgspec.json.decode(sys.stdin.buffer.read(), type=Scene)

    def tell(text: str) -> None:
        _write(Said(text))

    try:
        yield Done(run(scene, tell))
    except (space.SpaceError, DaemonError, OSError) as error:
        yield Failed(str(error))


def _write(message: Message) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    for message in _messages():
        _write(message)
