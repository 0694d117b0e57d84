"""Pods that come and go: most in blocks that every node knows, some in one to be claimed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from virtboost.net.simulate import fanout, wave
from virtboost.net.simulate.case import BGP, Case
from virtboost.net.simulate.outcome import Outcome
from virtboost.net.simulate.shares import shares
from virtboost.net.simulate.talk import Talk
from virtboost.net.simulate.ticks import Nanoseconds, nanoseconds


class Arrival(NamedTuple):
    """A pod that comes."""

    event: int
    """Which of the changes it is."""
    node: int
    claims: int
    """Which claim of a block it makes; -1: its node has room."""


def pods(case: Case) -> Outcome:
    """Simulate pods that come and go at the described rate, and when other nodes reach new ones.

    A pod in a block that is known is reached at once; where policies match pods, nodes have to have
    its address in their sets, too.
    """
    rng = case.rng("pods")
    came = fanout.arrivals(case, rng, 2 * case.scale.pods_per_s)
    arrivals = list(_arrivals(case, rng, len(came)))
    claims = [each for each in arrivals if each.claims >= 0]
    talk = _claimed(case, came, claims) if case.design.routing in BGP else None
    told = fanout.tell(case, came)
    waves = [_reached(case, talk, told, came, each) for each in arrivals]
    return Outcome(
        scenario="pods",
        times=shares(waves) if waves else {},
        counts={
            "blocks": len(claims),
            "events": told.deliveries,
            "messages": talk.messages if talk else 0,
        },
        peaks=fanout.peaks(told),
        notes=(fanout.ONE_THREAD, "until others reach a pod: from when its address is given"),
    )


def _arrivals(case: Case, rng: np.random.Generator, count: int) -> Iterator[Arrival]:
    """Yield the pods that come; each change is on a random node, half of them are pods that go."""
    scale = case.scale
    used = rng.poisson(scale.pods_per_node, scale.nodes)
    blocks = np.maximum(1, -(-used // case.block_pods))
    claims = 0
    comes = rng.random(count) < 0.5
    for event, node in enumerate(rng.integers(0, scale.nodes, count).tolist()):
        if not comes[event]:
            used[node] = max(0, used[node] - 1)
            continue
        used[node] += 1
        full = used[node] > blocks[node] * case.block_pods
        yield Arrival(event, node, claims if full else -1)
        blocks[node] += full
        claims += full


def _claimed(case: Case, came: Nanoseconds, claims: list[Arrival]) -> Talk:
    """Return daemons that have told each other of all blocks that were claimed."""
    talk = case.talk("pods", claims=len(claims) + 1)
    talk.settle(None)
    for each in claims:
        talk.claim(each.node, int(came[each.event]), each.claims)
    talk.run()
    return talk


def _reached(
    case: Case, talk: Talk | None, told: fanout.Told, came: Nanoseconds, each: Arrival
) -> Nanoseconds:
    """Return how long after its start each other node reaches a pod."""
    scale, costs = case.scale, case.costs
    times = np.zeros(scale.nodes, dtype=np.int64)
    if talk is not None and each.claims >= 0:
        times = _by_bgp(talk, each) - came[each.event]
    elif case.design.routing == "datastore" and each.claims >= 0:
        times = told.at[each.event] - came[each.event] + nanoseconds(costs.install_s)
    if scale.selectors:
        sets = scale.selectors * scale.selected / scale.pods
        member = nanoseconds(sets * costs.member_s)
        times = np.maximum(times, told.at[each.event] - came[each.event] + member)
    return np.delete(times, each.node)


def _by_bgp(talk: Talk, each: Arrival) -> Nanoseconds:
    origin = talk.found.size + each.claims
    if talk.found.groups:
        return wave.reached(talk, origin)
    times = np.zeros(talk.found.size, dtype=np.int64)
    for place, at in talk.learned[origin]:
        times[place] = at
    return times
