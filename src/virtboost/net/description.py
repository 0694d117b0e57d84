"""What a container network is for: nodes, pods, fabric, wants, limits, as a person writes them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, TypeVar

from msgspec import Struct

from virtboost.model.size import Size

Want = Literal["policy", "tenancy", "offload", "encryption", "ipv6", "multicast", "userspace"]
"""Network policy; tenants whose addresses may overlap; flows in the NIC; encryption between nodes;
pods with IPv6; multicast between pods; pods that are DPDK programs."""

MOST_NODES = 100_000
"""Of the largest cluster of which anything is published, of EKS."""

MOST_PODS = 4096
"""On a node; more is a slip."""

MOST_BLOCKS = 20
"""``maxBlocksPerHost`` of Calico, its default (``calico-ipam``)."""

MOST_WEIGHT = 1_000_000
"""Of a metric; with more, sums overflow."""

LINGER_S = 30
"""``terminationGracePeriodSeconds`` of Kubernetes, its default: how long a pod that goes keeps its
address."""


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


class _Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that are not known are mistakes."""


class NodeGroup(_Form, frozen=True, kw_only=True):
    """Nodes that are alike."""

    count: int = 1
    racks: int = 1
    """How many racks, or other domains that fail together, hold them."""
    architecture: Literal["x86_64", "aarch64"] = "x86_64"
    mtu: int = 1500
    """Of the interface between nodes."""
    offload: bool = False
    """Whether its NIC takes flows of Open vSwitch (``hw-offload``)."""

    def __post_init__(self) -> None:
        _require(1 <= self.count <= MOST_NODES, f"count: from 1 to {MOST_NODES}")
        _require(1 <= self.racks <= self.count, "racks: from 1 to the count of nodes")
        _require(1280 <= self.mtu <= 65535, "mtu: from 1280 to 65535")


class Services(_Form, frozen=True, kw_only=True):
    """Services of the cluster."""

    count: int = 0
    endpoints: int = 1
    """Pods behind each, on average."""

    def __post_init__(self) -> None:
        _require(0 <= self.count <= 1_000_000, "count: from 0 to 1000000")
        _require(1 <= self.endpoints <= 100_000, "endpoints: from 1 to 100000")


class Policies(_Form, frozen=True, kw_only=True):
    """Network policies, by the selectors in them."""

    selectors: int = 0
    """How many different ones."""
    pods: int = 0
    """That each matches, on average."""

    def __post_init__(self) -> None:
        _require(0 <= self.selectors <= 1_000_000, "selectors: from 0 to 1000000")
        _require(0 <= self.pods <= 10_000_000, "pods: from 0 to 10000000")


class Churn(_Form, frozen=True, kw_only=True):
    """What changes, over the whole cluster."""

    pods_per_s: float = 0
    """Pods that start, and as many that end, each second."""
    nodes_per_day: float = 0
    """By how many nodes it grows."""
    node_failures_per_day: float = 0
    """Nodes that die at once."""
    daemon_restarts_per_day: float = 0
    """Restarts of a network daemon on a node whose pods go on: upgrades, crashes."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            _require(0 <= value < 1e6 and math.isfinite(value), f"{name}: from 0 to 1000000")


class Traffic(_Form, frozen=True, kw_only=True):
    """Connections of one node."""

    connections_per_s: float = 0
    """New ones each second."""
    connections: int = 0
    """Open at once."""

    def __post_init__(self) -> None:
        _require(0 <= self.connections_per_s < 1e8, "connections_per_s: from 0 to 100000000")
        _require(0 <= self.connections < 1e9, "connections: from 0 to 1000000000")


class Fabric(_Form, frozen=True, kw_only=True):
    """What is between the nodes."""

    kind: Literal["l2", "l3", "bgp", "cloud"]
    """``l2``: one subnet; ``l3``: routers that know no pods; ``bgp``: routers that nodes may peer
    with; ``cloud``: drops what has addresses of pods."""
    tunnel: Literal["any", "vxlan"] = "any"
    """``vxlan``: the only encapsulation that passes, or that the NICs offload."""
    ipip: bool = True
    """Whether IP protocol 4 passes."""
    ipv6_underlay: bool = False
    """Whether tunnels run over IPv6."""
    loss_ratio: float = 1e-4
    """Of packets between nodes, independent of each other: for false alarms of BFD."""

    def __post_init__(self) -> None:
        _require(0 <= self.loss_ratio < 0.5, "loss_ratio: from 0 to 0.5")


IpNetwork = TypeVar("IpNetwork", IPv4Network, IPv6Network)


def _network(key: str, text: str, kind: type[IpNetwork]) -> IpNetwork:
    try:
        found = ip_network(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if not isinstance(found, kind):
        raise ValueError(
            f"{key}: {text}: IPv{found.version} has its place in {_PLACES[found.version]}"
        )
    _require_form(key, text, found)
    return found


def _require_form(key: str, text: str, found: object) -> None:
    """Hold that an address is written as all programs read it, without a zone, which has any text.

    Python reads ``10.0.0.0/255.0.0.0`` and ``fd00::1%eth0`` too.
    """
    _require("%" not in text, f"{key}: {text!r}: an address has no zone here")
    _require(str(found) == text, f"{key}: {text}: write it as {found}")


_PLACES = {4: "addresses", 6: "addresses.ipv6"}


def _require_plan(named: Sequence[tuple[str, str]], kind: type[IpNetwork], block: int) -> None:
    """Hold that CIDRs, by their keys, are apart, and those of pods as large as a block."""
    networks = [(key, _network(key, text, kind)) for key, text in named]
    for (first, one), (second, other) in itertools.combinations(networks, 2):
        _require(not one.overlaps(other), f"{first} {one} and {second} {other} overlap")
    for key, pool in networks:
        small = key == "pods" and pool.prefixlen > block
        _require(not small, f"pods {pool}: smaller than a block")


def _require_speakers(
    key: str, addresses: tuple[str, ...], nodes: IPv4Network | IPv6Network
) -> None:
    """Hold that addresses differ, are of the nodes' family and, but for a fabric's, nodes'."""
    _require(len(set(addresses)) == len(addresses), f"{key}: an address stands there twice")
    for text in addresses:
        try:
            address = type(nodes.network_address)(text)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
        _require_form(key, text, address)
        inside = key == "fabric" or address in nodes
        _require(inside, f"{key}: {text} is not in nodes {nodes}")


def _require_roles(
    reflectors: tuple[str, ...], fabric: tuple[str, ...], nodes: IPv4Network | IPv6Network
) -> None:
    _require_speakers("reflectors", reflectors, nodes)
    _require_speakers("fabric", fabric, nodes)
    both = set(reflectors) & set(fabric)
    _require(not both, f"{min(both, default='')}: reflects to itself: reflector and fabric")


class Ipv6(_Form, frozen=True, kw_only=True):
    """The address plan of IPv6, beside that of IPv4."""

    pods: tuple[str, ...]
    """CIDRs that pods get addresses of."""
    nodes: str
    """CIDR that the nodes' own addresses are in."""
    block: int = 122
    """Prefix length of Calico's blocks; its default."""
    reflectors: tuple[str, ...] = ()
    """Of the same reflectors as those of IPv4, in the same order."""
    fabric: tuple[str, ...] = ()
    """Of the same routers as those of IPv4, in the same order."""

    def __post_init__(self) -> None:
        _require(self.pods, "pods: one CIDR at least")
        _require(116 <= self.block <= 128, "block: from 116 to 128")
        named = [("nodes", self.nodes), *(("pods", each) for each in self.pods)]
        _require_plan(named, IPv6Network, self.block)
        _require_roles(self.reflectors, self.fabric, self.node_network())

    def pod_networks(self) -> tuple[IPv6Network, ...]:
        """Return the pools of the pods."""
        return tuple(_network("pods", each, IPv6Network) for each in self.pods)

    def node_network(self) -> IPv6Network:
        """Return the network of the nodes."""
        return _network("nodes", self.nodes, IPv6Network)


class Addresses(_Form, frozen=True, kw_only=True):
    """The address plan."""

    pods: tuple[str, ...]
    """CIDRs that pods get addresses of."""
    services: str
    """CIDR of the services."""
    nodes: str
    """CIDR that the nodes' own addresses are in."""
    block: int = 26
    """Prefix length of Calico's blocks."""
    reflectors: tuple[str, ...] = ()
    """Addresses of nodes that are to be route reflectors; needed to print configuration."""
    fabric: tuple[str, ...] = ()
    """Addresses of the routers that nodes peer with; needed to print configuration."""
    ipv6: Ipv6 | None = None
    """Of pods that have both; needed to print configuration for them."""

    def __post_init__(self) -> None:
        _require(self.pods, "pods: one CIDR at least")
        _require(20 <= self.block <= 32, "block: from 20 to 32")
        named = [("services", self.services), ("nodes", self.nodes)]
        named += [("pods", each) for each in self.pods]
        _require_plan(named, IPv4Network, self.block)
        _require_roles(self.reflectors, self.fabric, self.node_network())

    def pod_networks(self) -> tuple[IPv4Network, ...]:
        """Return the pools of the pods."""
        return tuple(_network("pods", each, IPv4Network) for each in self.pods)

    def node_network(self) -> IPv4Network:
        """Return the network of the nodes."""
        return _network("nodes", self.nodes, IPv4Network)


class Limits(_Form, frozen=True, kw_only=True):
    """What networking may cost; None: no limit."""

    node_cores: float | None = None
    """CPU of each node, in cores, once all is up."""
    node_memory: Size | None = None
    """Memory of a node above that of a bare one: kubelet, container runtime and network daemons."""
    convergence_s: float | None = None
    """Time until a node that restarted reaches every pod."""
    typha_replicas: int | None = None
    """Most Typhas that there may be."""

    def __post_init__(self) -> None:
        for key in ("node_cores", "convergence_s"):
            value = getattr(self, key)
            _require(value is None or 0 < value < math.inf, f"{key}: above 0")
        memory = self.node_memory
        _require(memory is None or memory > 0, "node_memory: above 0")
        replicas = self.typha_replicas
        _require(replicas is None or replicas > 0, "typha_replicas: above 0")


class Weights(_Form, frozen=True, kw_only=True):
    """How much each metric counts in the comparison: a judgement, and these are ours."""

    node_memory: float = 1
    node_cpu: float = 1
    central_cpu: float = 1
    """CPU of the busiest central daemon when all starts."""
    restart: float = 2
    """Until a restarted node reaches every pod."""
    overhead: float = 2
    """Bandwidth that is no payload."""
    stream: float = 1
    """Of one TCP connection."""
    untested: float = 2
    """How much larger it is than what anybody tested."""

    def __post_init__(self) -> None:
        for metric in self.__struct_fields__:
            weight = getattr(self, metric)
            _require(0 <= weight <= MOST_WEIGHT, f"{metric}: from 0 to {MOST_WEIGHT}")
        _require(any(map(self.of, self.__struct_fields__)), "one must be above 0")

    def of(self, metric: str) -> float:
        """Return the weight of a metric by its name."""
        return float(getattr(self, metric))


class Network(_Form, frozen=True, kw_only=True):
    """A container network that is wanted."""

    nodes: int | tuple[NodeGroup, ...]
    """How many, in racks of 40 at most, or groups of them that differ."""
    pods_per_node: int
    fabric: Fabric
    addresses: Addresses
    services: Services = Services()
    policies: Policies = Policies()
    churn: Churn = Churn()
    traffic: Traffic = Traffic()
    wants: tuple[Want, ...] = ()
    limits: Limits = Limits()
    weights: Weights = Weights()
    as_number: int = 64512
    """Of the cluster, in BGP."""
    fabric_as_number: int = 64513
    """Of the fabric's routers."""
    running: str | None = None
    """Design that runs now, for the order of a migration; None: nothing runs yet."""

    def __post_init__(self) -> None:
        counted = self.nodes if isinstance(self.nodes, int) else len(self.nodes)
        _require(counted >= 1, "nodes: one at least")
        within = counted <= MOST_NODES and self.node_count <= MOST_NODES
        _require(within, f"nodes: from 1 to {MOST_NODES}")
        _require(1 <= self.pods_per_node <= MOST_PODS, f"pods_per_node: from 1 to {MOST_PODS}")
        for key, number in (("as_number", self.as_number), ("fabric", self.fabric_as_number)):
            _require(1 <= number < 1 << 32, f"{key}: an AS number is from 1 to 4294967295")
        _require(self.as_number != self.fabric_as_number, "as_number: the fabric has the same")
        _require(len(set(self.wants)) == len(self.wants), "wants: one stands there twice")
        _require(
            self.policies.pods <= self.node_count * self.pods_per_node,
            f"policies.pods: more than the {self.node_count * self.pods_per_node} pods there are",
        )
        self._require_room()

    def _require_room(self) -> None:
        plans: list[tuple[str, Addresses | Ipv6]] = [("addresses", self.addresses)]
        if self.addresses.ipv6 is not None:
            _require("ipv6" in self.wants, "addresses.ipv6: ipv6 is not among wants")
            plans.append(("addresses.ipv6", self.addresses.ipv6))
        for key, plan in plans:
            hosts = plan.node_network().num_addresses - 2
            _require(
                self.node_count <= max(hosts, 1),
                f"{key}.nodes {plan.nodes} has room for {hosts} nodes, "
                f"and there are {self.node_count}",
            )
            self._require_blocks(key, plan)

    def _require_blocks(self, key: str, plan: Addresses | Ipv6) -> None:
        pools, length = plan.pod_networks(), plan.block
        blocks = blocks_of(self.addresses_per_node, pools[0].max_prefixlen - length)
        _require(
            blocks <= MOST_BLOCKS,
            f"{key}.block: a node needs {blocks} blocks of /{length}, and Calico gives it "
            f"{MOST_BLOCKS}: take larger blocks",
        )
        needed, capacity = self.node_count * blocks, prefixes_in(pools, length)
        _require(
            capacity >= needed,
            f"{key}.pods: room for {capacity} blocks of /{length}; "
            f"{self.node_count} nodes of {self.pods_per_node} pods need {needed}: "
            f"a /{length - math.ceil(math.log2(needed))} at least",
        )

    def groups(self) -> tuple[NodeGroup, ...]:
        """Return the groups of nodes; a mere count is one group in racks of 40 at most.

        Source of the 40: a rack of 42 units with two switches, a server a unit.
        """
        if isinstance(self.nodes, int):
            return (NodeGroup(count=self.nodes, racks=math.ceil(self.nodes / 40)),)
        return self.nodes

    @property
    def node_count(self) -> int:
        """Nodes of all groups."""
        return sum(group.count for group in self.groups())

    @property
    def rack_count(self) -> int:
        """Racks of all groups."""
        return sum(group.racks for group in self.groups())

    @property
    def mtu(self) -> int:
        """The smallest of the nodes' interfaces: what every path carries."""
        return min(group.mtu for group in self.groups())

    @property
    def addresses_per_node(self) -> int:
        """Addresses in use at once: pods, those that end and still have theirs, a tunnel's."""
        ending = self.churn.pods_per_s * LINGER_S / self.node_count
        return self.pods_per_node + math.ceil(round(ending, 6)) + 1

    @property
    def blocks_per_node(self) -> int:
        """Blocks of IPv4 that a node claims."""
        return blocks_of(self.addresses_per_node, 32 - self.addresses.block)


def blocks_of(addresses: int, bits: int) -> int:
    """Return how many blocks of so many bits hold some addresses."""
    return -(-addresses >> bits)


def prefixes_in(pools: Sequence[IPv4Network | IPv6Network], length: int) -> int:
    """Return how many prefixes of a length there are in pools; a smaller pool has none."""
    return sum(1 << (length - pool.prefixlen) for pool in pools if pool.prefixlen <= length)
