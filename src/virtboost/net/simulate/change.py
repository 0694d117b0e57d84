"""One daemon joins, restarts or dies in a settled network."""

from __future__ import annotations

import numpy as np

from virtboost.net.failure import RESTART_TIME_S
from virtboost.net.law import SCAN_S
from virtboost.net.simulate import load, notice, wave
from virtboost.net.simulate.audience import NEVER
from virtboost.net.simulate.case import Case
from virtboost.net.simulate.outcome import Outcome, distribution
from virtboost.net.simulate.shares import shares
from virtboost.net.simulate.speakers import Speakers
from virtboost.net.simulate.start import central_peaks
from virtboost.net.simulate.talk import Talk
from virtboost.net.simulate.ticks import SECOND, Nanoseconds, nanoseconds

VICTIM = (
    "the node is in the middle of the mesh: half of the others connect to it, after the wait that "
    "follows an error"
)


def join(case: Case) -> Outcome:
    """Simulate the last node, which starts when all others are up."""
    talk = case.talk("join")
    newcomer = talk.found.size - 1
    talk.settle(newcomer)
    talk.connect(newcomer, talk.costs.begin, 0)
    talk.run()
    return Outcome(
        scenario="join",
        times={
            "sessions": distribution(np.array(talk.ups) / SECOND),
            "complete": distribution(np.array([talk.complete[newcomer]]) / SECOND),
            **shares([_others(talk, _learned(talk, newcomer), newcomer)]),
        },
        counts=_counts(talk),
        peaks=_peaks(case, talk),
    )


def restart(case: Case) -> Outcome:
    """Simulate a node whose daemon is killed and started again; its pods go on.

    Without graceful restart peers take its routes out when its connections are closed.
    """
    talk = case.talk("restart")
    middle = not talk.found.groups and case.conditions.restarts == "middle"
    victim = talk.found.size // 2 if middle else talk.found.size - 1
    graceful = case.detection is not None and case.detection.graceful_restart
    talk.settle(None)
    if not graceful:
        peers = talk.found.peers(victim)
        drawn = talk.rng.random(len(peers)) * talk.costs.closed
        talk.miss(victim, dict(zip(peers, drawn.astype(np.int64).tolist(), strict=True)))
    talk.connect(victim, talk.costs.down + talk.costs.begin, talk.costs.error)
    talk.run()
    if graceful:
        late = max(talk.ups) - nanoseconds(RESTART_TIME_S)
        lost = np.full(talk.found.origins - 1, max(0, late))
    else:
        back, away = _learned(talk, victim), _lost(talk, victim)
        lost = np.maximum(0, _others(talk, back, victim) - _others(talk, away, victim))
    return Outcome(
        scenario="restart",
        times={
            "sessions": distribution(np.array(talk.ups) / SECOND),
            "complete": distribution(np.array([talk.complete[victim]]) / SECOND),
            "blackhole": distribution(lost / SECOND),
        },
        counts=_counts(talk),
        peaks=_peaks(case, talk),
        notes=(_way(case), *([VICTIM] if middle else [])),
    )


def failure(case: Case) -> Outcome:
    """Simulate a node that dies silently, pods and all.

    With BFD and graceful restart its routes stay as if its daemon were to come back.
    """
    talk = case.talk("failure")
    victim = talk.found.size - 1
    talk.settle(None)
    noticed = _silent(case, talk, victim)
    talk.miss(victim, noticed)
    talk.run()
    stays_s = _stays_s(case)
    seen = np.array(list(noticed.values())) / SECOND
    gone = _others(talk, _lost(talk, victim), victim)
    return Outcome(
        scenario="failure",
        times={
            "noticed": distribution(seen),
            "blackhole": distribution(gone / SECOND + stays_s),
        },
        counts={"messages": talk.messages},
        peaks=_peaks(case, talk) | _steady(case, talk.found),
        notes=(_way(case),),
    )


def reflector(case: Case) -> Outcome:
    """Simulate a reflector that dies silently, and one that is killed and comes back.

    No node loses more than the routes to the reflector's own pods: it has other reflectors.
    """
    dead = case.talk("reflector")
    victim = dead.found.tops
    dead.settle(None)
    noticed = _silent(case, dead, victim)
    below = {peer: at for peer, at in noticed.items() if peer >= dead.found.reflectors}
    dead.miss(victim, {peer: at for peer, at in noticed.items() if peer not in below})
    dead.run()
    back = case.talk("reflector")
    back.settle(victim)
    back.connect(victim, back.costs.down + back.costs.begin, back.costs.error)
    back.run()
    times = {
        "noticed": distribution(np.array(list(noticed.values())) / SECOND),
        "sessions": distribution(np.array(back.ups) / SECOND),
        "ready": distribution(np.array([back.work.free[victim]]) / SECOND),
    }
    if dead.found.pods_on_reflectors:
        gone = _others(dead, wave.gone(dead, victim, below), victim)
        times["blackhole"] = distribution(gone / SECOND + _stays_s(case))
    return Outcome(
        scenario="reflector",
        times=times,
        counts=_counts(back),
        peaks=_peaks(case, back),
        notes=(_way(case),),
    )


def _silent(case: Case, talk: Talk, victim: int) -> dict[int, int]:
    """Return when each peer notices that a daemon has fallen silent."""
    assert case.detection is not None
    peers = talk.found.peers(victim)
    drawn = notice.silent(case.detection, case.costs, talk.rng, len(peers))
    return {peer: nanoseconds(at) for peer, at in zip(peers, drawn.tolist(), strict=True)}


def _way(case: Case) -> str:
    """Return how a death is noticed, in words."""
    found = case.detection
    assert found is not None
    by = f"hold time {found.interval_ms / 1000:g} s"
    if found.by == "bfd":
        by = f"BFD {found.interval_ms} ms x {found.multiplier}"
    return f"{by}, {'with' if found.graceful_restart else 'without'} graceful restart"


def _stays_s(case: Case) -> int:
    """Return for how long routes stay after the notice: hold time ends graceful restart."""
    found = case.detection
    stays = found is not None and found.by == "bfd" and found.graceful_restart
    return RESTART_TIME_S if stays else 0


def _steady(case: Case, found: Speakers) -> dict[str, float]:
    """Return the CPU that is needed for nothing to happen: scans of the kernel's table, and BFD."""
    peers = found.degrees()
    scans = case.costs.scan_s * found.origins * found.blocks / SCAN_S
    packet = 0.0
    if case.detection is not None and case.detection.by == "bfd":
        packet = case.costs.bfd_s / (case.detection.interval_ms / 1000)
    steady = {"node_steady_cores": scans + packet * peers[-1]}
    if found.groups:
        central = packet * max(peers[: found.reflectors])
        steady["central_steady_cores"] = central + scans * found.pods_on_reflectors
    return {key: round(value, 9) for key, value in steady.items()}


def _learned(talk: Talk, origin: int) -> Nanoseconds:
    return wave.reached(talk, origin) if talk.found.groups else np.array(talk.complete)


def _lost(talk: Talk, origin: int) -> Nanoseconds:
    if talk.found.groups:
        return wave.gone(talk, origin)
    times = np.full(talk.found.size, NEVER)
    times[list(talk.lost)] = list(talk.lost.values())
    return times


def _others(talk: Talk, times: Nanoseconds, victim: int) -> Nanoseconds:
    """Return the times of all nodes with pods but one."""
    chosen = np.arange(talk.found.size) >= (
        0 if talk.found.pods_on_reflectors else talk.found.reflectors
    )
    chosen[victim] = False
    return times[chosen]


def _counts(talk: Talk) -> dict[str, int]:
    return {"sessions": len(talk.ups), "attempts": talk.attempts, "messages": talk.messages}


def _peaks(case: Case, talk: Talk) -> dict[str, float]:
    jobs = load.jobs(talk)
    cost = load.load(jobs, talk.found.size)
    nodes = slice(talk.found.reflectors, None)
    peaks = {
        "node_cpu_s": cost.cpu[nodes].max() / SECOND,
        "node_queue_s": cost.queue[nodes].max() / SECOND,
        "storm_per_s": load.storm(np.array(talk.arrivals)),
    }
    if talk.found.groups:
        peaks |= central_peaks(case, talk, jobs, cost)
    return {key: round(float(value), 9) for key, value in peaks.items()}
