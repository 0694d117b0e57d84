"""BGP that is simulated against BGP spoken event by event, and against the closed forms."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from support import reflection
from support.speech import Prices, Speech, settled
from virtboost.net.simulate.audience import heard
from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.speakers import Speakers
from virtboost.net.simulate.talk import Talk
from virtboost.net.simulate.ticks import ticks

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


def simulated(found: Speakers, prices: Prices) -> Talk:
    costs = Costs(
        begin_s=prices.begin / 1e9,
        spawn_s=prices.spawn / 1e9,
        session_s=prices.session / 1e9,
        receive_s=prices.take / 1e9,
        install_s=prices.install / 1e9,
        send_s=prices.tell / 1e9,
        link_s=prices.link / 1e9,
        burst_sessions=prices.burst_sessions,
        early_ratio=0,
    )
    given_ = Conditions(connect_delay_s=prices.delay / 1e9)
    talk = Talk(found, ticks(costs, given_, found), np.random.default_rng(0))
    talk.begin()
    talk.run()
    return talk


@settings(max_examples=150, deadline=None)
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
    for who, took in zip(talk.who, talk.took, strict=True):
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
        assert talk.idle == [each.idle for each in speech.daemons]
    everywhere = set(
        itertools.product(range(found.size), filter(found.announces, range(found.size)))
    )
    assert settled(speech) == everywhere
