"""What cannot be planned is refused in one line, or has no place and a reason."""

import re

import pytest

from support.cases import patched_host
from support.placements import workload
from virtboost.errors import InputError
from virtboost.plan.plan import plan_host

G = {"vcpus": 2, "memory": "1GiB"}


@pytest.mark.parametrize(
    ("guests", "problem"),
    [
        ([{"name": "a", **G, "template": "databse"}], "there is no template 'databse'"),
        ([{"name": "a", "memory": "1GiB"}], "vcpus is missing"),
        ([{"name": "a", **G, "devices": ["eth9"]}], "eth9"),
        ([{"name": "a", **G, "nodes": [7]}], "7"),
        ([{"name": "a", **G, "pins": {0: 4, 1: 99}}], "99"),
        ([{"name": "a", **G, "pins": {0: 4, 1: 4}}], "two vCPUs are on one pCPU"),
        ([{"name": "a", **G, "pins": {0: 4}}], "pins"),
        ([{"name": "a", **G, "pins": {0: 4, 1: 5}}, {"name": "b", **G, "pins": {0: 5, 1: 6}}], "share the core of CPU 5"),
        ([{"name": "a", **G, "nodes": [0], "affinity": ["b"]}, {"name": "b", **G, "nodes": [1]}], "a with b (affinity), but they have no node in common"),
    ],
)  # fmt: skip
def test_a_workload_that_means_nothing_here(guests: list[dict[str, object]], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        plan_host(patched_host({}), workload(guests), limit_s=0)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_contradiction_names_the_smallest_set_that_contradicts() -> None:
    asked = workload(
        [
            {"name": "a", **G, "affinity": ["b"], "cells": 1},
            {"name": "b", **G, "affinity": ["c"], "cells": 1},
            {"name": "c", **G, "anti_affinity": ["a"], "cells": 1},
            {"name": "d", **G, "affinity": ["a"], "cells": 1},
        ]
    )
    with pytest.raises(InputError, match=r"^contradiction: ") as caught:
        plan_host(patched_host({}), asked, limit_s=0)
    assert set(re.findall(r"\b[abcd]\b", str(caught.value))) == set("abc")


def test_what_is_too_large_has_no_place_and_says_what_is_missing() -> None:
    asked = workload([{"name": "big", "vcpus": 64, "memory": "1GiB"}, {"name": "ok", **G}])
    made = plan_host(patched_host({}), asked, limit_s=0.1)
    assert [placement.name for placement in made.guests] == ["ok"]
    assert [unplaced.name for unplaced in made.unplaced] == ["big"]
    assert "pCPU" in made.unplaced[0].reason


def test_ten_thousand_guests_are_answered() -> None:
    asked = workload([{"name": "g", "count": 10_000, **G}])
    made = plan_host(patched_host({}), asked, limit_s=0.1)
    assert len(made.guests) + len(made.unplaced) == 10_000
    assert made.guests
    assert made.unplaced


def test_a_host_whose_clusters_are_not_told() -> None:
    host = patched_host({"topology": {"clusters": [], "caches": []}})
    made = plan_host(host, workload([{"name": "a", **G, "locality": "sharing"}]), limit_s=0.1)
    assert made.guests
    assert any("cluster" in note for note in made.notes)
