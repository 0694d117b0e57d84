"""Many guests on many servers: rules and sums by hand, optima by trying everything."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.fleet_bound import least_beyond_any_mix
from support.fleet_peers import BestFit, FirstFit, VmAgent, placed_by
from support.fleets import judged, requests, servers
from virtboost.errors import InputError
from virtboost.model.document import to_json
from virtboost.model.fleet_plan import (
    FleetAssignment,
    FleetRefusal,
    FleetRequest,
    FleetServer,
    FleetTotals,
    Objective,
    ServerNode,
    Strategy,
)
from virtboost.plan import fleet_score
from virtboost.plan.fleet import Fleet
from virtboost.plan.fleet_batch import place_batch, place_one_by_one
from virtboost.plan.fleet_moves import MovableFleet
from virtboost.plan.fleet_score import Flavor

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


@settings(max_examples=120, deadline=None)
@given(
    st.lists(NODES, min_size=1, max_size=4),
    st.lists(REQUEST, max_size=12),
    st.sampled_from((place_batch, place_one_by_one)),
    st.sampled_from(Objective),
)
def test_a_plan_keeps_to_sizes_and_rules(
    fleet: list[list[tuple[int, int]]],
    asked: list[dict[str, object]],
    place: Any,
    objective: Objective,
) -> None:
    hosts = [server(f"s{n}", *nodes) for n, nodes in enumerate(fleet)]
    wanted = [guest(f"g{n}", **each) for n, each in enumerate(asked)]  # type: ignore[arg-type]
    made = place(hosts, wanted, objective=objective)
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


LEAN, RICH = Flavor(4, 8 * GIB, 1), Flavor(4, 16 * GIB, 1)
"""Of 2 and of 4 GiB for each vCPU."""


@pytest.mark.parametrize(
    ("node", "pcpus"),
    [
        ((24, 16), 16),  # 16 GiB serve 8 pCPUs at 2 GiB each
        ((4, 34), 6),  # 4 pCPUs take 16 GiB at 4 GiB each; 18 GiB over, 3 GiB each
        ((10, 30), 0),
        ((10, 6), 7),
        ((0, 0), 0),
    ],
)
def test_what_no_mix_could_use(node: tuple[int, int], pcpus: float) -> None:
    cpus, memory = np.array([[float(node[0])]]), np.array([[float(node[1] * GIB)]])
    assert fleet_score.stranded(cpus, memory, (LEAN, RICH)).tolist() == [[pcpus]]


@pytest.mark.parametrize(
    ("node", "pcpus"),
    [
        ((3, 30), 10),  # a pCPU is worth 3 GiB
        ((8, 7), 8),
        ((4, 8), 0),
        ((40, 8), 0),  # though 36 of them are stranded
        ((0, 0), 0),
    ],
)
def test_what_is_left_where_nothing_fits(node: tuple[int, int], pcpus: float) -> None:
    cpus, memory = np.array([[float(node[0])]]), np.array([[float(node[1] * GIB)]])
    assert fleet_score.unusable(cpus, memory, (RICH, LEAN)).tolist() == [[pcpus]]


def test_a_size_that_is_smaller_in_one_thing_only_has_room_too() -> None:
    sizes = (Flavor(1, 8 * GIB, 1), Flavor(4, 2 * GIB, 1), Flavor(4, 8 * GIB, 1))
    cpus, memory = np.array([[1.0, 4.0, 3.0]]), np.array([[8.0, 2.0, 7.0]]) * GIB
    assert (fleet_score.unusable(cpus, memory, sizes) > 0).tolist() == [[False, False, True]]


def test_guests_rich_in_memory_meet_servers_rich_in_memory() -> None:
    """All four have room in this way only: first fit has 4 pCPUs over on the lean server."""
    fleet = Fleet([server("lean", (8, 16)), server("rich", (8, 32))])
    fleet.expect(Counter({LEAN: 2, RICH: 2}))
    wanted = [guest(f"g{n}", 4, memory) for n, memory in enumerate((16, 8, 8, 16))]
    assert [where(fleet.place(each)) for each in wanted] == ["rich", "lean", "lean", "rich"]


def test_a_server_is_opened_rather_than_much_stranded_and_for_nothing_else() -> None:
    """Of the 12 pCPUs and 24 GiB on ``lean``, 16 GiB less would leave 8 pCPUs with 8 GiB."""
    fleet = Fleet([server("lean", (16, 32)), server("rich", (16, 64))])
    fleet.expect(Counter({LEAN: 4, RICH: 4}))
    wanted = [guest(f"g{n}", 4, memory) for n, memory in enumerate((8, 16, 8, 16, 8))]
    made = [where(fleet.place(each)) for each in wanted]
    assert made == ["lean", "rich", "lean", "rich", "lean"]


def test_a_server_is_not_emptied_for_more_than_it_may_strand() -> None:
    """The guest of 16 GiB leaves ``lean`` 8 pCPUs with 8 GiB: 4 of them have none."""
    fleet = MovableFleet([server("lean", (16, 32)), server("rich", (4, 16))])
    fleet.expect(Counter({LEAN: 1, RICH: 1}))
    for number, memory in enumerate((8, 16)):
        fleet.place(guest(f"g{number}", 4, memory))
    before = fleet.assignments()
    assert not fleet.empty(1, 3.5)
    assert sorted(fleet.assignments(), key=str) == sorted(before, key=str)
    assert fleet.empty(1, 4.5)
    assert [each.server for each in fleet.assignments()] == ["lean", "lean"]


@pytest.mark.parametrize(
    ("strategy", "others", "after"),
    [
        (None, [("large", (12, 48))], ["large", "large", "small"]),
        ("affinity", [("large", (12, 48))], ["large", "small", "small"]),
        (None, [("lean", (4, 8))], ["lean", "lean", "small"]),
        (None, [("none", (0, 0)), ("shut", (12, 48))], ["none", "small", "small"]),
    ],
)
def test_a_guest_moves_off_a_node_where_nothing_fits_any_more(
    strategy: Strategy | None, others: list[tuple[str, tuple[int, int]]], after: list[str]
) -> None:
    """``small`` has 48 GiB left and no pCPU; with one guest less, 4 pCPUs and 56 GiB."""
    fleet = MovableFleet([server("small", (0, 48)), *(server(*each) for each in others)])
    fleet.expect(Counter({LEAN: 3, RICH: 1}))
    for name in ("one", "two"):
        fleet.hold(guest(name, 4, 8, strategy=strategy, group="g"), 0, (0,))
    fleet.hold(guest("other", 4, 16), 1, (0,))
    assert fleet.relieve() == (after.count("small") == 1)
    assert sorted(str(each.server) for each in fleet.assignments()) == after
    assert not fleet.relieve()


def test_a_node_keeps_room_where_that_is_worth_a_server() -> None:
    """Two leave 3 pCPUs and 6 GiB where nothing fits; to open a server costs as much as 2 pCPUs."""
    hosts = [server(name, (11, 22)) for name in "ab"]
    wanted = [guest(name, 4, 8) for name in ("one", "two")]
    for objective, used in ((Objective.SERVERS, 1), (Objective.STRANDED, 2)):
        made = place_one_by_one(hosts, wanted, objective=objective)
        assert made.totals.servers_used == used
    assert made.totals.stranded_memory_bytes == 0


def test_a_server_whose_guest_left_is_no_longer_like_those_it_was_like() -> None:
    """``a`` has 8 pCPUs when what ran there is gone, the only ones that could take a guest of 8."""
    fleet = Fleet([server("a", (4, 8)), server("b", (4, 8))])
    fleet.hold(guest("old", 4, 8), 0, (0,))
    fleet.release("old")
    fleet.expect(Counter({Flavor(8, 16 * GIB, 1): 1}))
    assert where(fleet.place(guest("small", 4, 8))) == "b"


def test_no_server_is_opened_for_what_sizes_alone_leave_over() -> None:
    """Two guests of 10 leave 4 of 24 pCPUs free wherever they are."""
    fleet = Fleet([server(name, (24, 48)) for name in "abc"])
    made = [where(fleet.place(guest(f"g{n}", 10, 20))) for n in range(4)]
    assert made == ["a", "a", "b", "b"]


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
    for kind in (FirstFit, BestFit):
        peer = placed_by(kind)(servers(), asked).totals
        assert peer.refused == 0
        assert made.totals.servers_used < peer.servers_used
        assert made.totals.stranded_cpus < peer.stranded_cpus
        assert made.totals.stranded_memory_bytes < peer.stranded_memory_bytes
    half = place_one_by_one(servers(2)[:200], asked[:500])
    assert to_json(half) == to_json(place_one_by_one(servers(2)[:200], asked[:500]))


NOVA = {"c1": (1235, 4481, 5669), "c2": (1220, 4731, 4704), "c3": (1255, 6508, 4644)}
"""Servers, pCPUs and GiB stranded of Nova's own fit: ``bench.plan`` with nova 34.0.0."""


@pytest.mark.parametrize(
    ("name", "place", "objective"),
    [
        ("c3", place_batch, Objective.SERVERS),
        *((name, place_one_by_one, Objective.STRANDED) for name in ("c1", "c2", "c3")),
    ],
)
def test_fewer_servers_and_less_stranded_than_every_peer(
    name: str, place: Any, objective: Objective
) -> None:
    asked = requests(name)
    made = place(servers(), asked, objective=objective)
    assert judged(json.loads(to_json(made)), name) == {}
    assert made.totals.refused == made.totals.violations == 0
    peers = [placed_by(kind)(servers(), asked).totals for kind in (FirstFit, BestFit, VmAgent)]
    for peer in (NOVA[name], *map(counted, peers)):
        assert all(ours < theirs for ours, theirs in zip(counted(made.totals), peer, strict=True))


def counted(totals: FleetTotals) -> tuple[int, int, int]:
    stranded = (totals.stranded_cpus, totals.stranded_memory_bytes >> 30)
    return (totals.servers_used, *stranded)


def test_a_batch_needs_fewer_servers_than_one_by_one() -> None:
    asked, hosts = requests("c1")[:1200], servers(3)
    batch, online = place_batch(hosts, asked), place_one_by_one(hosts, asked)
    assert batch.totals.refused == 0
    assert batch.totals.servers_used < online.totals.servers_used


@pytest.mark.parametrize("every", [2, 4])
def test_a_batch_has_places_for_more_where_room_is_short(every: int) -> None:
    asked = requests("c1")[:: 2 * every]
    hosts = servers(4 * every)
    batch, peer = place_batch(hosts, asked), placed_by(FirstFit)(hosts, asked)
    assert batch.totals.violations == 0
    assert 0 < batch.totals.refused < peer.totals.refused


def test_the_bound_of_the_benchmark_by_hand() -> None:
    """12 GiB are on one and a half of these servers, whose other 8 pCPUs have none left."""
    hosts = [server(name, (8, 8)) for name in "ab"]
    wanted = [guest("lean", 2, 4), guest("rich", 2, 8)]
    assert least_beyond_any_mix(hosts, wanted, 2) == pytest.approx(8)
