"""Closed forms against BGP spoken message by message, and against what real daemons were seen to do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import reflection
from support.networks import described
from virtboost.net import calico, law, ovs
from virtboost.net.figure import Figure
from virtboost.net.plan import DESIGNS, plan
from virtboost.net.quantity import QUANTITIES
from virtboost.net.scale import Scale, scale_of

PLAIN = scale_of(described())


def scale(nodes: int, racks: int = 1, pods: int = 30) -> Scale:
    return scale_of(described(nodes=[{"count": nodes, "racks": racks}], pods_per_node=pods))


def value(design: str, quantity: str, at: Scale) -> float:
    return DESIGNS[design].forms[quantity](at).value


@given(st.integers(2, 60))
def test_a_mesh_is_what_its_messages_make(nodes: int) -> None:
    speakers = reflection.mesh(nodes)
    spread = reflection.spread(speakers, nodes - 1)
    at = scale(nodes)
    assert value("calico-mesh", "sessions", at) == len(speakers.peers)
    assert set(speakers.sessions().values()) == {value("calico-mesh", "sessions_per_node", at)}
    assert value("calico-mesh", "join_messages", at) == spread.messages
    assert set(list(spread.paths.values())[:-1]) == {1}


@given(st.integers(4, 60), st.integers(1, 4))
def test_reflectors_are_what_their_messages_make(nodes: int, racks: int) -> None:
    at = scale(nodes, racks)
    count = calico.flat_reflectors(at)
    speakers = reflection.flat(nodes, count)
    spread = reflection.spread(speakers, nodes - 1)
    sessions = speakers.sessions()
    assert count == (3 if racks >= 3 else 2)
    assert value("calico-reflectors", "sessions", at) == len(speakers.peers)
    assert value("calico-reflectors", "sessions_per_node", at) == sessions[nodes - 1]
    assert value("calico-reflectors", "sessions_per_reflector", at) == sessions[0]
    assert value("calico-reflectors", "join_messages", at) == spread.messages
    others = [spread.paths[node] for node in range(count, nodes - 1)]
    assert set(others) <= {value("calico-reflectors", "next_hops", at)}
    assert value("calico-reflectors", "rib_paths", at) == held(speakers, nodes - 1)


@settings(max_examples=25, deadline=None)
@given(st.integers(301, 1500), st.integers(4, 40))
def test_groups_of_reflectors_are_what_their_messages_make(nodes: int, racks: int) -> None:
    at = scale(nodes, racks)
    found = calico.reflection(at)
    check_groups(at, found.groups, found.top)


def test_reflectors_above_reflectors_are_what_their_messages_make() -> None:
    at = scale(16_000, 400)
    found = calico.reflection(at)
    assert (found.groups, found.top) == (58, 3)
    check_groups(at, 58, 3)


def held(speakers: reflection.Speakers, node: int) -> int:
    """Return the paths that one node has when every node announces one route: its own too."""
    origins = set(range(speakers.nodes)) - {node}
    return 1 + sum(reflection.spread(speakers, origin).paths[node] for origin in origins)


def test_a_client_of_groups_holds_the_paths_of_its_pair() -> None:
    at = scale(301, 8)
    found = calico.reflection(at)
    speakers = reflection.grouped(301, found.groups, found.top)
    assert value("calico-rack-reflectors", "rib_paths", at) == held(speakers, 300) == 601


@pytest.mark.parametrize(("groups", "top", "clients"), [(2, 0, 153), (4, 0, 20), (3, 3, 7)])
def test_reflectors_that_send_all_they_hold(
    groups: int, top: int, clients: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every node announces a block; groups are as large as each other."""
    nodes = top + groups * (2 + clients)
    speakers = reflection.grouped(nodes, groups, top)
    paths = 1 + sum(
        reflection.spread(speakers, origin, all_paths=True).paths[nodes - 1]
        for origin in range(nodes - 1)
    )
    found = calico.Reflection(groups=groups, top=top, clients=clients)
    monkeypatch.setattr(calico, "reflection", lambda _: found)
    assert value("calico-rack-reflectors", "added_paths", scale(nodes)) == paths


def test_a_real_node_held_as_many_paths() -> None:
    """BIRD's reflectors with add paths, 310 nodes in two groups: 917, where the four have no blocks."""
    at = scale(310, 8)
    assert (calico.reflection(at).groups, calico.reflection(at).clients) == (2, 153)
    reflectors = 2 * 2 + 2 * 2  # paths to blocks of its own group's, and of the other's
    assert value("calico-rack-reflectors", "added_paths", at) - reflectors == 917


def test_maps_of_the_ebpf_data_plane_are_as_full_as_by_hand() -> None:
    """60,000 services of 2 endpoints: 92 % of 65,536 frontends, 46 % of 262,144 backends."""
    at = scale_of(described(services={"count": 60_000, "endpoints": 2}))
    found = DESIGNS["calico-reflectors"].forms["bpf_fill"](at)
    assert found.value == pytest.approx(60_000 / 65_536)
    assert (found.high, found.sources) == (None, ("calico-bpf",))
    busy = scale_of(described(traffic={"connections": 256_000}))
    assert value("calico-vxlan", "bpf_fill", busy) == 0.5
    routed = scale(10_000, 250)
    assert value("calico-vxlan", "bpf_fill", routed) == pytest.approx(20_030 / 262_144)


def test_a_map_that_is_too_small_is_told() -> None:
    found = plan(described(traffic={"connections": 600_000})).candidates
    warnings = next(each.warnings for each in found if each.name == "calico-rack-reflectors")
    assert any(
        "512,000, here 600,000" in each and "bpfMapSizeConntrack" in each for each in warnings
    )


def test_writes_are_those_of_the_heartbeats() -> None:
    """The enhancement: 5,000 nodes with 30 kB of status each write 30 MB a minute of it."""
    quiet = scale(5_000, 125)
    leases = 5_000 / 10
    statuses = value("ovn-zones", "store_writes", quiet) - leases
    assert statuses * 60 * 30e3 == pytest.approx(30e6)
    churned = scale_of(described(churn={"pods_per_s": 20}))
    assert value("ovs-vxlan", "store_writes", churned) == pytest.approx(100 + 1000 / 300 + 40)


def check_groups(at: Scale, groups: int, top: int) -> None:
    speakers = reflection.grouped(at.nodes, groups, top)
    spread = reflection.spread(speakers, at.nodes - 1)
    sessions = speakers.sessions()
    name = "calico-rack-reflectors"
    assert value(name, "sessions", at) == len(speakers.peers)
    assert value(name, "sessions_per_node", at) == sessions[at.nodes - 1] == 2
    assert value(name, "sessions_per_reflector", at) == max(sessions.values())
    assert value(name, "join_messages", at) == spread.messages
    clients = range(top + 2 * groups, at.nodes - 1)
    assert {spread.paths[node] for node in clients} == {value(name, "next_hops", at)}
    assert all(spread.paths[node] >= 1 for node in range(at.nodes - 1))


@settings(max_examples=10, deadline=None)
@given(st.integers(650, 1200), st.integers(8, 30))
def test_a_reflector_holds_the_paths_that_its_messages_bring(nodes: int, racks: int) -> None:
    """A group's own routes come once, from the client; others' from each of their pair."""
    at = scale(nodes, racks)
    found = calico.reflection(at)
    speakers = reflection.grouped(nodes, found.groups, found.top)
    first = found.top
    held = sum(
        max(1, reflection.spread(speakers, origin).paths[first])
        for origin in range(found.top + found.reflectors, nodes, 7)
    )
    sampled = len(range(found.top + found.reflectors, nodes, 7))
    whole = calico._reflector_paths(at)
    assert held / sampled == pytest.approx(whole / nodes, rel=0.05)


@pytest.mark.parametrize(
    ("nodes", "sessions"),
    [(100, 4_950), (1_000, 499_500), (5_000, 12_497_500), (10_000, 49_995_000)],
)
def test_sessions_of_large_meshes(nodes: int, sessions: int) -> None:
    assert value("calico-mesh", "sessions", scale(nodes)) == sessions


def test_sessions_of_three_reflectors_for_a_thousand_nodes() -> None:
    assert value("calico-reflectors", "sessions", PLAIN) == 997 * 3 + 3


@pytest.mark.parametrize(
    ("nodes", "replicas"),
    [(1, 1), (3, 3), (4, 3), (1_000, 7), (2_000, 12), (5_000, 27), (10_000, 52)],
)
def test_typhas_are_those_of_the_operator(nodes: int, replicas: int) -> None:
    assert calico.typhas(scale(nodes)) == replicas


@given(st.integers(4, 100_000))
def test_no_typha_of_the_operator_has_more_connections_than_it_takes(nodes: int) -> None:
    assert value("calico-vxlan", "typha_connections", PLAIN.at(nodes)) <= calico.TYPHA_LIMIT


OVN = [
    # nodes, ports, rows of logical flows, OpenFlow rules: databases that OVN 23.03.1 filled, with a
    # switch that joins gateways
    (10, 10, 884, 2_346), (50, 20, 5_804, 12_596), (50, 40, 9_804, 16_696), (100, 20, 11_454, 24_846),
    (30, 15, 2_944, 7_071), (80, 10, 5_994, 16_696),
]  # fmt: skip

OVN_BALANCED = [
    # nodes, ports, services, endpoints, OpenFlow rules
    (20, 20, 100, 2, 10_486), (50, 20, 200, 2, 35_546), (50, 20, 200, 10, 37_146), (30, 15, 50, 4, 11_731),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "ports", "rows", "rules"), OVN)
def test_ovn_counts_what_ovn_counted(nodes: int, ports: int, rows: int, rules: int) -> None:
    assert ovs.ovn_rows(nodes, ports, 0, joins=1).value == rows
    found = ovs.ovn_rules(nodes, ports, 0, 1, joins=1)
    assert (found.value, found.tag) == (rules, "measured")


@pytest.mark.parametrize(("nodes", "ports", "services", "endpoints", "rules"), OVN_BALANCED)
def test_ovn_counts_services_as_ovn_did(
    nodes: int, ports: int, services: int, endpoints: int, rules: int
) -> None:
    assert ovs.ovn_rules(nodes, ports, services, endpoints, joins=1).value == rules


def test_ovn_beyond_what_was_counted_says_so() -> None:
    """eBay had over 40,000 rows with 10,000 ports; Red Hat 200,000 to 400,000 rules on a node."""
    assert holds(ovs.ovn_rows(100, 100, 0, joins=1), 43_454)
    rules = ovs.ovn_rules(500, 100, 0, 1)
    assert rules.tag == "extrapolated"
    assert 200_000 <= rules.value <= 400_000


BIRD = [
    # peers, paths, origins, anonymous KiB of a real BIRD 2.0.12: of a mesh, of reflectors' clients
    # and of reflectors
    (3, 4, 4, 824), (9, 10, 10, 956), (19, 20, 20, 1_176), (39, 40, 40, 1_604), (79, 80, 80, 2_484), (39, 400, 40, 1_668),
    (2, 15, 15, 812), (2, 95, 95, 864), (3, 289, 289, 992), (3, 589, 589, 1_128), (2, 950, 95, 912),
    (9, 8, 8, 948), (49, 48, 48, 1_844), (99, 97, 97, 3_004), (199, 197, 197, 5_372), (49, 480, 48, 1_968),
    # nodes and reflectors with synthetic peers, which the law was not fitted to
    (100, 10_001, 101, 3_864), (500, 501, 501, 11_496), (1_000, 1_001, 1_001, 22_412), (2_000, 2_001, 2_001, 44_024),
    (200, 2_000, 200, 5_772), (500, 500, 500, 12_088), (1_000, 1_000, 1_000, 24_348),
]  # fmt: skip


@pytest.mark.parametrize(("peers", "paths", "origins", "kibibytes"), BIRD)
def test_memory_of_a_bird_is_in_its_interval(
    peers: int, paths: int, origins: int, kibibytes: int
) -> None:
    found = law.PAGE.bird_memory(peers, paths, origins)
    assert holds(found, kibibytes << 10)
    assert found.tag == ("measured" if paths <= 10_000 and peers <= 2_000 else "extrapolated")


@pytest.mark.parametrize(
    ("nodes", "routes", "kilobytes"),
    [(60, 1, 2_174), (80, 1, 2_614), (100, 1, 3_055), (100, 10, 3_160), (150, 1, 4_210)],
)
def test_memory_of_earlier_meshes_less_what_they_shared(
    nodes: int, routes: int, kilobytes: int
) -> None:
    """They were weighed with their share of files' pages: 4,100 kB, by the number of daemons."""
    found = law.PAGE.bird_memory(nodes - 1, nodes * routes, nodes)
    assert holds(found, (kilobytes - 4_100 / nodes) * 1024)


def test_a_restart_in_a_large_mesh_is_in_its_interval() -> None:
    """A cluster of 800 nodes took four minutes, a lone BIRD with as many peers would take 20 s."""
    assert holds(law.sessions_up(799), 240)
    assert law.sessions_up(799).low == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize(
    ("peers", "seconds", "cpu"), [(200, 2.1, 0.06), (500, 2.1, 0.18), (1_000, 56, 1.83)]
)
def test_sessions_come_up_as_measured(peers: int, seconds: float, cpu: float) -> None:
    assert law.sessions_up(peers).value == pytest.approx(seconds)
    assert law.PAGE.session_cpu(peers).value == pytest.approx(cpu)


@given(st.integers(1, 5_000))
def test_more_peers_never_take_less(peers: int) -> None:
    assert law.sessions_up(peers + 1).value >= law.sessions_up(peers).value
    assert law.PAGE.session_cpu(peers + 1).value > law.PAGE.session_cpu(peers).value


def test_sessions_beyond_a_thousand_have_no_known_end() -> None:
    assert law.sessions_up(2_000).high is None


def test_a_mesh_of_ten_thousand_has_the_memory_of_the_law() -> None:
    """22.6 kB for each of 9,999 peers, 85 bytes for each of 10,000 paths, 474 for each of as many
    origins, 770 kB: 232.3 MB."""
    found = law.PAGE.bird_memory(9_999, 10_000, 10_000)
    assert found.value == pytest.approx(232.337e6, rel=1e-4)
    assert found.tag == "extrapolated"


@given(st.integers(2, 100_000), st.sampled_from(sorted(DESIGNS)))
def test_every_figure_lies_in_its_interval(nodes: int, name: str) -> None:
    at = PLAIN.at(nodes)
    if nodes < DESIGNS[name].least_nodes:
        return
    for key, form in DESIGNS[name].forms.items():
        figure = form(at)
        assert key in QUANTITIES
        assert 0 <= figure.low <= figure.value, key
        assert figure.high is None or figure.value <= figure.high, key
        assert math.isfinite(figure.value)


def holds(figure: Figure, seen: float) -> bool:
    return figure.low <= seen and (figure.high is None or seen <= figure.high)
