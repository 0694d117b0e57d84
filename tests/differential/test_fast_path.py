"""Open vSwitch with ``virtboost flow run`` in front of it, beside Open vSwitch alone."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from differential.churn import Churned, churned, forgotten
from differential.counters import Count, counted
from differential.pipelines import DEVICES, LANES
from differential.script import EPISODES, Episode, burst, episode, opened
from differential.talk import Talk
from differential.twin import GRACE_S, Nothing, Twin
from differential.world import World
from support.accelerated import Agents, agents

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("worlds")]

SEED = 1

COUNTED_S = 1.2
"""The agent counts once a second."""

LEASE_MS = 500

TYPICAL_MS = 5


@pytest.fixture(scope="module")
def side(worlds: tuple[World, World]) -> Iterator[Agents]:
    with agents(worlds[1].hosts, DEVICES) as made:
        made.ready()
        yield made
        worlds[
            1
        ].forget()  # else the agent waits, at its end, for connections of TCP to say something
        time.sleep(GRACE_S)


def taken(side: Agents) -> int:
    time.sleep(COUNTED_S)
    return side.packets()


def test_no_packet_is_wrong(worlds: tuple[World, World], side: Agents, tmp_path: Path) -> None:
    """Frames out, outer ones too, and connections, whatever happens; most packets go past a switch."""
    for world in worlds:
        world.renew()
    twin = Twin(*worlds, side, tmp_path)
    chance = random.Random(SEED)
    for number, name in enumerate(EPISODES):
        twin.run(episode(name, chance, number))
    side.ready()
    assert taken(side) > twin.frames / 2


def test_counters_are_exact(worlds: tuple[World, World], side: Agents, tmp_path: Path) -> None:
    """Packets and bytes of each megaflow: Open vSwitch's and the agent's are those of Open vSwitch alone."""
    chance = random.Random(SEED)
    steps = []
    for number, lane in enumerate(LANES):
        talk = Talk(lane, number, chance)
        steps += [*opened(talk), *burst(talk, chance, 10)]
    for world in worlds:
        world.renew()
        for host in world.hosts.values():
            host.app("revalidator/purge")
        world.settle()
    before, packets = counts(worlds, side), taken(side)
    Twin(*worlds, side, tmp_path).run(Episode("counted", steps))
    assert taken(side) > packets + 100
    after = counts(worlds, side)
    stock, fast = (grown(*each) for each in zip(before, after, strict=True))
    assert len(stock) > 20
    assert fast == stock


def counts(
    worlds: tuple[World, World], side: Agents
) -> tuple[dict[tuple[str, str], Count], dict[tuple[str, str], Count]]:
    """Return what megaflows counted in both worlds, by host and megaflow."""
    stock, fast = worlds
    lines = (
        {
            name: host.app("dpctl/dump-flows", "-m").splitlines()
            for name, host in stock.hosts.items()
        },
        {name: side.flows(name) for name in fast.hosts},
    )
    found = [
        {(name, flow): each for name in of for flow, each in counted(of[name]).items()}
        for of in lines
    ]
    return found[0], found[1]


def grown(
    before: dict[tuple[str, str], Count], after: dict[tuple[str, str], Count]
) -> dict[tuple[str, str], Count]:
    found = {}
    for name, (packets, size) in after.items():
        was = before.get(name, (0, 0))
        if packets > was[0]:
            found[name] = (packets - was[0], size - was[1])
    return found


@pytest.mark.parametrize(("changes", "interval_s"), [(100, 0.01), (6, 0.2)])
def test_rules_that_change(
    worlds: tuple[World, World], side: Agents, changes: int, interval_s: float
) -> None:
    """100 times a second, and as rarely that the fast path comes back in between."""
    before = side.packets()
    stock = _churned(worlds[0], Nothing(), changes, interval_s)
    fast = _churned(worlds[1], side, changes, interval_s)
    assert stock.sent == stock.frames.total()
    assert fast.sent == fast.frames.total()
    common = min(stock.sent, fast.sent)
    assert (stock.frames & fast.frames).total() == common
    assert statistics.median(fast.stale_ms) <= TYPICAL_MS, fast.stale_ms
    assert max(fast.stale_ms) <= LEASE_MS, fast.stale_ms
    if interval_s > 0.1:
        assert taken(side) > before + 100


def _churned(world: World, side: Nothing | Agents, changes: int, interval_s: float) -> Churned:
    world.renew()
    return churned(world, side, changes=changes, interval_s=interval_s)


def test_a_rule_that_changes_while_the_agent_is_stopped(
    worlds: tuple[World, World], side: Agents
) -> None:
    """The lease ends what nobody renews; on a busy machine that may be before the rule changes."""
    stale_ms: list[float] = []
    while len(stale_ms) < 5 and not any(stale_ms):
        worlds[1].renew()
        found = churned(worlds[1], side, changes=1, interval_s=0.1, after_s=1, frozen=True)
        assert found.sent == found.frames.total()
        stale_ms.append(found.stale_ms[0])
    assert 0 < max(stale_ms) <= LEASE_MS


def test_connections_that_are_flushed(worlds: tuple[World, World], side: Agents) -> None:
    """Nobody is told of it: the next check finds out."""
    worlds[1].renew()
    assert max(forgotten(worlds[1], side, flushes=3)) <= LEASE_MS
