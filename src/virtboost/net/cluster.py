"""A running cluster's network, from its objects as ``kubectl`` or the API server lists them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import Struct

from virtboost.errors import InputError, ParseError

MAX_BYTES = 1 << 30
"""Of a dump: 150,000 pods are some hundred megabytes."""

ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64"}

RACK_LABELS = ("topology.kubernetes.io/rack", "rack", "topology.kubernetes.io/zone")
"""Labels of a node that name what fails together, the smaller first."""

T = TypeVar("T")


class KubeObject(Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields that are looked at; all others are skipped."""


class Metadata(KubeObject, frozen=True, kw_only=True):
    """Of every object."""

    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class NodeInfo(KubeObject, frozen=True, kw_only=True):
    """What a node's kubelet says."""

    architecture: str = ""


class NodeAddress(KubeObject, frozen=True, kw_only=True):
    """An address of a node."""

    type: str
    address: str

    def __post_init__(self) -> None:
        if self.type == "InternalIP":
            ip_address(self.address)


class NodeStatus(KubeObject, frozen=True, kw_only=True):
    """Of a node."""

    node_info: NodeInfo = NodeInfo()
    addresses: tuple[NodeAddress, ...] = ()


class KubeNode(KubeObject, frozen=True, kw_only=True):
    """A node."""

    metadata: Metadata
    status: NodeStatus = NodeStatus()


class PodSpec(KubeObject, frozen=True, kw_only=True):
    """Of a pod."""

    node_name: str = ""
    host_network: bool = False


class PodStatus(KubeObject, frozen=True, kw_only=True):
    """Of a pod."""

    phase: str = ""


class Pod(KubeObject, frozen=True, kw_only=True):
    """A pod."""

    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def addressed(self) -> bool:
        """Whether it has an address of the pods' network."""
        placed = bool(self.spec.node_name) and not self.spec.host_network
        return placed and self.status.phase in ("Pending", "Running")


class Service(KubeObject, frozen=True, kw_only=True):
    """A service."""

    metadata: Metadata


class EndpointSlice(KubeObject, frozen=True, kw_only=True):
    """Some of a service's endpoints."""

    metadata: Metadata
    endpoints: tuple[Any, ...] | None = None


class CidrSpec(KubeObject, frozen=True, kw_only=True):
    """Of a ServiceCIDR or an IPPool."""

    cidrs: tuple[str, ...] = ()
    cidr: str = ""
    block_size: int | None = None
    """None: Calico's default."""
    ipip_mode: str = "Never"
    vxlan_mode: str = "Never"
    nat_outgoing: bool = False
    node_selector: str = "all()"
    disabled: bool = False


class ServiceCidr(KubeObject, frozen=True, kw_only=True):
    """A range of services' addresses."""

    spec: CidrSpec


class IpPool(KubeObject, frozen=True, kw_only=True):
    """A pool of Calico."""

    metadata: Metadata
    spec: CidrSpec


class BgpSpec(KubeObject, frozen=True, kw_only=True):
    """Of a BGPConfiguration or a BGPPeer."""

    as_number: int | None = None
    node_to_node_mesh_enabled: bool | None = None
    node_selector: str = ""
    peer_selector: str = ""
    peer_ip: str = msgspec.field(default="", name="peerIP")


class BgpConfiguration(KubeObject, frozen=True, kw_only=True):
    """BGP of a whole Calico."""

    metadata: Metadata
    spec: BgpSpec = BgpSpec()


class BgpPeer(KubeObject, frozen=True, kw_only=True):
    """Peers of Calico's nodes."""

    metadata: Metadata
    spec: BgpSpec = BgpSpec()


class FelixSpec(KubeObject, frozen=True, kw_only=True):
    """Of a FelixConfiguration; None: Felix's default."""

    ipip_mtu: int | None = msgspec.field(default=None, name="ipipMTU")
    vxlan_mtu: int | None = msgspec.field(default=None, name="vxlanMTU")
    vxlan_mtu_v6: int | None = msgspec.field(default=None, name="vxlanMTUV6")
    wireguard_enabled: bool | None = None
    wireguard_mtu: int | None = msgspec.field(default=None, name="wireguardMTU")
    wireguard_enabled_v6: bool | None = msgspec.field(default=None, name="wireguardEnabledV6")
    wireguard_mtu_v6: int | None = msgspec.field(default=None, name="wireguardMTUV6")
    ipv6_support: bool | None = msgspec.field(default=None, name="ipv6Support")


class FelixConfiguration(KubeObject, frozen=True, kw_only=True):
    """What Felix is told."""

    metadata: Metadata
    spec: FelixSpec = FelixSpec()


KINDS: dict[str, type[KubeObject]] = {
    "Node": KubeNode,
    "Pod": Pod,
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "ServiceCIDR": ServiceCidr,
    "IPPool": IpPool,
    "BGPConfiguration": BgpConfiguration,
    "BGPPeer": BgpPeer,
    "FelixConfiguration": FelixConfiguration,
}
"""Kinds that are read, by their name."""


class _Named(Struct, frozen=True):
    kind: str


class _List(Struct, frozen=True):
    kind: str
    items: tuple[msgspec.Raw, ...]


class _PageMetadata(Struct, frozen=True):
    next: str = msgspec.field(default="", name="continue")


class _Page(Struct, frozen=True):
    items: tuple[msgspec.Raw, ...]
    metadata: _PageMetadata = _PageMetadata()


class Cluster(Struct, frozen=True, kw_only=True):
    """Objects of a cluster."""

    objects: tuple[KubeObject, ...]

    def of(self, kind: type[T]) -> tuple[T, ...]:
        """Return the objects of a kind."""
        return tuple(each for each in self.objects if isinstance(each, kind))


def read_cluster(text: str, source: str) -> Cluster:
    """Read what ``kubectl get nodes,pods,services,... -A -o json`` prints.

    Raises:
        ParseError: It is not JSON, not a list of objects, or an object is not of its kind.
    """
    try:
        found = msgspec.json.decode(text, type=_List)
        return Cluster(objects=tuple(_objects(found.items)))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ParseError(source, f"not a list of objects as kubectl prints it: {error}") from error


def read_page(text: str, kind: str, source: str) -> tuple[tuple[KubeObject, ...], str]:
    """Read objects of one kind, as the API server lists them, and the token of the next page.

    The token of the last page is empty.

    Raises:
        ParseError: It is no list, or an object is not of its kind.
    """
    try:
        found = msgspec.json.decode(text, type=_Page)
        objects = tuple(msgspec.json.decode(item, type=KINDS[kind]) for item in found.items)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ParseError(source, f"not a list of {kind} objects: {error}") from error
    return objects, found.metadata.next


def _objects(items: Iterable[msgspec.Raw]) -> Iterable[KubeObject]:
    for item in items:
        kind = KINDS.get(msgspec.json.decode(item, type=_Named).kind)
        if kind is not None:
            yield msgspec.json.decode(item, type=kind)


def description(cluster: Cluster, *, fabric: str, pods: Sequence[str], services: str) -> str:
    """Return a description in YAML, with comments on what the objects do not say.

    Args:
        cluster: Objects of a cluster.
        fabric: Kind of the fabric, which no object says.
        pods: CIDRs of pods; empty: those of Calico's pools.
        services: CIDR of services; empty: that of the ServiceCIDR.

    Raises:
        InputError: There are no nodes, or no object says where pods and services have addresses.
    """
    nodes = cluster.of(KubeNode)
    if not nodes:
        raise InputError("no Node among the objects")
    found: dict[str, Any] = {
        "nodes": _groups(nodes),
        "pods_per_node": pods_per_node(cluster),
        "services": services_of(cluster),
        "fabric": {"kind": fabric},
        "addresses": _addresses(cluster, nodes, pods=pods, services=services),
    }
    number = next((each.spec.as_number for each in _default_bgp(cluster)), None)
    if number is not None:
        found["as_number"] = number
    if "ipv6" in found["addresses"]:
        found["wants"] = ["ipv6"]
    running = running_design(cluster)
    if running is not None:
        found["running"] = running
    return _COMMENT + yaml.safe_dump(found, sort_keys=False)


_COMMENT = """\
# From the objects of a running cluster.  They do not say: mtu and offload of nodes (1500, none),
# churn, traffic, policies, wants, limits.  Racks are what the nodes' labels rack or zone say.
"""


def _groups(nodes: Sequence[KubeNode]) -> list[dict[str, Any]]:
    kinds: dict[str, list[KubeNode]] = {}
    for node in nodes:
        told = node.status.node_info.architecture
        if told not in ARCHITECTURES:
            raise InputError(f"node {node.metadata.name}: architecture {told!r} is not known")
        kinds.setdefault(ARCHITECTURES[told], []).append(node)
    return [
        {
            "count": len(alike),
            "racks": len({_rack(node.metadata.labels) for node in alike}),
            "architecture": architecture,
        }
        for architecture, alike in kinds.items()
    ]


def _rack(labels: Mapping[str, str]) -> str:
    return next((labels[label] for label in RACK_LABELS if label in labels), "")


def pods_per_node(cluster: Cluster) -> int:
    """Return how many pods a node has that have an address of the pods' network, on average."""
    addressed = sum(pod.addressed for pod in cluster.of(Pod))
    return max(1, math.ceil(addressed / len(cluster.of(KubeNode))))


def services_of(cluster: Cluster) -> dict[str, int]:
    """Return how many services there are, and endpoints of one, on average."""
    count = len(cluster.of(Service))
    behind = sum(len(each.endpoints or ()) for each in cluster.of(EndpointSlice))
    return {"count": count, "endpoints": max(1, math.ceil(behind / max(1, count)))}


def _addresses(
    cluster: Cluster, nodes: Sequence[KubeNode], *, pods: Sequence[str], services: str
) -> dict[str, Any]:
    pools = [pool.spec for pool in cluster.of(IpPool) if not pool.spec.disabled]
    ours = [pool for pool in pools if ":" not in pool.cidr]
    ranges = [cidr for each in cluster.of(ServiceCidr) for cidr in each.spec.cidrs]
    found = list(pods) or [pool.cidr for pool in ours]
    told = services or next((cidr for cidr in ranges if ":" not in cidr), "")
    for missing, option in ((not found, "--pods"), (not told, "--services")):
        if missing:
            raise InputError(f"no object says the CIDR of {option[2:]}: give {option} CIDR")
    block = {"block": ours[0].block_size or 26} if ours else {}
    where = _network(nodes, 4, 24)
    if where is None:
        raise InputError("no Node has an InternalIP of IPv4")
    return {
        "pods": found, "services": told, "nodes": where, **block, **_addresses6(nodes, pools)
    }  # fmt: skip


def _addresses6(nodes: Sequence[KubeNode], pools: Sequence[CidrSpec]) -> dict[str, Any]:
    """Return the address plan of IPv6, where there are pools and nodes with such addresses."""
    ours = [pool for pool in pools if ":" in pool.cidr]
    where = _network(nodes, 6, 64)
    if not ours or where is None:
        return {}
    found = {"pods": [pool.cidr for pool in ours], "nodes": where}
    return {"ipv6": found | {"block": ours[0].block_size or 122}}


def _network(nodes: Sequence[KubeNode], version: int, longest: int) -> str | None:
    """Return the smallest network that holds all nodes, but none longer than a prefix."""
    told = (
        ip_address(each.address)
        for node in nodes
        for each in node.status.addresses
        if each.type == "InternalIP"
    )
    found = [each for each in told if each.version == version]
    if not found:
        return None
    numbers = [int(each) for each in found]
    spread = min(numbers) ^ max(numbers)
    length = min(longest, found[0].max_prefixlen - spread.bit_length())
    return str(ip_network(f"{found[0]}/{length}", strict=False))


def _default_bgp(cluster: Cluster) -> list[BgpConfiguration]:
    return [each for each in cluster.of(BgpConfiguration) if each.metadata.name == "default"]


def running_design(cluster: Cluster) -> str | None:
    """Return the design that runs, by its name; None: none that is known."""
    zones = Counter(
        node.metadata.annotations.get("k8s.ovn.org/zone-name", "")
        for node in cluster.of(KubeNode)
        if "k8s.ovn.org/node-subnets" in node.metadata.annotations
    )
    if zones:
        return "ovn-zones" if len(zones) > 1 else "ovn-central"
    if any(pod.metadata.name.startswith("antrea-agent-") for pod in cluster.of(Pod)):
        return "ovs-vxlan"
    pools = [pool.spec for pool in cluster.of(IpPool) if not pool.spec.disabled]
    pools.sort(key=lambda pool: ":" in pool.cidr)
    return _calico(cluster, pools[0]) if pools else None


def _calico(cluster: Cluster, pool: CidrSpec) -> str:
    suffix = "-cross" if "CrossSubnet" in (pool.ipip_mode, pool.vxlan_mode) else ""
    if pool.vxlan_mode != "Never":
        return f"calico-vxlan{suffix}"
    told = next((each.spec.node_to_node_mesh_enabled for each in _default_bgp(cluster)), None)
    mesh = told is not False
    if pool.ipip_mode != "Never":
        return f"calico-mesh-ipip{suffix}" if mesh else f"calico-ipip{suffix}"
    return "calico-mesh" if mesh else _peering(cluster)


def _peering(cluster: Cluster) -> str:
    """Return which design the BGPPeers make: to addresses, to one set of nodes, or to several."""
    targets = {peer.spec.peer_selector for peer in cluster.of(BgpPeer)}
    if "" in targets:
        return "calico-tor"
    return "calico-reflectors" if len(targets) == 1 else "calico-rack-reflectors"
