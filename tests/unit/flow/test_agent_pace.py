"""When dumps are made: in time for the lease, and a fifth of the time at most where none waits."""

from __future__ import annotations

from virtboost.flow.agent.pace import Pace

MS = 1_000_000


def test_cheap_dumps_are_three_a_lease() -> None:
    pace = Pace(600 * MS)
    pace.dumped(1000 * MS, 1002 * MS)
    pace.checked(1000 * MS, 1003 * MS, after_change=False)
    assert pace.check_due(None) == 1200 * MS


def test_after_a_change_it_looks_again_soon() -> None:
    pace = Pace(600 * MS)
    assert pace.check_due(1000 * MS) == 1005 * MS
    pace.dumped(1005 * MS, 1006 * MS)
    pace.checked(1005 * MS, 1006 * MS, after_change=True)
    assert pace.check_due(None) == 1025 * MS


def test_what_does_not_open_is_not_tried_all_the_time() -> None:
    """As where a bridge's rules cannot be heard."""
    pace = Pace(600 * MS)
    pace.checked(1005 * MS, 1006 * MS, after_change=True)
    assert pace.check_due(1000 * MS) == 1011 * MS


def test_changes_one_after_the_other_are_waited_out() -> None:
    assert Pace(600 * MS).check_due(1000 * MS, churn=True) == 1100 * MS


def test_changes_without_an_end_do_not_make_dumps_without_one() -> None:
    pace = Pace(600 * MS)
    pace.dumped(1000 * MS, 1050 * MS)
    pace.checked(1000 * MS, 1050 * MS, after_change=True)
    assert pace.check_due(1051 * MS) == pace.learn_due == 1250 * MS


def test_the_lease_comes_first() -> None:
    """A dump of 200 ms would rest for 800; the lease of 600 is renewed before it ends."""
    pace = Pace(600 * MS)
    pace.dumped(1000 * MS, 1200 * MS)
    pace.checked(1000 * MS, 1200 * MS, after_change=False)
    assert pace.check_due(None) == 1340 * MS  # and that check ends at 1540 of 1600
    assert pace.learn_due == 2000 * MS


def test_a_dump_that_is_longer_than_the_lease_follows_the_last() -> None:
    pace = Pace(600 * MS)
    pace.dumped(1000 * MS, 2000 * MS)
    pace.checked(1000 * MS, 2000 * MS, after_change=False)
    assert pace.check_due(None) == 2000 * MS
