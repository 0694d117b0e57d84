"""Wanted values: choices, comparisons, and found texts that are no numbers."""

import pytest

from virtboost.catalogue.wanted import Wanted


@pytest.mark.parametrize(
    ("wanted", "found", "accepted"),
    [
        ("never | madvise", "madvise", True),
        ("never | madvise", "always", False),
        ("<= 10", "10", True),
        ("<= 10", "10.5", False),
        ("> 0", "-1", False),
        ("> 0", "always", False),
        ("> 0", "", False),
        ("!= off", "on", True),
        ("= on", "on", True),
    ],
)
def test_accepts(wanted: str, found: str, *, accepted: bool) -> None:
    assert Wanted(wanted).accepts(found) is accepted
