"""Daemons that sleep on what they have to tell; the times are by hand, of BIRD's scans each second.

Emulated networks of 10 to 80 BIRDs on two CPUs show the same: half of a mesh, and every client of
reflectors, complete at a scan.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.speakers import Speakers
from virtboost.net.simulate.ticks import SECOND, ticks
from virtboost.net.simulate.waking import Waking

FREE = Costs(begin_s=0, session_s=0, send_s=0, receive_s=0, install_s=0, message_s=0, early_ratio=0)


def started(found: Speakers, delay_s: float, session_s: float = 0) -> Waking:
    """Start daemons that all connect after the same delay."""
    costs = structs.replace(FREE, session_s=session_s)
    conditions = Conditions(connect_delay_s=delay_s, cores=2, wake_s=1.0, pods_on_reflectors=False)
    talk = Waking(found, ticks(costs, conditions, found), np.random.default_rng(0))
    talk.begin()
    talk.run()
    return talk


def mesh(nodes: int) -> Speakers:
    return Speakers(nodes, 0, 0, 0, 1, pods_on_reflectors=False)


def reflected(nodes: int, reflectors: int) -> Speakers:
    return Speakers(nodes, 0, 1, reflectors, 1, pods_on_reflectors=False)


@pytest.mark.parametrize(("delay_s", "scan_s"), [(0.5, 1.0), (1.5, 2.0)])
def test_two_that_wait_for_each_other_do_so_until_a_scan(delay_s: float, scan_s: float) -> None:
    talk = started(mesh(2), delay_s)
    assert [up / SECOND for up in talk.ups] == pytest.approx([delay_s], abs=0.001)
    assert [each / SECOND for each in talk.complete] == pytest.approx([scan_s] * 2, abs=0.001)


def test_of_three_the_last_pair_waits() -> None:
    """1 and 2 connect to 0, then 2 to 1: by then 0 has all sessions, and is told by both."""
    talk = started(mesh(3), 0.5, session_s=0.01)
    assert max(talk.ups) / SECOND < 0.6
    assert sorted(each / SECOND > 0.9 for each in talk.complete) == [False, True, True]


def test_clients_tell_nothing_before_the_end_of_what_reflectors_tell() -> None:
    """All came at once: they are told at a scan, their restarts are over as of the next, and they
    tell at the third."""
    talk = started(reflected(4, 1), 0.5)
    clients = [each / SECOND for each in talk.complete[1:]]
    assert clients == pytest.approx([3.0] * 3, abs=0.01)


def test_connections_that_are_not_accepted_come_again_after_a_second() -> None:
    """Of 29 at once two CPUs have begun one and 8 wait: the others' first packets are dropped."""
    few, many = started(mesh(9), 0.5, session_s=0.01), started(mesh(30), 0.5, session_s=0.01)
    assert (few.attempts, len(few.ups)) == (0, 9 * 8 / 2)
    assert many.attempts >= 29 - 10
    assert len(many.ups) == 30 * 29 / 2
    assert max(many.ups) / SECOND > 1.5


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(
        st.integers(2, 30).map(mesh),
        st.integers(4, 30).flatmap(lambda n: st.integers(1, 3).map(lambda r: reflected(n, r))),
    ),
    st.sampled_from([0.3, 0.99, 1.7]),
    st.sampled_from([0.0, 0.0005, 0.01]),
)
def test_every_route_is_everywhere_at_last(
    found: Speakers, delay_s: float, session_s: float
) -> None:
    talk = started(found, delay_s, session_s=session_s)
    nodes = range(found.reflectors, found.size)
    assert [talk.heard[node] for node in nodes] == [len(nodes) - 1] * len(nodes)
    assert len(talk.ups) == sum(found.degrees()) / 2
