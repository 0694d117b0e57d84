"""The harness itself: stock beside stock is the same, and a world with a fault is not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.utils import rdpcap

from differential import __main__ as soak
from differential.compare import Difference
from differential.pipelines import mac, rules
from differential.script import EPISODES, Step, episode, episodes, opened, sending
from differential.script import Episode as Script
from differential.talk import Talk
from differential.twin import Nothing, Twin
from differential.world import World

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("worlds")]

SEED = 1


@pytest.fixture
def twin(worlds: tuple[World, World], tmp_path: Path) -> Iterator[Twin]:
    for world in worlds:
        world.renew()
    yield Twin(*worlds, Nothing(), tmp_path, late_s=0.5, grace_s=0)


@pytest.mark.parametrize(
    "name", ["headers", "options and fragments", "reuse", "both open", "restart"]
)
def test_stock_beside_stock_is_the_same(twin: Twin, name: str) -> None:
    """Of those where chance could make a difference; ``make soak-flow SOAK=--null`` has all."""
    twin.run(episode(name, random.Random(SEED), list(EPISODES).index(name)))
    assert twin.frames > 30


def conversation() -> Script:
    """Return a fixed episode on the plain lane, and on that with NAT."""
    chance = random.Random(SEED)
    talks = [Talk(lane, number, chance) for number, lane in enumerate(("plain", "nat"))]
    steps = [*opened(talks[0]), *opened(talks[1])]
    steps += [sending(talk.tcp(side, "FA")) for talk in talks for side in ("client", "server")]
    return Script("fixed", steps)


TTL = ("dec_ttl,", "dec_ttl,dec_ttl,")

FAULTS = {
    "a wrong TTL": ("b", TTL, "b1"),
    "a wrong address": ("b", (mac(0), mac(1)), "b1"),
    "a rule too few": ("a", ("table=12,ct_state=+est", "table=99,ct_state=+est"), "aw"),
    "another zone": ("a", ("commit,zone=9", "commit,zone=19"), "a2"),
    "another mark": ("a", ("load:5->", "load:7->"), "aw"),
    "a packet too many": ("a", ("dec_ttl,output:2", "dec_ttl,output:2,output:1"), "a1"),
}
"""Host, what its rules have instead of what, and where it shows first."""


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found(
    twin: Twin, worlds: tuple[World, World], tmp_path: Path, fault: tuple[str, tuple[str, str], str]
) -> None:
    host, (right, wrong), where = fault
    changed = [rule.replace(right, wrong) for rule in rules(host)]
    assert changed != list(rules(host))
    worlds[1].hosts[host].rules(changed)
    with pytest.raises(Difference, match=rf"only: \d+ at {where}:"):
        twin.run(conversation())
    assert any(len(rdpcap(str(file))) for file in tmp_path.glob("*.pcap"))


def test_a_wrong_outer_header_is_found(twin: Twin, worlds: tuple[World, World]) -> None:
    host = worlds[1].hosts["a"]
    host.vs("set", "interface", "vx", "options:csum=true")
    try:
        with pytest.raises(Difference, match="only: 1 at aw:"):
            twin.run(conversation())
    finally:
        host.vs("remove", "interface", "vx", "options", "csum")


def test_a_connection_too_few_is_found(
    twin: Twin, worlds: tuple[World, World], tmp_path: Path
) -> None:
    """Of the same frames: it is forgotten behind the last."""

    class Forgetful(Nothing):
        def learn(self) -> None:
            worlds[1].forget()

    script = Script("forgotten", [*conversation().steps[:12], Step("learn")])
    with pytest.raises(Difference, match="connections\nstock only, host a: tcp"):
        Twin(*worlds, Forgetful(), tmp_path, late_s=0.5, grace_s=0).run(script)


def test_a_seed_says_it_all() -> None:
    def first(seed: int) -> list[Script]:
        return list(itertools.islice(episodes(seed), 2))

    assert first(7) == first(7)
    assert first(7) != first(8)


def test_one_episode_of_a_seed_can_be_run_alone() -> None:
    ((number, alone),) = soak.chosen(7, only=1, minutes=0)
    assert (number, alone) == (1, list(itertools.islice(episodes(7), 2))[1])
