"""``python -m virtboost.net.emulate.stage``: runs a scene, as the first process of namespaces."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import msgspec

from virtboost.net.emulate import space
from virtboost.net.emulate.apart import Tell, serve
from virtboost.net.emulate.bgpd import Bgpd
from virtboost.net.emulate.bird import Bird
from virtboost.net.emulate.daemon import Daemon
from virtboost.net.emulate.ends import Ends
from virtboost.net.emulate.fault import Trial
from virtboost.net.emulate.loss import losses
from virtboost.net.emulate.outcome import Cost, Emulation, Measure, Spread, spread
from virtboost.net.emulate.scene import Scene, Software
from virtboost.net.emulate.watch import Watch

KINDS: dict[Software, type[Daemon]] = {"bird": Bird, "frr": Bgpd}
"""Of daemons."""


def run(scene: Scene, tell: Tell) -> Emulation:
    """Build a scene, run it to its end and return what was measured.

    Raises:
        SpaceError: The kernel refuses a namespace.
        DaemonError: A daemon ended.
    """
    began = time.monotonic()
    tell(f"making {len(scene.speakers)} namespaces")
    space.build(scene)
    daemons = [
        KINDS[speaker.daemon](place, speaker) for place, speaker in enumerate(scene.speakers)
    ]
    watch, ends = _watchers(scene)
    before, setup_s = losses(range(len(daemons))), time.monotonic() - began
    tell("starting daemons")
    converged, cost = _converge(scene, daemons, watch, setup_s)
    tell("measuring")
    measures = _measure(scene, daemons, patience_s=scene.stalled_s if converged else 0)
    updates = sum(each.updates() for each in daemons if isinstance(each, Bird))
    reach = ends.reach()
    lost = losses(range(len(daemons))).since(before)
    faults = []
    for fault in scene.faults:
        tell(f"fault: {fault}")
        faults.append(Trial(fault, scene, daemons, watch, ends).run())
    return Emulation(
        design=scene.design,
        nodes=len(daemons),
        reflectors=len(_by_role(daemons)[1]),
        described_nodes=scene.described_nodes,
        converged=converged,
        measures=measures,
        updates=updates,
        reach=reach,
        faults=tuple(faults),
        cost=cost,
        losses=lost,
    )


def _watchers(scene: Scene) -> tuple[Watch, Ends]:
    nodes = {place: each for place, each in enumerate(scene.speakers) if each.blocks}
    everywhere = {block for node in nodes.values() for block in node.blocks}
    wanted = {place: everywhere - set(node.blocks) for place, node in nodes.items()}
    return Watch(wanted), Ends(nodes)


def _converge(
    scene: Scene, daemons: list[Daemon], watch: Watch, setup_s: float
) -> tuple[Spread | None, Cost]:
    """Start all daemons, and wait until every node has every route, or nothing happens any more."""
    busy, harness, began = _busy(), _harness_s(), time.monotonic()
    for each in daemons:
        each.start()
    spawn_s = (time.monotonic() - began) / len(daemons)
    checked = watch.changed_at = began
    while not watch.complete and time.monotonic() < min(
        began + scene.patience_s, watch.changed_at + scene.stalled_s
    ):
        watch.wait(1)
        if time.monotonic() > checked + 1:
            checked = time.monotonic()
            for each in daemons:
                each.running()
    reflecting = [each.cpu_s() for each in _by_role(daemons)[1]]
    worked, idle = (after - before for after, before in zip(_busy(), busy, strict=True))
    cost = Cost(
        setup_s=setup_s,
        spawn_s=spawn_s,
        daemon_cpu_s=sum(each.cpu_s() for each in daemons),
        reflector_cpu_s=max(reflecting, default=0),
        harness_cpu_s=_harness_s() - harness,
        busy_ratio=worked / max(1, worked + idle),
    )
    if not watch.complete:
        return None, cost
    return spread(at - began for at in watch.complete_at.values()), cost


def _measure(scene: Scene, daemons: list[Daemon], patience_s: float) -> dict[str, Measure]:
    """Count and weigh, once counts are as expected or no longer waited for."""
    end = time.monotonic() + patience_s
    while True:
        counted = _counted(scene, daemons)
        if time.monotonic() > end or all(
            set(counted[key]) == {scene.expected[key].value} for key in ("sessions", "rib_paths")
        ):
            break
        time.sleep(1)
    nodes, reflectors = _by_role(daemons)
    counted |= {
        "fib_routes": [bird.routes(scene.pools) for bird in nodes],
        "bird_memory": [bird.memory_bytes() for bird in nodes],
        "reflector_memory": [bird.memory_bytes() for bird in reflectors],
    }
    return {
        key: Measure(expected=expected, measured=spread(counted[key]))
        for key, expected in scene.expected.items()
    }


def _counted(scene: Scene, daemons: list[Daemon]) -> dict[str, list[float]]:
    nodes, reflectors = _by_role(daemons)
    of_nodes, of_reflectors = ([bird.sessions() for bird in each] for each in (nodes, reflectors))
    return {
        "sessions": [(sum(of_nodes) + sum(of_reflectors)) / 2],
        "sessions_per_node": [*of_nodes],
        "sessions_per_reflector": [*of_reflectors],
        "rib_paths": [bird.paths(scene.pools) for bird in nodes],
    }


def _by_role(daemons: list[Daemon]) -> tuple[list[Bird], list[Daemon]]:
    """Return those of nodes, and those of reflectors."""
    return (
        [each for each in daemons if isinstance(each, Bird) and not each.speaker.reflector],
        [each for each in daemons if each.speaker.reflector],
    )


def _busy() -> tuple[int, int]:
    """Return the ticks of all CPUs that were used, and those that were not.

    Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal.
    """
    ticks = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, idle


def _harness_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    serve(lambda content, tell: run(msgspec.json.decode(content, type=Scene), tell))
