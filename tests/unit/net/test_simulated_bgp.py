"""BGP that is simulated against BGP spoken event by event, and against the closed forms."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from support import reflection
from support.speech import Prices, Speech, settled
from virtboost.net.simulate import wave
from virtboost.net.simulate.audience import NEVER, arrivals, heard
from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.speakers import Speakers
from virtboost.net.simulate.talk import Talk
from virtboost.net.simulate.ticks import Ticks, ticks

SHAPES = st.one_of(
    st.tuples(st.integers(2, 30), st.just(0), st.just(0), st.just(0)),
    st.integers(4, 30).flatmap(
        lambda count: st.tuples(st.just(count), st.just(0), st.just(1), st.integers(1, 3))
    ),
    st.tuples(st.integers(12, 30), st.just(0), st.integers(2, 4), st.just(2)),
    st.tuples(st.integers(14, 30), st.integers(1, 3), st.integers(2, 4), st.just(2)),
)
"""Daemons, reflectors above others, groups, reflectors of a group."""

PRICES = st.builds(
    Prices,
    begin=st.integers(0, 10_000_000),
    spawn=st.sampled_from([0, 1, 700_000, 300_000_000]),
    session=st.integers(0, 400_000_000),
    take=st.integers(0, 1_000_000),
    install=st.integers(0, 1_000_000),
    tell=st.integers(0, 1_000_000),
    link=st.integers(1, 200_000),
    delay=st.sampled_from([0, 1_000_000_000]),
    burst_sessions=st.sampled_from([1, 2, 5, 500]),
    advertise=st.sampled_from([0, 0, 1, 3_000_000, 5_000_000_000]),
)


def daemons(shape: tuple[int, int, int, int], *, pods_on_reflectors: bool) -> Speakers:
    count, tops, groups, pair = shape
    return Speakers(count, tops, groups, pair, 1, pods_on_reflectors)


def as_graph(found: Speakers) -> reflection.Speakers:
    if not found.groups:
        return reflection.mesh(found.size)
    if found.groups == 1 and not found.tops:
        return reflection.flat(found.size, found.pair)
    return reflection.grouped(found.size, found.groups, found.tops)


def as_ticks(found: Speakers, prices: Prices, cores: int = 0) -> Ticks:
    costs = Costs(
        begin_s=prices.begin / 1e9,
        spawn_s=prices.spawn / 1e9,
        session_s=prices.session / 1e9,
        receive_s=prices.take / 1e9,
        install_s=prices.install / 1e9,
        send_s=prices.tell / 1e9,
        message_s=0,
        link_s=prices.link / 1e9,
        burst_sessions=prices.burst_sessions,
        early_ratio=0,
    )
    return ticks(
        costs,
        Conditions(
            connect_delay_s=prices.delay / 1e9, cores=cores, advertise_s=prices.advertise / 1e9
        ),
        found,
    )


def simulated(found: Speakers, prices: Prices, cores: int = 0) -> Talk:
    talk = Talk(found, as_ticks(found, prices, cores), np.random.default_rng(0))
    talk.begin()
    talk.run()
    return talk


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, prices=PRICES, pods_on_reflectors=st.booleans())
def test_a_start_is_what_events_one_by_one_make_it(
    shape: tuple[int, int, int, int], prices: Prices, *, pods_on_reflectors: bool
) -> None:
    found = daemons(shape, pods_on_reflectors=pods_on_reflectors)
    talk = simulated(found, prices)
    speech = Speech(as_graph(found), prices, pods_on_reflectors)
    speech.run()
    assert sorted(talk.ups) == sorted(speech.ups)
    assert talk.attempts == speech.failed
    said = [0] * found.size
    for who, took in zip(talk.work.who, talk.work.took, strict=True):
        said[who] += took
    assert talk.messages == speech.messages
    to_clients = 0
    for some in heard(talk):
        to_clients += some.paths.sum()
        for line, place in enumerate(some.clients.tolist()):
            assert some.complete[line] == speech.complete(place)
            assert some.origins[line] == len(speech.daemons[place].installed)
            said[place] += some.took[line]
    assert talk.messages == len(talk.arrivals) + to_clients
    assert said == [each.spent for each in speech.daemons]
    if not found.groups:
        assert talk.work.idle == [each.idle for each in speech.daemons]
    conserved(talk, speech)
    everywhere = set(
        itertools.product(range(found.size), filter(found.announces, range(found.size)))
    )
    assert settled(speech) == everywhere


def conserved(talk: Talk, speech: Speech) -> None:
    """Every path is where BGP brings it, from whom it brings it, and nowhere else."""
    found = talk.found
    for place, reflector in enumerate(talk.reflectors):
        paths = speech.daemons[place].paths
        assert list(reflector.paths) == [len(paths.get(origin, ())) for origin in range(found.size)]
    for group in range(found.groups):
        clients = found.clients(group)
        for master in found.masters(group):
            there = arrivals(talk, talk.reflectors[master], clients) < NEVER
            for line, place in enumerate(clients.tolist()):
                heard_of = {
                    origin
                    for origin, paths in speech.daemons[place].paths.items()
                    if master in {source for source, _ in paths} - {place}
                }
                assert set(np.flatnonzero(there[line]).tolist()) == heard_of


CALM = st.builds(
    Prices,
    begin=st.just(1_000_000),
    spawn=st.just(300_000_000),
    session=st.integers(0, 1_000_000),
    take=st.integers(0, 100_000),
    install=st.integers(0, 100_000),
    tell=st.integers(0, 100_000),
    link=st.integers(1, 200_000),
)
"""Daemons that start one long after the other, so that each peers with the others by their places."""

LATER = 1_000_000_000_000


def settled_speech(found: Speakers, prices: Prices, late: int | None = None) -> Speech:
    speech = Speech(as_graph(found), prices, found.pods_on_reflectors, late=late, late_at=LATER)
    speech.run()
    return speech


def settled_talk(found: Speakers, prices: Prices, absent: int | None) -> Talk:
    talk = Talk(found, as_ticks(found, prices), np.random.default_rng(0))
    talk.settle(absent)
    return talk


def known_by(talk: Talk, origin: int) -> list[int]:
    times = wave.reached(talk, origin) if talk.found.groups else np.array(talk.complete)
    return [int(each) for each in times]


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, prices=CALM, pods_on_reflectors=st.booleans())
def test_a_node_that_joins_is_what_events_one_by_one_make_it(
    shape: tuple[int, int, int, int], prices: Prices, *, pods_on_reflectors: bool
) -> None:
    found = daemons(shape, pods_on_reflectors=pods_on_reflectors)
    newcomer = found.size - 1
    talk = settled_talk(found, prices, newcomer)
    talk.connect(newcomer, LATER, 0)
    talk.run()
    speech = settled_speech(found, prices, late=newcomer)
    assert sorted(talk.ups) == sorted(up for up in speech.ups if up >= LATER)
    assert talk.complete[newcomer] == speech.complete(newcomer)
    assert talk.messages == sum(at >= LATER for at in speech.heard_at)
    reached = known_by(talk, newcomer)
    for place in range(found.size - 1):
        if found.announces(place):
            assert reached[place] == speech.daemons[place].installed[newcomer]


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, prices=CALM, data=st.data())
def test_a_death_is_what_events_one_by_one_make_it(
    shape: tuple[int, int, int, int], prices: Prices, data: st.DataObject
) -> None:
    found = daemons(shape, pods_on_reflectors=True)
    victims = [found.size - 1, *([found.tops] if found.groups else [])]
    victim = data.draw(st.sampled_from(victims))
    talk = settled_talk(found, prices, None)
    drawn = st.lists(st.integers(0, 10_000_000), min_size=found.size, max_size=found.size)
    after = data.draw(drawn)
    times = {peer: LATER + after[peer] for peer in found.peers(victim)}
    below = {peer: at for peer, at in times.items() if found.groups and peer >= found.reflectors}
    talk.miss(victim, {peer: at for peer, at in times.items() if peer not in below})
    talk.run()
    speech = settled_speech(found, prices)
    before = speech.messages
    speech.notice(victim, times)
    speech.run()
    assert talk.messages == speech.messages - before
    if found.groups:
        gone = wave.gone(talk, victim, below if victim < found.reflectors else None)
    for place in set(range(found.size)) - {victim}:
        lost = int(gone[place]) if found.groups else talk.lost[place]
        assert lost == speech.daemons[place].removed[victim]
        assert victim not in speech.daemons[place].paths


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, prices=CALM, data=st.data())
def test_claimed_blocks_go_where_events_one_by_one_bring_them(
    shape: tuple[int, int, int, int], prices: Prices, data: st.DataObject
) -> None:
    """Far apart in time: what a client hears at once of two is a queue that is not simulated."""
    found = daemons(shape, pods_on_reflectors=True)
    nodes = data.draw(st.lists(st.integers(0, found.size - 1), min_size=1, max_size=4))
    talk = Talk(found, as_ticks(found, prices), np.random.default_rng(0), claims=len(nodes))
    talk.settle(None)
    speech = settled_speech(found, prices)
    before = speech.messages
    for number, place in enumerate(nodes):
        at = LATER + number * 1_000_000_000
        talk.claim(place, at, number)
        speech.claim(place, at, found.size + number)
    talk.run()
    speech.run()
    assert talk.messages == speech.messages - before
    for number, place in enumerate(nodes):
        block = found.size + number
        if found.groups:
            times = dict(enumerate(wave.reached(talk, block).tolist()))
        else:
            times = dict(talk.learned[block])
        installed = {
            other: speech.daemons[other].installed[block]
            for other in set(range(found.size)) - {place}
        }
        assert {other: times[other] for other in installed} == installed


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, prices=PRICES)
def test_more_cpus_than_jobs_are_one_for_each_daemon(
    shape: tuple[int, int, int, int], prices: Prices
) -> None:
    """What clients hear is an event then, and comes to the same as the arrays."""
    found = daemons(shape, pods_on_reflectors=True)
    speech = Speech(as_graph(found), prices)
    speech.run()
    shared = simulated(found, prices, cores=20_000)
    assert shared.messages == speech.messages
    for place in range(found.reflectors, found.size):
        assert shared.complete[place] == speech.complete(place)
        assert shared.heard[place] == found.size - 1


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, prices=PRICES)
def test_one_cpu_does_one_thing_at_a_time(shape: tuple[int, int, int, int], prices: Prices) -> None:
    found = daemons(shape, pods_on_reflectors=True)
    work = simulated(found, prices, cores=1).work
    done, took = np.array(work.done), np.array(work.took)
    order = np.argsort(done, kind="stable")
    assert (done[order][1:] - took[order][1:] >= done[order][:-1]).all()
