"""Many guests on many servers: rules and sums by hand, optima by trying everything."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.fleets import judged, requests, servers
from virtboost.errors import InputError
from virtboost.model.document import to_json
from virtboost.model.fleet_plan import (
    FleetAssignment,
    FleetRefusal,
    FleetRequest,
    FleetServer,
    ServerNode,
    Strategy,
)
from virtboost.plan.fleet import Flavor, Fleet
from virtboost.plan.fleet_batch import place_batch, place_one_by_one

GIB = 1 << 30


def server(name: str, *nodes: tuple[int, int], **more: object) -> FleetServer:
    """Return a server with (pCPUs, GiB) on each node."""
    made = tuple(
        ServerNode(id=number, cpus=cpus, memory_bytes=memory * GIB)
        for number, (cpus, memory) in enumerate(nodes)
    )
    return FleetServer(name=name, nodes=made, **more)  # type: ignore[arg-type]


def guest(name: str, vcpus: int, memory: int, cells: int = 1, **more: object) -> FleetRequest:
    size = {"vcpus": vcpus, "memory_bytes": memory * GIB, "cells": cells}
    return FleetRequest(name=name, **size, **more)  # type: ignore[arg-type]


def where(made: FleetAssignment | FleetRefusal) -> str | int | None:
    return made.server if isinstance(made, FleetAssignment) else None


NODES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=4)


def most(nodes: Sequence[tuple[int, int]], cells: int) -> int:
    """Return how many guests of (1 pCPU, 1 GiB) cells fit, by trying every way to add one."""
    left = [min(node) for node in nodes]
    tried: dict[tuple[int, ...], int] = {}

    def best(state: tuple[int, ...]) -> int:
        if state not in tried:
            tried[state] = max(
                (
                    1 + best(tuple(sorted(n - (i in chosen) for i, n in enumerate(state))))
                    for chosen in itertools.combinations(range(len(state)), cells)
                    if all(state[i] for i in chosen)
                ),
                default=0,
            )
        return tried[state]

    return best(tuple(sorted(left)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=4),
    st.integers(1, 3),
)
def test_slots_are_what_trying_everything_finds(nodes: list[tuple[int, int]], cells: int) -> None:
    cells = min(cells, len(nodes))
    fleet = Fleet([server("a", *nodes)])
    assert fleet.slots(Flavor(1, GIB, cells)).tolist() == [most(nodes, cells)]


REQUEST = st.fixed_dictionaries(
    {
        "vcpus": st.integers(1, 6),
        "memory": st.integers(1, 6),
        "cells": st.integers(1, 2),
        "strategy": st.sampled_from((None, "affinity", "anti-affinity", "fault_domain")),
        "group": st.sampled_from("ab"),
        "domain": st.sampled_from("xyz"),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(NODES, min_size=1, max_size=4),
    st.lists(REQUEST, max_size=12),
    st.sampled_from((place_batch, place_one_by_one)),
)
def test_a_plan_keeps_to_sizes_and_rules(
    fleet: list[list[tuple[int, int]]], asked: list[dict[str, object]], place: Any
) -> None:
    hosts = [server(f"s{n}", *nodes) for n, nodes in enumerate(fleet)]
    wanted = [guest(f"g{n}", **each) for n, each in enumerate(asked)]  # type: ignore[arg-type]
    made = place(hosts, wanted)
    left = {(h.name, n.id): [n.cpus, n.memory_bytes] for h in hosts for n in h.nodes}
    for each in made.assignments:
        for cell in each.cells:
            left[each.server, cell.node][0] -= cell.vcpus
            left[each.server, cell.node][1] -= cell.memory_bytes
        assert len({cell.node for cell in each.cells}) == len(each.cells)
    assert all(value >= 0 for pair in left.values() for value in pair)
    assert made.totals.placed + made.totals.refused == len(wanted)
    assert made.totals.violations == 0


@settings(max_examples=60, deadline=None)
@given(NODES, st.lists(REQUEST, min_size=1, max_size=8))
def test_what_is_released_is_free_again(
    nodes: list[tuple[int, int]], asked: list[dict[str, object]]
) -> None:
    fleet = Fleet([server("a", *nodes), server("b", *nodes)])
    before = [each.tolist() for each in fleet.free()]
    wanted = [guest(f"g{n}", **each) for n, each in enumerate(asked)]  # type: ignore[arg-type]
    placed = [each for each in map(fleet.place, wanted) if isinstance(each, FleetAssignment)]
    for each in placed:
        fleet.release(each.request)
    assert [each.tolist() for each in fleet.free()] == before
    assert not fleet.used.any()


def test_a_small_guest_leaves_room_for_a_pair() -> None:
    """First fit puts it on a; then the pair of 4 and 4 has no server."""
    fleet = Fleet([server("a", (4, 4), (4, 4)), server("b", (4, 4), (2, 2))])
    fleet.expect(Counter({Flavor(4, 4 * GIB, 2): 1}))
    assert where(fleet.place(guest("small", 2, 2))) == "b"
    assert where(fleet.place(guest("pair", 8, 8, 2))) == "a"


def test_one_server_as_long_as_it_has_room() -> None:
    fleet = Fleet([server(name, (8, 8), (8, 8)) for name in "abc"])
    assert {where(fleet.place(guest(f"g{n}", 4, 4))) for n in range(4)} == {"a"}
    assert where(fleet.place(guest("g4", 4, 4))) == "b"


@pytest.mark.parametrize(
    ("strategy", "domains", "together"),
    [
        ("affinity", "111", [[0, 1, 2]]),
        ("anti-affinity", "111", [[0], [1], [2]]),
        ("fault_domain", "112", [[0, 1], [2]]),
    ],
)
def test_strategy(strategy: Strategy, domains: str, together: list[list[int]]) -> None:
    fleet = Fleet([server(name, (8, 8), (8, 8)) for name in "abcd"])
    made = [
        where(fleet.place(guest(str(n), 1, 1, strategy=strategy, group="g", domain=domain)))
        for n, domain in enumerate(domains)
    ]
    found = [[n for n, name in enumerate(made) if name == each] for each in dict.fromkeys(made)]
    assert found == together


def test_affinity_goes_on_where_one_server_is_too_small() -> None:
    fleet = Fleet([server(name, (4, 4), (4, 4)) for name in "abc"])
    made = [
        where(fleet.place(guest(str(n), 4, 4, strategy="affinity", group="g"))) for n in range(4)
    ]
    assert made == ["a", "a", "b", "b"]


def test_the_nearest_nodes_of_four() -> None:
    distances = ((10, 12, 20, 22), (12, 10, 22, 24), (20, 22, 10, 12), (22, 24, 12, 10))
    nodes = ((0, 0), (4, 4), (4, 4), (4, 4))
    fleet = Fleet([server("a", *nodes, distances=distances)])
    made = fleet.place(guest("pair", 8, 8, 2))
    assert isinstance(made, FleetAssignment)
    assert [cell.node for cell in made.cells] == [2, 3]


def test_a_refusal_names_each_filter() -> None:
    fleet = Fleet(
        [
            server("arm", (8, 8), (8, 8), arch="aarch64"),
            server("small", (1, 8), (1, 8), arch="x86_64"),
            server("thin", (8, 1), (8, 1), arch="x86_64"),
            server("split", (8, 1), (1, 8), arch="x86_64"),
            server("old", (8, 8), (8, 8), arch="x86_64", generation="v1"),
        ]
    )
    made = fleet.place(guest("g", 4, 4, arch="x86_64", generation="v2"))
    assert isinstance(made, FleetRefusal)
    assert [(each.filter, each.removed, each.left) for each in made.filters][:2] == [
        ("architecture", 1, 4),
        ("generation", 4, 0),
    ]
    made = Fleet(fleet.servers[1:4]).place(guest("g", 4, 4))
    assert isinstance(made, FleetRefusal)
    assert [(each.filter, each.removed) for each in made.filters] == [
        *(("architecture", 0), ("generation", 0), ("cpus", 1), ("memory", 1), ("numa", 1)),
        ("strategy", 0),
    ]
    assert made.reason.startswith("numa: ")


def test_headroom_stays_free() -> None:
    fleet = Fleet([server("a", (10, 10))], headroom=0.2)
    assert where(fleet.place(guest("g", 8, 8))) == "a"
    assert where(fleet.place(guest("h", 1, 1))) is None


@pytest.mark.parametrize(
    "act",
    [
        lambda fleet: fleet.place(guest("g", 0, 1)),
        lambda fleet: fleet.place(guest("g", 1, -1)),
        lambda fleet: fleet.place(guest("g", 1, 1, 0)),
        lambda fleet: [fleet.place(guest("g", 1, 1)) for _ in range(2)],
        lambda fleet: fleet.release("nobody"),
        lambda fleet: Fleet([*fleet.servers, *fleet.servers]),
        lambda fleet: Fleet([]),
    ],
)
def test_bad_input(act: object) -> None:
    with pytest.raises(InputError, match="fleet: "):
        act(Fleet([server("a", (4, 4))]))  # type: ignore[operator]


def test_more_cells_than_any_server_has_nodes() -> None:
    assert where(Fleet([server("a", (8, 8), (8, 8))]).place(guest("g", 6, 6, 3))) is None


@pytest.mark.parametrize("name", ["c1", "c2", "c3"])
def test_a_whole_sequence(name: str) -> None:
    """4,998 requests on 1,710 servers: all placed, by the tables' own numbers, and twice alike."""
    asked = requests(name)
    made = place_one_by_one(servers(), asked)
    document = json.loads(to_json(made))
    assert judged(document, name) == {}
    assert made.totals.refused == made.totals.violations == 0
    assert made.totals.servers_used == len({each["server"] for each in document["assignments"]})
    half = place_one_by_one(servers(2)[:200], asked[:500])
    assert to_json(half) == to_json(place_one_by_one(servers(2)[:200], asked[:500]))


def test_a_batch_needs_fewer_servers_than_one_by_one() -> None:
    asked, hosts = requests("c1")[:1200], servers(3)
    batch, online = place_batch(hosts, asked), place_one_by_one(hosts, asked)
    assert batch.totals.refused == 0
    assert batch.totals.servers_used < online.totals.servers_used
