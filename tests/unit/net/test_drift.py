"""A cluster that has what its plan writes does not drift; one that has something else is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from support.networks import IPV6, PLAIN, described
from virtboost.errors import InputError
from virtboost.net.cluster import Cluster, read_cluster
from virtboost.net.description import Network
from virtboost.net.drift import drift
from virtboost.net.emit.files import files
from virtboost.net.plan import plan

Item = dict[str, Any]

SWITCHES = PLAIN["addresses"] | {
    "fabric": ["192.168.0.1", "192.168.0.2"],
    "ipv6": IPV6 | {"fabric": ["fd00:99::1", "fd00:99::2"]},
}

BUILT: list[tuple[str, dict[str, Any]]] = [
    ("calico-mesh", {"nodes": [{"count": 20}]}),
    ("calico-reflectors", {"nodes": [{"count": 60, "racks": 3}]}),
    ("calico-rack-reflectors", {"nodes": [{"count": 640, "racks": 16}]}),
    ("calico-tor", {"nodes": [{"count": 20}], "fabric": {"kind": "bgp"}, "wants": ["ipv6"], "addresses": SWITCHES}),
    ("calico-ipip", {"nodes": [{"count": 20}]}),
    ("calico-vxlan", {"nodes": [{"count": 20}], "wants": ["encryption", "ipv6"], "addresses": PLAIN["addresses"] | {"ipv6": IPV6}}),
    ("ovn-zones", {"nodes": [{"count": 3}]}),
]  # fmt: skip


def labels(design: str, number: int) -> dict[str, str]:
    """Return what ``commands.sh`` gives a node: three reflectors, or two for each of three groups."""
    if design == "calico-reflectors":
        return {"route-reflector": "true"} if number < 3 else {}
    if design in ("calico-rack-reflectors", "calico-ipip"):
        groups = 3 if design == "calico-rack-reflectors" else 1
        reflects = {"route-reflector": "true"} if number < 2 * groups else {}
        return reflects | {"bgp-group": str(number % groups + 1)}
    return {}


def node(design: str, number: int) -> Item:
    address = {"type": "InternalIP", "address": f"192.168.{number // 200}.{number % 200 + 1}"}
    metadata: Item = {"name": f"kp{number}", "labels": labels(design, number)}
    if design == "ovn-zones":
        zone = {"k8s.ovn.org/node-subnets": "{}", "k8s.ovn.org/zone-name": f"kp{number}"}
        metadata["annotations"] = zone
    status = {"nodeInfo": {"architecture": "amd64"}, "addresses": [address]}
    return {"kind": "Node", "metadata": metadata, "status": status}


def built(design: str, network: Network) -> list[Item]:
    """Return the objects of a cluster that was built as its plan writes it."""
    written = files(network, plan(network, design)).get("calico.yaml", "")
    nodes = [node(design, number) for number in range(network.node_count)]
    return [*nodes, *yaml.safe_load_all(written)]


def cluster(items: list[Item]) -> Cluster:
    return read_cluster(json.dumps({"kind": "List", "items": items}), "objects.json")


def told(design: str, network: Network, items: list[Item]) -> list[str]:
    found = drift(network, plan(network, design), cluster(items)).differences
    return [f"{each.object}: {each.what}: {each.found}: {each.planned}" for each in found]


@pytest.mark.parametrize(("design", "changes"), BUILT)
def test_what_is_built_as_planned_does_not_drift(design: str, changes: dict[str, Any]) -> None:
    network = described(**changes)
    found = drift(network, plan(network, design), cluster(built(design, network)))
    assert found.differences == ()
    assert (found.design, found.nodes) == (design, network.node_count)


def test_defaults_of_calico_are_as_if_they_were_written() -> None:
    network = described(nodes=[{"count": 20}])
    items = [each for each in built("calico-mesh", network) if each["kind"] != "BGPConfiguration"]
    (pool,) = (each for each in items if each["kind"] == "IPPool")
    for field in ("blockSize", "ipipMode", "vxlanMode", "nodeSelector"):
        del pool["spec"][field]
    assert told("calico-mesh", network, items) == []


CHANGED: list[tuple[str, Item, list[str]]] = [
    ("IPPool", {"blockSize": 28}, ["IPPool 10.240.0.0/12: blockSize: 28: 26"]),
    ("IPPool", {"natOutgoing": False}, ["IPPool 10.240.0.0/12: natOutgoing: False: True"]),
    ("IPPool", {"disabled": True}, ["cluster: design: none that is known: calico-rack-reflectors", "IPPool 10.240.0.0/12: : absent: there"]),
    ("IPPool", {"ipipMode": "Always"}, ["cluster: design: calico-ipip: calico-rack-reflectors", "IPPool 10.240.0.0/12: ipipMode: Always: Never"]),
    ("IPPool", {"cidr": "10.0.0.0/12"}, ["IPPool 10.240.0.0/12: : absent: there", "IPPool 10.0.0.0/12: : there: absent"]),
    ("BGPConfiguration", {"asNumber": 64999}, ["BGPConfiguration default: asNumber: 64999: 64512"]),
    ("BGPConfiguration", {"nodeToNodeMeshEnabled": True}, ["cluster: design: calico-mesh: calico-rack-reflectors", "BGPConfiguration default: nodeToNodeMeshEnabled: True: False"]),
    ("BGPPeer", {"nodeSelector": "all()"}, ["BGPPeer group-1: : absent: there", "BGPPeer group-1: : there: absent"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "differences"), CHANGED)
def test_what_is_different_is_told(kind: str, spec: Item, differences: list[str]) -> None:
    network = described(nodes=[{"count": 640, "racks": 16}])
    items = built("calico-rack-reflectors", network)
    changed = next(each for each in items if each["kind"] == kind)
    changed["spec"] |= spec
    assert told("calico-rack-reflectors", network, items) == differences


def test_labels_that_went_astray_are_told() -> None:
    network = described(nodes=[{"count": 640, "racks": 16}])
    items = built("calico-rack-reflectors", network)
    del items[0]["metadata"]["labels"]["route-reflector"]
    del items[9]["metadata"]["labels"]["bgp-group"]
    assert told("calico-rack-reflectors", network, items) == [
        "cluster: nodes with route-reflector and bgp-group=1: 1: 2",
        "cluster: nodes without bgp-group: 1: 0",
    ]
    flat = described(nodes=[{"count": 60, "racks": 3}])
    items = built("calico-reflectors", flat)
    items[5]["metadata"]["labels"]["route-reflector"] = "true"
    assert told("calico-reflectors", flat, items) == ["cluster: nodes with route-reflector: 4: 3"]


def test_more_than_was_planned_for_is_told() -> None:
    network = described(nodes=[{"count": 20}], pods_per_node=1)
    items = built("calico-mesh", network)
    items += [node("calico-mesh", 20), {"kind": "Service", "metadata": {"name": "web"}}]
    items[0]["status"]["addresses"][0]["address"] = "10.9.9.9"
    items += [
        {"kind": "Pod", "metadata": {"name": f"web-{n}"}, "spec": {"nodeName": "kp1"}, "status": {"phase": "Running"}}
        for n in range(22)
    ]  # fmt: skip
    items.append({"kind": "EndpointSlice", "metadata": {"name": "web"}, "endpoints": [{}, {}]})
    assert told("calico-mesh", network, items) == [
        "cluster: nodes: 21: at most 20",
        "cluster: pods of a node: 2: at most 1",
        "cluster: services: 1: at most 0",
        "cluster: endpoints of a service: 2: at most 1",
        "node kp0: InternalIP: 10.9.9.9: in 192.168.0.0/16",
    ]


def test_tunnels_without_their_mtu_are_told() -> None:
    network = described(nodes=[{"count": 20}])
    items = [
        each for each in built("calico-vxlan", network) if each["kind"] != "FelixConfiguration"
    ]
    assert told("calico-vxlan", network, items) == [
        "FelixConfiguration default: vxlanMTU: not there: 1450"
    ]


@pytest.mark.parametrize(
    ("changes", "items", "problem"),
    [
        ({"wants": ["userspace", "tenancy"]}, [], "no design serves this network"),
        ({}, [], "no Node among the objects"),
        ({"fabric": {"kind": "bgp"}}, [], "addresses.fabric: 0 named"),
    ],
)
def test_what_is_missing_is_told(changes: Item, items: list[Item], problem: str) -> None:
    network = described(**changes)
    with pytest.raises(InputError, match=problem):
        drift(network, plan(network), cluster(items))
