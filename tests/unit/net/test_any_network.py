"""Networks at random: a plan is made, agrees with itself, can be written, and is printed in its width."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.networks import described
from virtboost.errors import InputError
from virtboost.model.document import from_json, to_json
from virtboost.net.curve import curves
from virtboost.net.description import Network
from virtboost.net.emit.files import files
from virtboost.net.plan import DESIGNS, NetPlan, plan
from virtboost.report.net import plan_lines
from virtboost.report.net_page import SHOWN, plan_page

GROUP = st.integers(1, 20_000).flatmap(
    lambda count: st.fixed_dictionaries(
        {
            "count": st.just(count),
            "racks": st.integers(1, count),
            "architecture": st.sampled_from(["x86_64", "aarch64"]),
            "mtu": st.sampled_from([1400, 1500, 9000]),
            "offload": st.booleans(),
        }
    )
)

DESCRIPTIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "nodes": st.lists(GROUP, min_size=1, max_size=3),
        "pods_per_node": st.integers(1, 250),
        "services": st.fixed_dictionaries({"count": st.integers(0, 20_000), "endpoints": st.integers(1, 300)}),
        "traffic": st.fixed_dictionaries({"connections_per_s": st.floats(0, 1e5), "connections": st.integers(0, 10**6)}),
        "churn": st.fixed_dictionaries(
            {name: st.floats(0, 20) for name in ("pods_per_s", "nodes_per_day", "node_failures_per_day", "daemon_restarts_per_day")}
        ),
        "fabric": st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["l2", "l3", "bgp", "cloud"]),
                "tunnel": st.sampled_from(["any", "vxlan"]),
                "ipip": st.booleans(),
                "ipv6_underlay": st.booleans(),
                "loss_ratio": st.floats(0, 0.4),
            }
        ),
        "wants": st.lists(st.sampled_from(["policy", "tenancy", "offload", "encryption", "ipv6", "multicast", "userspace"]), unique=True, max_size=2),
        "limits": st.sampled_from([{}, {"node_memory": "1GiB"}, {"convergence_s": 10, "typha_replicas": 20}, {"node_cores": 0.1}]),
        "addresses": st.just(
            {"pods": ["10.0.0.0/8"], "services": "172.16.0.0/16", "nodes": "192.0.0.0/8", "block": 26, "fabric": ["192.0.0.1", "192.0.0.2"]}
        ),
        "running": st.sampled_from([None, "calico-mesh", "calico-mesh-ipip", "ovn-central"]),
    }
)  # fmt: skip

SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(DESCRIPTIONS)
def test_a_plan_agrees_with_itself(description: dict[str, Any]) -> None:
    network = described(**description)
    made = plan(network)
    assert from_json(to_json(made), NetPlan, "plan") == made
    assert [each.name for each in made.candidates] == list(DESIGNS)
    fit = {each.name for each in made.candidates if not each.excluded}
    assert all((each.score is None) == bool(each.excluded) for each in made.candidates)
    assert (made.recommendation is None) == (not fit)
    for each in made.candidates:
        assert each.score is None or each.score >= 1 - 1e-9
        assert 0 < each.mtu.payload_ratio < 1
    if made.recommendation is not None:
        assert made.recommendation.design in fit
        assert set(made.recommendation.rivals) <= fit - {made.recommendation.design}
        assert bool(fit) and any(each.front for each in made.candidates)
        assert sum(each.chosen for each in made.detections) == bool(made.detections)


@SLOW
@given(DESCRIPTIONS)
def test_a_span_says_what_a_plan_says(description: dict[str, Any]) -> None:
    network = described(**description)
    made = plan(network)
    addressed = all(
        "addresses.pods" not in text for each in made.candidates for text in each.excluded
    )
    (here,) = (each for each in made.spans if each.first_nodes <= made.nodes <= each.last_nodes)
    if addressed:
        assert here.design == (made.recommendation and made.recommendation.design)


@SLOW
@given(DESCRIPTIONS, st.integers(80, 140))
def test_a_plan_is_printed_within_its_width(description: dict[str, Any], width: int) -> None:
    made = plan(described(**description))
    for line in plan_lines(made, verbose=True, width=width):
        assert len(line) <= width
        assert line.isprintable()


@SLOW
@given(DESCRIPTIONS)
def test_a_plan_can_be_written_and_drawn(description: dict[str, Any]) -> None:
    network = described(**description)
    made = plan(network)
    page = plan_page(
        made, network, curves(network, SHOWN), made_at=datetime(2026, 1, 2, tzinfo=UTC)
    )
    assert page.endswith("</html>")
    if made.recommendation is None:
        return
    try:
        found = files(network, made)
    except InputError as error:
        assert "addresses." in str(error)
        return
    assert found
    assert all(text.endswith("\n") for text in found.values())


def test_a_description_survives_its_own_form() -> None:
    network = described()
    assert msgspec.json.decode(msgspec.json.encode(network), type=Network) == network
