"""A description from the objects of a cluster (fields as in the Kubernetes API reference and Calico's CRDs)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from virtboost.errors import InputError, ParseError
from virtboost.model.userfile import from_yaml
from virtboost.net.cluster import Cluster, description, read_cluster, running_design
from virtboost.net.description import Network
from virtboost.net.plan import DESIGNS, plan

Item = dict[str, Any]


def item(kind: str, name: str, spec: Item | None = None, **more: Any) -> Item:
    metadata = {"name": name, "uid": "0", **more.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec or {}, **more}


def node(number: int, architecture: str = "arm64", **metadata: Any) -> Item:
    addresses = [
        {"type": "ExternalIP", "address": "203.0.113.9"},
        {"type": "InternalIP", "address": f"192.168.{number // 200}.{number % 200 + 1}"},
        {"type": "InternalIP", "address": "fd00::1"},
        {"type": "Hostname", "address": f"kp{number}"},
    ]
    status = {
        "nodeInfo": {"architecture": architecture, "osImage": "openEuler"},
        "addresses": addresses,
    }
    return item("Node", f"kp{number}", {"podCIDR": "10.9.0.0/24"}, metadata=metadata, status=status)


def pod(number: int, on: int | None, phase: str = "Running", *, host: bool = False) -> Item:
    spec: Item = {"containers": []}
    if on is not None:
        spec["nodeName"] = f"kp{on}"
    if host:
        spec["hostNetwork"] = True
    return item("Pod", f"web-{number}", spec, status={"phase": phase})


def pool(**spec: Any) -> Item:
    return item("IPPool", "default-ipv4-ippool", {"cidr": "10.244.0.0/16", **spec})


def bgp(**spec: Any) -> Item:
    return item("BGPConfiguration", "default", spec)


def peer(**spec: Any) -> Item:
    return item("BGPPeer", f"peer-{len(str(spec))}", spec)


def cluster(*items: Item) -> Cluster:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
    return read_cluster(text, "objects.json")


WHOLE = (
    *(node(number, labels={"rack": f"r{number // 3}", "topology.kubernetes.io/zone": "z"}) for number in range(6)),
    *(node(number, "amd64", labels={"topology.kubernetes.io/zone": f"z{number}"}) for number in (6, 300)),
    *(pod(number, number % 6) for number in range(37)),
    pod(90, 1, "Succeeded"), pod(91, None, "Pending"), pod(92, 2, host=True), pod(93, 7, "Pending"),
    *(item("Service", f"s{number}") for number in range(4)),
    item("EndpointSlice", "s0-a", endpoints=[{"addresses": ["10.244.0.1"]}] * 3),
    item("EndpointSlice", "s1-a", endpoints=[{"addresses": ["10.244.0.2"]}] * 2),
    item("EndpointSlice", "s2-a", endpoints=None),
    item("ServiceCIDR", "kubernetes", {"cidrs": ["fd01::/112", "10.96.0.0/16"]}),
    pool(blockSize=27, ipipMode="Always", vxlanMode="Never", natOutgoing=True),
    item("IPPool", "six", {"cidr": "fd02::/48"}), item("IPPool", "old", {"cidr": "10.1.0.0/16", "disabled": True}),
    bgp(asNumber=64999, nodeToNodeMeshEnabled=True), item("ConfigMap", "other", {"data": 1}),
)  # fmt: skip


def described(*items: Item, **given: Any) -> Network:
    text = description(cluster(*items), **{"fabric": "l2", "pods": (), "services": "", **given})
    return from_yaml(text, Network, "net.yaml")


def test_a_cluster_is_described() -> None:
    found = described(*WHOLE)
    groups = [(each.count, each.racks, each.architecture) for each in found.groups()]
    assert groups == [(6, 2, "aarch64"), (2, 2, "x86_64")]
    assert found.pods_per_node == 5  # 38 with an address on 8 nodes
    assert (found.services.count, found.services.endpoints) == (4, 2)  # 5 behind 4
    assert found.addresses.pods == ("10.244.0.0/16",)
    assert (found.addresses.services, found.addresses.block) == ("10.96.0.0/16", 27)
    assert found.addresses.nodes == "192.168.0.0/23"
    six = found.addresses.ipv6
    assert six is not None
    assert (six.pods, six.nodes, six.block) == (("fd02::/48",), "fd00::/64", 122)
    assert found.wants == ("ipv6",)
    assert (found.as_number, found.running) == (64999, "calico-mesh-ipip")


def test_what_is_described_can_be_planned() -> None:
    made = plan(described(*WHOLE))
    assert made.recommendation is not None
    assert made.recommendation.design == "calico-mesh"
    assert [step.do.split(";")[0] for step in made.migration] == [
        "change ipipMode and vxlanMode of the IPPool to the planned ones",
        "raise the MTU of pods to the planned one and restart pods, node by node",
    ]


RUNNING = [
    ("calico-mesh", [pool()]),
    ("calico-mesh", [pool(), item("BGPConfiguration", "node.kp1", {"nodeToNodeMeshEnabled": False})]),
    ("calico-mesh-ipip-cross", [pool(ipipMode="CrossSubnet"), bgp(logSeverityScreen="Info")]),
    ("calico-vxlan", [item("IPPool", "a-six", {"cidr": "fd02::/48"}), pool(vxlanMode="Always"), bgp(nodeToNodeMeshEnabled=False)]),
    ("calico-vxlan-cross", [pool(vxlanMode="CrossSubnet")]),
    ("calico-ipip", [pool(ipipMode="Always"), bgp(nodeToNodeMeshEnabled=False)]),
    ("calico-reflectors", [pool(), bgp(nodeToNodeMeshEnabled=False), peer(peerSelector="has(rr)"), peer(nodeSelector="has(rr)", peerSelector="has(rr)")]),
    ("calico-rack-reflectors", [pool(), bgp(nodeToNodeMeshEnabled=False), peer(peerSelector="g == '1'"), peer(peerSelector="g == '22'")]),
    ("calico-tor", [pool(), bgp(nodeToNodeMeshEnabled=False), peer(peerIP="192.168.0.1", asNumber=64513)]),
    ("ovs-vxlan", [item("Pod", "antrea-agent-x7f2q", {"nodeName": "kp0", "hostNetwork": True})]),
    ("ovn-central", [node(1, annotations={"k8s.ovn.org/node-subnets": "{}"}), node(2, annotations={"k8s.ovn.org/node-subnets": "{}"})]),
    ("ovn-zones", [node(n, annotations={"k8s.ovn.org/node-subnets": "{}", "k8s.ovn.org/zone-name": f"kp{n}"}) for n in (1, 2)]),
    (None, [node(1)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "items"), RUNNING)
def test_what_runs_is_told(name: str | None, items: list[Item]) -> None:
    found = running_design(cluster(*items))
    assert found == name
    assert found is None or found in DESIGNS


def test_what_no_object_says_is_given() -> None:
    found = described(node(1), pods=("10.1.0.0/16", "10.2.0.0/16"), services="10.3.0.0/16")
    assert found.addresses.pods == ("10.1.0.0/16", "10.2.0.0/16")
    assert (found.addresses.services, found.addresses.block) == ("10.3.0.0/16", 26)
    assert found.pods_per_node == 1


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([pod(1, 1)], "no Node among the objects"),
        ([node(1)], "no object says the CIDR of pods: give --pods CIDR"),
        ([node(1), pool()], "no object says the CIDR of services: give --services CIDR"),
        ([node(1, "riscv64"), pool()], "node kp1: architecture 'riscv64' is not known"),
        ([item("Node", "kp1", status={"nodeInfo": {"architecture": "arm64"}}), pool(), item("ServiceCIDR", "k", {"cidrs": ["10.96.0.0/16"]})], "no Node has an InternalIP of IPv4"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told(items: list[Item], told: str) -> None:
    with pytest.raises(InputError, match=told):
        described(*items)


@pytest.mark.parametrize(
    "text", [json.dumps({"kind": "List", "items": [node(1) | {"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1/24"}]}}]}), "", "{}", '{"kind": "Node"}', '{"kind": "List", "items": [1]}', "[" * 100_000, '{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": 1}}]}']
)  # fmt: skip
def test_what_is_no_list_of_objects(text: str) -> None:
    with pytest.raises(ParseError, match=r"objects\.json: not a list of objects") as caught:
        read_cluster(text, "objects.json")
    assert "\n" not in str(caught.value)
