"""What people write wrong in a description is told in one line, with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.networks import IPV6, PLAIN, described
from virtboost.errors import InputError, ParseError
from virtboost.model.document import to_json
from virtboost.model.userfile import from_yaml
from virtboost.net.description import Network
from virtboost.net.plan import DESIGNS, plan
from virtboost.net.template import NAMES, template

ADDRESSES = PLAIN["addresses"]


def both(**changes: Any) -> dict[str, Any]:
    return {"addresses": ADDRESSES | {"ipv6": IPV6 | changes}}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"nodes": 0}, "nodes: one at least"),
    ({"nodes": []}, "nodes: one at least"),
    ({"nodes": 200_000}, "nodes: from 1 to 100000"),
    ({"nodes": [{"count": 3, "racks": 4}]}, "racks: from 1 to the count of nodes"),
    ({"nodes": [{"count": 3, "mtu": 576}]}, "mtu: from 1280 to 65535"),
    ({"nodes": [{"count": 3, "rack": 4}]}, "unknown key 'rack'; did you mean 'racks'?"),
    ({"pods_per_node": 0}, "pods_per_node: from 1 to 4096"),
    ({"podsPerNode": 30}, "unknown key 'podsPerNode'; did you mean 'pods_per_node'?"),
    ({"fabric": {"kind": "l4"}}, "fabric.kind: Invalid enum value 'l4'"),
    ({"fabric": {"kind": "l2", "loss_ratio": 0.5}}, "loss_ratio: from 0 to 0.5"),
    ({"wants": ["polcy"]}, "wants[0]: Invalid enum value 'polcy'"),
    ({"wants": ["policy", "policy"]}, "wants: one stands there twice"),
    ({"churn": {"pods_per_s": -1}}, "pods_per_s: from 0 to 1000000"),
    ({"traffic": {"connections": -1}}, "connections: from 0 to 1000000000"),
    ({"services": {"count": -1}}, "count: from 0 to 1000000"),
    ({"policies": {"selectors": 1, "pods": 30_001}}, "policies.pods: more than the 30000 pods"),
    ({"limits": {"convergence_s": 0}}, "convergence_s: above 0"),
    ({"limits": {"typha_replicas": 0}}, "typha_replicas: above 0"),
    ({"weights": {"restart": -1}}, "restart: from 0 to 1000000"),
    ({"as_number": 0}, "as_number: an AS number is from 1 to 4294967295"),
    ({"fabric_as_number": 64512}, "as_number: the fabric has the same"),
    ({"addresses": ADDRESSES | {"pods": []}}, "pods: one CIDR at least"),
    ({"addresses": ADDRESSES | {"pods": ["10.244.0.1/16"]}}, "pods: 10.244.0.1/16 has host bits set"),
    ({"addresses": ADDRESSES | {"pods": ["10.240.0.0/255.240.0.0"]}}, "pods: 10.240.0.0/255.240.0.0: write it as 10.240.0.0/12"),
    ({"addresses": ADDRESSES | {"nodes": "192.168.0.0"}}, "nodes: 192.168.0.0: write it as 192.168.0.0/32"),
    (both(nodes="FD00:99:0::/64"), "nodes: FD00:99:0::/64: write it as fd00:99::/64"),
    (both(pods=["fd00:1::%0/48"]), "pods: 'fd00:1::%0/48': an address has no zone here"),
    (both(fabric=["fd00:99::1%\n}", "fd00:99::2"]), "addresses.ipv6: fabric: 'fd00:99::1%\\n}': an address has no zone here"),
    (both(reflectors=["fd00:99::01"]), "reflectors: fd00:99::01: write it as fd00:99::1"),
    ({"addresses": ADDRESSES | {"pods": ["fd00::/64"]}}, "pods: fd00::/64: IPv6 has its place in addresses.ipv6"),
    ({"addresses": ADDRESSES | {"services": "10.240.0.0/16"}}, "services 10.240.0.0/16 and pods 10.240.0.0/12 overlap"),
    ({"addresses": ADDRESSES | {"pods": ["10.0.0.0/12", "10.1.0.0/16"]}}, "pods 10.0.0.0/12 and pods 10.1.0.0/16 overlap"),
    ({"addresses": ADDRESSES | {"pods": ["10.0.0.0/27"]}}, "pods 10.0.0.0/27: smaller than a block"),
    ({"addresses": ADDRESSES | {"block": 8}}, "block: from 20 to 32"),
    ({"addresses": ADDRESSES | {"pods": ["10.244.0.0/18"]}}, "addresses.pods: room for 256 blocks of /26; 1000 nodes of 30 pods need 1000: a /16 at least"),
    ({"addresses": ADDRESSES | {"nodes": "192.168.0.0/24"}}, "addresses.nodes 192.168.0.0/24 has room for 254 nodes, and there are 1000"),
    ({"addresses": ADDRESSES | {"block": 32}}, "addresses.block: a node needs 31 blocks of /32, and Calico gives it 20"),
    (both(), "addresses.ipv6: ipv6 is not among wants"),
    (both(pods=["10.1.0.0/16"]), "pods: 10.1.0.0/16: IPv4 has its place in addresses"),
    (both(pods=["fd00:99::/48"]), "nodes fd00:99::/64 and pods fd00:99::/48 overlap"),
    (both(pods=["fd00:1::/124"]), "pods fd00:1::/124: smaller than a block"),
    (both(pods=["fd00:1::/48", "fd00:1::/64"]), "pods fd00:1::/48 and pods fd00:1::/64 overlap"),
    (both(pods=[]), "addresses.ipv6: pods: one CIDR at least"),
    (both(reflectors=["fd00:99::1"], fabric=["fd00:99::1"]), "fd00:99::1: reflects to itself"),
    (both(block=64), "block: from 116 to 128"),
    (both(reflectors=["fd00:98::1"]), "reflectors: fd00:98::1 is not in nodes fd00:99::/64"),
    (both(fabric=["192.168.0.1"]), "addresses.ipv6: fabric: At least 3 parts expected in '192.168.0.1'"),
    ({"wants": ["ipv6"], **both(pods=["fd00:1::/113"])}, "addresses.ipv6.pods: room for 512 blocks of /122; 1000 nodes of 30 pods need 1000: a /112 at least"),
    ({"wants": ["ipv6"], **both(nodes="fd00:99::/120")}, "addresses.ipv6.nodes fd00:99::/120 has room for 254 nodes"),
    ({"wants": ["ipv6"], **both(block=128)}, "addresses.ipv6.block: a node needs 31 blocks of /128"),
    ({"addresses": ADDRESSES | {"reflectors": ["10.9.9.9"]}}, "reflectors: 10.9.9.9 is not in nodes 192.168.0.0/16"),
    ({"addresses": ADDRESSES | {"reflectors": ["192.168.0.1", "192.168.0.1"]}}, "reflectors: an address stands there twice"),
    ({"addresses": ADDRESSES | {"reflectors": ["192.168.0.1"], "fabric": ["192.168.0.1"]}}, "192.168.0.1: reflects to itself: reflector and fabric"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "told"), WRONG, ids=[told[:40] for _, told in WRONG])
def test_what_is_wrong_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ParseError) as caught:
        from_yaml(to_json(PLAIN | changes), Network, "net.yaml")
    message = str(caught.value)
    assert told in message
    assert message.startswith("net.yaml:")
    assert "\n" not in message


@pytest.mark.parametrize("name", NAMES)
def test_a_template_can_be_planned(name: str) -> None:
    network = from_yaml(template(name), Network, name)
    made = plan(network)
    assert made.recommendation is not None
    assert made.nodes == network.node_count


@pytest.mark.parametrize(("nodes", "racks"), [(1, 1), (40, 1), (41, 2), (59, 2), (1000, 25)])
def test_a_rack_holds_no_more_than_forty(nodes: int, racks: int) -> None:
    assert described(nodes=nodes).rack_count == racks


def test_a_template_that_is_none() -> None:
    with pytest.raises(InputError, match="no such template; there are small, flat"):
        template("../description.py")


def test_designs_that_are_none() -> None:
    with pytest.raises(InputError, match="calico-mash: no such design; there are calico-mesh"):
        plan(described(), "calico-mash")
    with pytest.raises(InputError, match=r"^running: flannel: no such design"):
        plan(described(running="flannel"))
    with pytest.raises(InputError, match="calico-mesh: cannot be here: nodes in a mesh"):
        plan(described(), "calico-mesh")


def test_a_design_that_is_asked_for_is_detailed() -> None:
    made = plan(described(running="calico-mesh"), "calico-vxlan")
    assert made.recommendation is not None
    assert made.recommendation.design == "calico-vxlan"
    assert made.detections == ()


@given(st.integers(1, 300), st.integers(20, 27), st.integers(0, 50))
def test_blocks_are_those_that_an_allocator_takes(pods: int, block: int, ending: int) -> None:
    """Give each pod, each that ends and the tunnel the next free address of the node's blocks."""
    network = described(
        pods_per_node=pods,
        addresses=ADDRESSES | {"block": block, "pods": ["32.0.0.0/3"]},
        churn={"pods_per_s": ending * 1000 / 30},
    )
    taken = 0
    free = 0
    for _ in range(pods + ending + 1):
        if free == 0:
            taken, free = taken + 1, 2 ** (32 - block)
        free -= 1
    assert network.blocks_per_node == taken


def test_every_want_rules_something_out_or_changes_a_figure() -> None:
    before = {each.name: (each.excluded, each.quantities) for each in plan(described()).candidates}
    for want in ("tenancy", "offload", "encryption", "ipv6", "multicast", "userspace"):
        after = plan(described(wants=[want])).candidates
        assert {each.name: (each.excluded, each.quantities) for each in after} != before, want


def test_names_of_designs_are_their_own() -> None:
    assert list(DESIGNS) == [each.name for each in plan(described()).candidates]


def test_nodes_get_blocks_or_subnets_of_ipv6() -> None:
    """By hand: 31 addresses are one block of 64; a /48 has 2^74 of /122 and 65,536 of /64.
    Nobody counts beyond a billion, and JSON cannot."""
    changes = {"wants": ["ipv6"], **both()}
    found = {each.name: each.ipv6 for each in plan(described(**changes)).candidates}
    blocks, subnets = found["calico-reflectors"], found["ovn-zones"]
    assert blocks is not None and subnets is not None
    assert (blocks.unit, blocks.prefix, blocks.units_per_node) == ("block", 122, 1)
    assert (blocks.capacity, blocks.borrowed_beyond) == (1_000_000_000, 1280)
    assert (subnets.unit, subnets.prefix, subnets.capacity) == ("subnet", 64, 65_536)
    assert plan(described()).candidates[0].ipv6 is None
    assert json.loads(to_json(plan(described(**changes))))["candidates"][0]["ipv6"]["prefix"] == 122
