"""Composed entries beside a reference that carries out each step, on random pipelines and packets."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.interpreter import Sent, Stopped
from support.pipelines import PUSH, Case, full, random_case
from virtboost.errors import ParseError
from virtboost.flow.compose import accepts, compose
from virtboost.flow.connection import read_connections
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import IntegratedEntry, Transposition
from virtboost.flow.megaflow import read_flows
from virtboost.flow.packet import Packet, packet_of
from virtboost.flow.refusal import Refusal

PIPELINES = int(os.environ.get("FLOW_PIPELINES", "2000"))

PACKETS = int(os.environ.get("FLOW_PACKETS", "40"))
"""For each pipeline."""

OF_THE_TUNNEL = 29
"""Refusals of what could be said, but is not: a tunnel's header that is changed."""

CHANGED = (
    "eth.src", "eth.dst", "ipv4.src", "ipv4.dst", "ipv4.tos", "ipv4.ttl", "tcp.src", "tcp.dst",
    "tcp_flags", "vlan.vid", "vlan.pcp",
)  # fmt: skip


def datapath(case: Case) -> Datapath:
    return Datapath(
        read_flows(case.flows, "flows"), read_connections(case.connections, "connections")
    )


def result(case: Case, stack: Sequence[Mapping[str, int]]) -> Sent | None:
    """Return what the reference does, None where no entry may follow."""
    try:
        return case.reference.run(case.in_port, stack)
    except Stopped:
        return None


def moved(by: Transposition, stack: Sequence[Mapping[str, int]]) -> Sent:
    """Return what a transposition makes of a packet of fields."""
    left = [dict(each) for each in stack[by.pop :]]
    top = left[0]
    if by.pop_vlan:
        top |= dict.fromkeys(("vlan.tpid", "vlan.vid", "vlan.pcp", "vlan.cfi"), 0)
    for each in by.rewrites:
        top[each.name] = top.get(each.name, 0) & ~each.mask | each.value & each.mask
    if by.push_vlan is not None:
        top |= by.push_vlan
    if by.push is not None:
        left.insert(0, dict(by.push.fields))
    return Sent(by.output, tuple(tuple(sorted(each.items())) for each in left))


def present(sent: Sent) -> Sent:
    """Return what was sent without fields that are 0, which may as well not be there."""
    stack = tuple(tuple((n, v) for n, v in each if v) for each in sent.stack)
    return Sent(sent.port, stack)


def changed(chance: random.Random, stack: Sequence[Mapping[str, int]]) -> list[dict[str, int]]:
    """Return a packet that differs from another in a bit or two, often where it does not matter."""
    found = [dict(each) for each in stack]
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        level = chance.choice(found)
        name = chance.choice(
            [name for name in CHANGED if level.get(name) is not None] or ["eth.src"]
        )
        level[name] = level.get(name, 0) ^ 1 << chance.randrange(full(name).bit_length())
    if chance.random() < 0.03:
        found[-1]["ipv4.frag"] = 1
    return found


def wrong(chance: random.Random, packets: int = PACKETS) -> str | None:
    """Return what is wrong with the composition of one random pipeline."""
    case = random_case(chance)
    entry = compose(Packet(in_port=case.in_port, headers=tuple(case.stack)), datapath(case))
    expected = result(case, case.stack)
    if isinstance(entry, Refusal) and entry.reason == OF_THE_TUNNEL:
        return (
            None
            if any("set(eth" in line.partition("tnl_push")[2] for line in case.flows)
            else "R29"
        )
    if isinstance(entry, Refusal):
        return None if expected is None else f"refused for nothing: {entry}"
    if expected is None:
        return "not refused"
    for number in range(packets):
        stack = changed(chance, case.stack) if number else case.stack
        packet = Packet(in_port=case.in_port, headers=tuple(stack))
        if not accepts(entry, packet):
            if number == 0:
                return "does not accept its own packet"
            continue
        native = result(case, stack)
        if native is None or present(moved(entry.transposition, stack)) != present(native):
            return f"packet {number}: {native}, and not {moved(entry.transposition, stack)}"
    return None


@pytest.mark.parametrize("part", range(4))
def test_an_entry_does_what_every_step_does(part: int) -> None:
    """A packet that the entry accepts leaves as the reference sends it; others are not accepted."""
    for seed in range(part, PIPELINES, 4):
        found = wrong(random.Random(seed))
        assert found is None, f"seed {seed}: {found}"


@given(st.randoms(use_true_random=False))
@settings(deadline=None)
def test_an_entry_does_what_every_step_does_whatever_is_drawn(chance: random.Random) -> None:
    assert wrong(chance, packets=10) is None


ACTIONS = (
    "ct(zone=7,nat)", "recirc(0x1)", "set(ipv4(ttl=63))", "set(eth(src=aa:bb:cc:dd:ee:ff))",
    "push_vlan(vid=1,pcp=2)", "pop_vlan", "tnl_pop(vx)", PUSH, "clone(set(ipv4(ttl=1)),v2)",
    "set(tunnel(tun_id=0x1,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(df|key)))", "v2", "ct_clear",
    "set(skb_mark(0x1))", "set(sctp(src=1,dst=2))", "set(icmp(type=1,code=2))", "drop",
)  # fmt: skip


@given(st.data())
def test_no_action_does_more_than_be_refused(data: st.DataObject) -> None:
    """Whatever stands in the parentheses of a dump from somewhere else."""
    texts = data.draw(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=4))
    actions = ",".join(texts)
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(actions))] * 2)))
    hostile = actions[:start] + data.draw(st.text("(),=/x0a:", max_size=3)) + actions[end:]
    line = "recirc_id(0),in_port(v1),eth_type(0x0800),ipv4(frag=no), packets:1, bytes:1, used:1s"
    broken: list[ParseError] = []
    flows = read_flows([f"{line}, actions:{hostile}"], "flows", broken=broken)
    found = compose(packet_of(f"in_port(v1),{STACK}"), Datapath(flows))
    assert isinstance(found, IntegratedEntry | Refusal)


STACK = "eth_type(0x0800),ipv4(src=1.1.1.1,dst=2.2.2.2,proto=6,ttl=9,tos=0,frag=no),tcp(src=1,dst=2),tcp_flags(ack)"


def test_the_pipelines_are_of_all_kinds() -> None:
    """Entries, refusals, tunnels both ways, connections and tags: none is missing by chance."""
    cases = [random_case(random.Random(seed)) for seed in range(200)]
    entries = [
        compose(Packet(in_port=c.in_port, headers=tuple(c.stack)), datapath(c)) for c in cases
    ]
    made = [each for each in entries if isinstance(each, IntegratedEntry)]
    assert len(made) > 120
    assert sum(isinstance(each, Refusal) for each in entries) > 10
    assert sum(each.transposition.pop for each in made) > 40
    assert sum(each.transposition.push is not None for each in made) > 20
    assert sum(each.transposition.push_vlan is not None for each in made) > 10
    assert sum(len(each.connections) > 1 for each in made) > 20
