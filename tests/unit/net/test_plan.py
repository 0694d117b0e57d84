"""Gates, ceilings, addresses, packets, the comparison, failures and migrations."""

from __future__ import annotations

import itertools
import random
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.networks import IPV6, PLAIN, described
from virtboost.net import addressing, compare, failure, migration, source
from virtboost.net.candidate import Candidate, excess, first_size, quantities, sizes
from virtboost.net.description import Network, Weights
from virtboost.net.design import Design
from virtboost.net.figure import Figure, exact, measured, published
from virtboost.net.mtu import mtu
from virtboost.net.plan import DESIGNS, NetPlan, plan
from virtboost.net.quantity import METRICS, QUANTITIES
from virtboost.net.scale import scale_of

ADDRESSES = PLAIN["addresses"]
SMALL = [{"count": 50, "racks": 2}]


def candidates(**changes: Any) -> dict[str, Candidate]:
    return {each.name: each for each in plan(described(**changes)).candidates}


def chosen(**changes: Any) -> str | None:
    recommendation = plan(described(**changes)).recommendation
    return None if recommendation is None else recommendation.design


GATES: list[tuple[str, dict[str, Any], str]] = [
    ("calico-mesh", {"nodes": [{"count": 101}]}, "nodes in a mesh, as its makers advise: 100, here 101"),
    ("calico-reflectors", {"nodes": [{"count": 502}]}, "sessions of a reflector that come up at once: 500, here 501"),
    ("calico-reflectors", {"nodes": [{"count": 3}]}, "needs 4 nodes: two reflect for others"),
    ("calico-mesh", {"nodes": SMALL, "fabric": {"kind": "l3"}}, "the routers between nodes know no pods"),
    ("calico-vxlan-cross", {"fabric": {"kind": "cloud"}}, "the cloud drops packets with addresses of pods"),
    ("calico-tor", {"fabric": {"kind": "l3"}}, "the fabric (l3) has no BGP"),
    ("calico-ipip", {"fabric": {"kind": "l3", "ipip": False}}, "the fabric lets no IPIP pass"),
    ("calico-ipip", {"wants": ["ipv6"]}, "ipv6: IPIP carries IPv4 only"),
    ("calico-vxlan", {"wants": ["multicast"]}, "multicast: Calico forwards no multicast"),
    ("ovs-vxlan", {"wants": ["tenancy"]}, "tenancy: all pods share one address space"),
    ("ovn-offload", {"nodes": [{"count": 5, "offload": True}, {"count": 7}]}, "NICs of 7 nodes take no flows"),
    ("ovs-dpdk", {}, "pods on the kernel's network reach it at 0.55 Gbit/s"),
    ("ovn-central", {"nodes": [{"count": 4095}], "fabric": {"kind": "l2", "tunnel": "vxlan"}}, "datapaths (a switch a node, and a router) in OVN's VXLAN: 4,095, here 4,096"),
    ("ovn-zones", {"nodes": [{"count": 9}], "pods_per_node": 2047, "fabric": {"kind": "l2", "tunnel": "vxlan"}, "addresses": ADDRESSES | {"block": 24}}, "ports of a switch in OVN's VXLAN: 2,047, here 2,048"),
    ("ovn-zones", {"addresses": ADDRESSES | {"services": "100.64.0.0/20"}}, "100.64.0.0/20 overlaps 100.64.0.0/16, which OVN joins nodes with"),
    ("ovn-zones", {"nodes": [{"count": 1024}], "pods_per_node": 130, "addresses": ADDRESSES | {"pods": ["10.240.0.0/14"], "block": 26}, "churn": {}}, "excluded by nothing"),
    ("ovn-zones", {"nodes": [{"count": 1025}], "pods_per_node": 130, "addresses": ADDRESSES | {"pods": ["10.240.0.0/14"], "block": 26}}, "room for 1024 nodes with a /24 each, and there are 1025"),
    ("ovn-zones", {"wants": ["ipv6"], "addresses": ADDRESSES | {"ipv6": IPV6 | {"nodes": "fd98::/64"}}}, "fd98::/64 overlaps fd98::/64, which OVN joins nodes with"),
    ("ovn-central", {"nodes": [{"count": 257}], "wants": ["ipv6"], "addresses": ADDRESSES | {"ipv6": IPV6 | {"pods": ["fd00:1::/56"]}}}, "addresses.ipv6.pods: room for 256 nodes with a /64 each, and there are 257"),
    ("calico-vxlan", {"limits": {"typha_replicas": 4}}, "connections of a Typha, with 4 of them at most: 408, here 500"),
    ("ovn-central", {"limits": {"node_memory": "1GiB"}}, "limits.node_memory: 1 GiB, here 1.4 GiB"),
    ("calico-mesh", {"nodes": [{"count": 1000}], "limits": {"convergence_s": 30}}, "limits.convergence_s: 30 s, here 55.8 s"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes", "told"), GATES, ids=[told[:40] for _, _, told in GATES]
)
def test_a_gate_says_why(name: str, changes: dict[str, Any], told: str) -> None:
    excluded = "; ".join(candidates(**changes)[name].excluded) or "excluded by nothing"
    assert told in excluded


SERVED = [
    # what a person who knows these networks would take (Calico's and OpenShift's own advice)
    ("calico-mesh", {"nodes": SMALL}),
    ("calico-reflectors", {"nodes": [{"count": 200, "racks": 5}]}),
    ("calico-rack-reflectors", {}),
    ("calico-tor", {"fabric": {"kind": "bgp"}}),
    ("calico-vxlan", {"fabric": {"kind": "cloud", "ipip": False}}),
    ("ovn-zones", {"fabric": {"kind": "l3"}, "wants": ["tenancy"]}),
    ("ovn-offload", {"nodes": [{"count": 90, "offload": True}], "wants": ["tenancy", "offload"]}),
    ("ovs-dpdk", {"wants": ["userspace"]}),
    (None, {"wants": ["userspace", "tenancy"]}),
]


@pytest.mark.parametrize(("name", "changes"), SERVED)
def test_what_is_recommended(name: str | None, changes: dict[str, Any]) -> None:
    assert chosen(**changes) == name


def test_no_design_is_a_plan_too() -> None:
    made = plan(described(wants=["userspace", "tenancy"], running="calico-mesh"))
    assert made.recommendation is None
    assert [span.design for span in made.spans] == [None]
    assert (made.detections, made.migration) == ((), ())


def test_a_weight_changes_the_choice() -> None:
    nothing_else = dict.fromkeys(Weights.__struct_fields__, 0.0)
    assert chosen(weights=nothing_else | {"stream": 1}) == "ovs-vxlan"


def test_the_first_bottleneck_of_each() -> None:
    found = {name: each.bottleneck.nodes for name, each in candidates().items()}
    assert found["calico-mesh"] == 101
    assert found["calico-reflectors"] == 502
    assert found["calico-rack-reflectors"] == 5_001
    assert found["ovn-central"] == 501
    assert found["ovn-zones"] == 2_001


def test_settings_are_no_bottleneck_but_told() -> None:
    found = candidates()["calico-rack-reflectors"]
    assert any("gc_thresh3" in each for each in found.warnings)
    assert found.bottleneck.source == "calico-mesh"


def test_spans_agree_with_a_plan_of_each_size() -> None:
    whole = plan(described(nodes=[{"count": 40, "racks": 40}]))
    for nodes in (1, 2, 3, 4, 99, 100, 101, 102, 300, 301, 502, 503, 900):
        span = next(each for each in whole.spans if each.first_nodes <= nodes <= each.last_nodes)
        assert span.design == chosen(nodes=[{"count": nodes, "racks": nodes}]), nodes


def test_spans_are_whole() -> None:
    found = plan(described()).spans
    assert (found[0].first_nodes, found[-1].last_nodes) == (1, 100_000)
    for one, other in itertools.pairwise(found):
        assert one.last_nodes + 1 == other.first_nodes
        assert one.design != other.design


@given(st.integers(1, 999_999))
def test_where_something_begins_is_found(begin: int) -> None:
    assert first_size(lambda nodes: nodes >= begin) == begin


def test_sizes_go_up_to_the_last() -> None:
    found = list(sizes(1_000))
    assert (found[0], found[-1]) == (1, 1_000)
    assert all(a < b <= max(a + 1, a * 1.05) for a, b in itertools.pairwise(found))


# The comparison.


def only(**values: Figure) -> dict[str, Figure]:
    """Return figures of a design that is like all others but for some."""
    return {metric.quantity: exact(1) for metric in METRICS.values()} | values


def test_a_design_that_is_worse_in_one_is_off_the_front() -> None:
    found = compare.scores({"a": only(), "b": only(restart=exact(60))}, Weights())
    assert (found["a"].front, found["b"].front) == (True, False)
    assert found["a"].value == 1
    # restart weighs 2 of 10; 5 s do not matter
    assert found["b"].value == pytest.approx((65 / 6) ** (2 / 10))


def test_more_is_better_for_a_stream() -> None:
    found = compare.scores({"a": only(stream=exact(9)), "b": only(stream=exact(4))}, Weights())
    assert found["b"].value == pytest.approx(2 ** (1 / 10))
    assert compare.winner(found) == "a"


def test_what_nobody_measured_counts_as_the_worst_known() -> None:
    found = compare.scores(
        {"a": only(restart=exact(60)), "b": only(restart=exact(0).without_end()), "c": only()},
        Weights(),
    )
    assert found["b"].value == found["a"].value
    assert compare.rivals(found, "c") == ("b",)


def test_of_those_that_tie_the_simpler_wins() -> None:
    found = compare.scores({"a": only(restart=exact(1.1)), "b": only()}, Weights())
    assert found["a"].value > found["b"].value
    assert compare.winner(found) == "a"


@given(
    st.lists(
        st.lists(st.floats(0, 100), min_size=len(METRICS), max_size=len(METRICS)),
        min_size=1,
        max_size=6,
    )
)
def test_the_winner_is_on_the_front_or_ties_with_one_that_is(rows: list[list[float]]) -> None:
    designs = {
        str(number): {
            metric.quantity: exact(value)
            for metric, value in zip(METRICS.values(), row, strict=True)
        }
        for number, row in enumerate(rows)
    }
    found = compare.scores(designs, Weights())
    name = compare.winner(found)
    assert name is not None
    least = min(score.value for score in found.values() if score.front)
    assert least >= 1 and found[name].value <= least * (1 + compare.TIE) + 1e-9


# Addresses and packets.


@given(st.integers(1, 4000))
def test_a_subnet_has_room_for_a_node_and_none_is_smaller(addresses: int) -> None:
    prefix = addressing.subnet_prefix(addresses)
    assert ip_network(f"0.0.0.0/{prefix}").num_addresses >= addresses + 3
    assert ip_network(f"0.0.0.0/{prefix + 1}").num_addresses < addresses + 3


@given(st.integers(950, 1_300), st.integers(1, 40))
def test_addresses_last_as_many_days_as_nodes_can_join(nodes: int, growth: int) -> None:
    network = described(
        nodes=[{"count": nodes}],
        addresses=ADDRESSES | {"pods": ["10.244.0.0/16", "10.245.0.0/17"]},
        churn={"nodes_per_day": growth},
    )
    found = addressing.address_plan(DESIGNS["calico-mesh"], network)
    free = 1024 + 512 - nodes
    days = 0
    while free >= growth:
        free, days = free - growth, days + 1
    assert found.exhausted_in_days is not None
    assert int(found.exhausted_in_days) == days


def test_pods_that_end_hold_addresses_for_thirty_seconds() -> None:
    """34 pods a second over 1,000 nodes: 1.02 ending on each, so 2 more, and a tunnel's."""
    assert described(churn={"pods_per_s": 34}).addresses_per_node == 30 + 2 + 1


@pytest.mark.parametrize(
    ("design", "underlay", "pod", "payload"),
    [
        ("calico-mesh", 1500, 1500, 0.949), ("calico-vxlan", 1500, 1450, 0.917),
        ("calico-mesh", 9000, 9000, 0.991), ("calico-vxlan", 9000, 8950, 0.986),
        ("calico-ipip", 1500, 1480, 1440 / 1538), ("ovn-zones", 1500, 1442, 1402 / 1538),
    ],
)  # fmt: skip
def test_packets(design: str, underlay: int, pod: int, payload: float) -> None:
    found = mtu(DESIGNS[design], described(nodes=[{"count": 5, "mtu": underlay}]))
    assert found.pod_bytes == pod
    assert found.payload_ratio == pytest.approx(payload, abs=6e-4)


def test_packets_between_subnets_only() -> None:
    """Of four racks three are elsewhere: 1450-byte packets, 50 more bytes for three of four."""
    network = described(nodes=[{"count": 8, "racks": 4}], fabric={"kind": "l3"})
    found = mtu(DESIGNS["calico-vxlan-cross"], network)
    assert found.payload_ratio == pytest.approx(1410 / (1450 + 37.5 + 38))


def test_encrypted_packets() -> None:
    wants = {"wants": ["encryption"], "nodes": [{"count": 5}]}
    assert mtu(DESIGNS["calico-vxlan"], described(**wants)).pod_bytes == 1440
    over_six = described(**wants, fabric={"kind": "l2", "ipv6_underlay": True})
    assert mtu(DESIGNS["calico-vxlan"], over_six).pod_bytes == 1420
    found = candidates(**wants)
    assert found["calico-vxlan"].quantities["stream"].value == 7.9
    assert "stream" not in found["ovn-zones"].quantities
    assert found["ovn-zones"].quantities["overhead"].high is None
    assert "bytes and throughput of IPsec" in found["ovn-zones"].unknown


# Failures.


def test_a_hold_time_is_noticed_as_its_timers_say() -> None:
    """Draw keepalives and hold timers as BIRD does, and let the node die at a random moment."""
    lot = random.Random(1)
    hold, seen = 9.0, []
    for _ in range(20_000):
        death = lot.uniform(50, 100)
        now = last = 0.0
        while now < death:
            last = now
            now += hold / 3 * lot.uniform(0.75, 1)
        seen.append(last + hold * lot.uniform(0.75, 1) - death)
    found = failure.hold_time(hold)
    assert found.low <= min(seen) and max(seen) <= found.high  # type: ignore[operator]
    assert min(seen) == pytest.approx(found.low, abs=0.2)
    assert sum(seen) / len(seen) == pytest.approx(found.value, rel=0.01)


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        (failure.hold_time(9), (4.2, 8.5)),
        (failure.bfd_time(0.5, 16), (7.6, 8.0)),
        (failure.bfd_time(0.1, 3), (0.24, 0.35)),
    ],
)
def test_what_was_seen_is_in_the_interval(found: Figure, seen: tuple[float, float]) -> None:
    assert found.high is not None
    assert found.low <= seen[0] and seen[1] <= found.high


def test_false_alarms_are_runs_of_losses() -> None:
    lot = random.Random(1)
    loss, multiplier, packets = 0.3, 3, 400_000
    alarms = run = 0
    for _ in range(packets):
        run = run + 1 if lot.random() < loss else 0
        alarms += run == multiplier
    a_day = alarms / packets * 2 * 86_400 / 0.5
    assert failure.false_alarms(0.5, multiplier, loss) == pytest.approx(a_day, rel=0.05)


def test_bfd_in_a_mesh_of_a_thousand() -> None:
    """1,000 sessions at 500 ms are 2,000 packets a second: 14 to 26 % of a core."""
    found = failure.bfd_cores(1_000, 0.5)
    assert [found.low, found.high] == pytest.approx([0.14, 0.26])


def test_graceful_restart_helps_a_restart_and_hurts_a_death() -> None:
    """Silent death with BFD and graceful restart took 127.7 s."""
    network = described(
        nodes=SMALL, churn={"node_failures_per_day": 1, "daemon_restarts_per_day": 1}
    )
    made = failure.detections(DESIGNS["calico-mesh"], network, scale_of(network))
    found = {
        (each.by, each.interval_ms, each.multiplier, each.graceful_restart): each for each in made
    }
    kept, dropped = found["bfd", 500, 16, True], found["bfd", 500, 16, False]
    assert kept.blackhole.low <= 127.7 <= (kept.blackhole.high or 0)
    assert kept.restart_loss.value == 0 < dropped.restart_loss.value
    assert found["hold", 9000, 1, True].blackhole == found["hold", 9000, 1, False].blackhole
    assert sum(each.chosen for each in made) == 1


CHOSEN = [
    # 99 sessions a node: BFD at 100 ms may take 0.13 cores, at 500 ms 0.026; 3 losses in a row of
    # one in ten happen all the time
    ({"limits": {"node_cores": 1}}, ("bfd", 100, 3)),
    ({}, ("bfd", 500, 3)),
    ({"fabric": {"kind": "l2", "loss_ratio": 0.1}}, ("hold", 9000, 1)),
    ({"limits": {"node_cores": 0.01}}, ("hold", 9000, 1)),
]


@pytest.mark.parametrize(("changes", "way"), CHOSEN)
def test_what_loses_least_within_the_limits_is_chosen(
    changes: dict[str, Any], way: tuple[str, int, int]
) -> None:
    network = described(nodes=[{"count": 100}], churn={"node_failures_per_day": 5}, **changes)
    made = failure.detections(DESIGNS["calico-mesh"], network, scale_of(network))
    (best,) = (each for each in made if each.chosen)
    assert (best.by, best.interval_ms, best.multiplier) == way


def test_where_nothing_is_said_to_fail_the_shortest_is_chosen_that_raises_no_alarm() -> None:
    """By hand: nothing fails a day, but for false alarms of BFD; of the hold times 9 s is the
    shortest, and with graceful restart a daemon's restart loses nothing."""
    network = described(nodes=[{"count": 100}])
    made = failure.detections(DESIGNS["calico-mesh"], network, scale_of(network))
    (best,) = (each for each in made if each.chosen)
    assert (best.by, best.interval_ms, best.graceful_restart) == ("hold", 9000, True)


# Migrations.


def dos(now: str, wanted: str) -> list[str]:
    return [step.do for step in migration.steps(DESIGNS[now], DESIGNS[wanted])]


def test_the_mesh_goes_off_last() -> None:
    found = dos("calico-mesh", "calico-rack-reflectors")
    assert ["routeReflectorClusterID" in each for each in found] == [True, False, False]
    assert "apply the BGPPeers" in found[1]
    assert found[2] == "set nodeToNodeMeshEnabled: false, last"


def test_a_mtu_goes_down_before_headers_come_and_up_after_they_went() -> None:
    down = dos("calico-tor", "calico-vxlan")
    assert down[0].startswith("lower the MTU")
    assert down[-1].startswith("set nodeToNodeMeshEnabled: false and delete the BGPPeers")
    up = dos("calico-vxlan", "calico-tor")
    assert "apply the BGPPeers" in up[0]
    assert up[-1].startswith("raise the MTU")


def test_another_plane_is_another_cluster() -> None:
    assert dos("calico-mesh", "ovn-zones")[0].startswith("build a second cluster")
    assert dos("ovn-zones", "ovn-zones") == []


@given(st.sampled_from(sorted(DESIGNS)), st.sampled_from(sorted(DESIGNS)))
def test_every_step_can_be_checked_and_taken_back(now: str, wanted: str) -> None:
    found = migration.steps(DESIGNS[now], DESIGNS[wanted])
    assert bool(found) == (now != wanted)
    assert all(step.do and step.check and step.back for step in found)


# What is declared is used.


def figures(made: NetPlan) -> list[Figure]:
    return [figure for each in made.candidates for figure in each.quantities.values()]


def test_every_quantity_is_some_designs() -> None:
    found = {key for each in candidates().values() for key in each.quantities}
    assert found == set(QUANTITIES)


def test_sources_are_named_and_every_one_is_cited() -> None:
    made = plan(described())
    cited = {key for figure in figures(made) for key in figure.sources}
    assert cited <= set(source.SOURCES)
    folder = Path(str(source.__file__)).parent
    text = "".join(each.read_text() for each in folder.rglob("*.py") if each.stem != "source")
    assert [key for key in source.SOURCES if key not in text] == []


def test_figures_of_aarch64_are_extrapolated() -> None:
    made = plan(described(nodes=[{"count": 50, "architecture": "aarch64"}]))
    mesh = next(each for each in made.candidates if each.name == "calico-mesh")
    assert mesh.quantities["node_cpu"].tag == "extrapolated"
    assert mesh.quantities["sessions"].tag == "exact"
    assert any("measured on x86_64" in note for note in made.notes)


def test_beyond_kubernetes_is_told() -> None:
    made = plan(described(nodes=[{"count": 6_000, "racks": 150}], pods_per_node=120))
    assert [note.split(":")[0] for note in made.notes] == [
        "6,000 nodes",
        "720,000 pods",
        "120 pods on a node",
    ]


def test_a_plan_is_the_same_each_time() -> None:
    assert plan(described()) == plan(described())


# Figures.

FIGURES = st.builds(
    lambda low, more, most, tag: Figure(value=low + more, low=low, high=low + more + most, tag=tag),
    st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6),
    st.sampled_from(["exact", "measured", "published", "extrapolated"]),
)  # fmt: skip


@given(FIGURES, FIGURES, st.floats(0, 1), st.floats(0, 1))
def test_sums_and_products_hold_what_their_parts_hold(
    one: Figure, other: Figure, a: float, b: float
) -> None:
    assert one.high is not None and other.high is not None
    x, y = one.low + a * (one.high - one.low), other.low + b * (other.high - other.low)
    for found, seen in ((one + other, x + y), (one.times(other), x * y), (one * 3, 3 * x)):
        assert found.high is not None
        assert found.low * (1 - 1e-9) <= seen <= found.high * (1 + 1e-9)


def test_the_least_trusted_part_tells_of_the_whole() -> None:
    whole = exact(1) + measured(1, 1, 1, "a") + published(1, "b") + measured(1, 1, 1, "a")
    assert (whole.tag, whole.sources, whole.value) == ("published", ("a", "b"), 4)
    assert (whole + exact(0).without_end()).high is None


def test_ten_times_beyond_widens_by_eighteen_points() -> None:
    found = measured(100, 95, 105, "a").stretched(10)
    assert [found.low, found.high] == pytest.approx([77, 123])
    assert found.tag == "extrapolated"
    assert measured(100, 95, 105, "a").stretched(1).tag == "measured"


def declared(name: str) -> tuple[Design, Network]:
    return DESIGNS[name], described()


def test_a_figure_that_may_be_above_a_limit_is_a_warning() -> None:
    design, _ = declared("calico-rack-reflectors")
    network = described(limits={"convergence_s": 3})
    scale = scale_of(network)
    restart = quantities(design, network, scale)["restart"]
    assert restart.value < 3 < (restart.high or 0)
    hard, soft = excess(design, network, scale)
    assert hard == ()
    assert "perhaps limits.convergence_s: 3 s, here 2.15 s, to 3.85 s" in soft


def test_a_limit_that_nobody_can_hold_a_design_to_says_so() -> None:
    design, _ = declared("calico-vxlan")
    network = described(limits={"convergence_s": 30})
    _, soft = excess(design, network, scale_of(network))
    (told,) = (each for each in soft if "convergence_s" in each)
    assert told == (
        "perhaps limits.convergence_s: 30 s, here at least 0.066 s, and nobody measured the rest"
    )
