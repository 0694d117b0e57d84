"""What of a running cluster is not as its plan says: size, design, Calico's resources, labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Literal

import msgspec
import yaml
from msgspec import Struct

from virtboost.errors import InputError
from virtboost.net.calico import PAIR, flat_reflectors, reflection
from virtboost.net.cluster import (
    KINDS,
    BgpConfiguration,
    BgpPeer,
    Cluster,
    FelixConfiguration,
    IpPool,
    KubeNode,
    pods_per_node,
    running_design,
    services_of,
)
from virtboost.net.description import Network
from virtboost.net.emit.calico import GROUP, REFLECTOR, TOP, resources
from virtboost.net.emit.files import layout_of, require_addresses
from virtboost.net.emit.layout import Layout
from virtboost.net.plan import NetPlan


class Difference(Struct, frozen=True, kw_only=True):
    """Something that is not as planned."""

    object: str
    """``cluster``, ``node kp7``, ``IPPool 10.244.0.0/16``."""
    what: str
    found: str
    planned: str


class Drift(Struct, frozen=True, kw_only=True):
    """A cluster held against its plan."""

    schema: Literal["virtboost.net-drift/1"] = "virtboost.net-drift/1"
    design: str
    """That is planned."""
    nodes: int
    """That there are."""
    differences: tuple[Difference, ...]


def drift(network: Network, made: NetPlan, cluster: Cluster) -> Drift:
    """Return what of a cluster is not as a plan of a network says.

    Raises:
        InputError: No design is planned, addresses are missing that its resources need, or there
            are no nodes.
    """
    layout = layout_of(network, made)
    require_addresses(layout)
    if not cluster.of(KubeNode):
        raise InputError("no Node among the objects")
    found = [*_design(layout, cluster), *_size(network, cluster), *_nodes(network, cluster)]
    if layout.design.plane == "calico":
        found += [*_resources(layout, cluster), *_labels(layout, cluster)]
    return Drift(
        design=layout.design.name,
        nodes=len(cluster.of(KubeNode)),
        differences=tuple(found),
    )


def _design(layout: Layout, cluster: Cluster) -> Iterator[Difference]:
    found = running_design(cluster)
    if found != layout.design.name:
        told = "none that is known" if found is None else found
        yield Difference(object="cluster", what="design", found=told, planned=layout.design.name)


def _size(network: Network, cluster: Cluster) -> Iterator[Difference]:
    """Yield what there is more of than was planned for."""
    services = services_of(cluster)
    for what, found, planned in (
        ("nodes", len(cluster.of(KubeNode)), network.node_count),
        ("pods of a node", pods_per_node(cluster), network.pods_per_node),
        ("services", services["count"], network.services.count),
        ("endpoints of a service", services["endpoints"], network.services.endpoints),
    ):
        if found > planned:
            yield Difference(
                object="cluster", what=what, found=f"{found:,}", planned=f"at most {planned:,}"
            )


def _nodes(network: Network, cluster: Cluster) -> Iterator[Difference]:
    """Yield nodes whose own addresses are not where nodes are planned."""
    six = network.addresses.ipv6
    planned = {4: network.addresses.node_network()} | (
        {} if six is None else {6: six.node_network()}
    )
    for node in cluster.of(KubeNode):
        for each in node.status.addresses:
            if each.type != "InternalIP":
                continue
            address = ip_address(each.address)
            where = planned.get(address.version)
            if where is not None and address not in where:
                yield Difference(
                    object=f"node {node.metadata.name}",
                    what="InternalIP",
                    found=each.address,
                    planned=f"in {where}",
                )


def _resources(layout: Layout, cluster: Cluster) -> Iterator[Difference]:
    """Yield what of Calico's resources is absent, different, or there and not planned."""
    there: list[Any] = [pool for pool in cluster.of(IpPool) if not pool.spec.disabled]
    for kind in (BgpPeer, BgpConfiguration, FelixConfiguration):
        there += cluster.of(kind)
    matched = []
    for document in yaml.safe_load_all(resources(layout)):
        planned: Any = msgspec.convert(document, KINDS[document["kind"]])
        found = next((each for each in there if _same(each, planned)), None)
        if found is None and isinstance(planned, BgpConfiguration | FelixConfiguration):
            found = type(planned)(metadata=planned.metadata)
        if found is None:
            yield Difference(object=_name(planned), what="", found="absent", planned="there")
        else:
            matched.append(found)
            yield from _fields(planned, found, document["spec"])
    for each in there:
        if isinstance(each, IpPool | BgpPeer) and each not in matched:
            yield Difference(object=_name(each), what="", found="there", planned="absent")


def _same(one: Any, other: Any) -> bool:
    """Tell whether two are about the same: peers with the same words, a pool, a configuration."""
    if type(one) is not type(other):
        return False
    if isinstance(one, BgpPeer):
        return bool(one.spec == other.spec)
    if isinstance(one, IpPool):
        return bool(one.spec.cidr == other.spec.cidr)
    return bool(one.metadata.name == other.metadata.name)


def _name(each: Any) -> str:
    kinds = {kind: name for name, kind in KINDS.items()}
    name = each.spec.cidr if isinstance(each, IpPool) else each.metadata.name
    return f"{kinds[type(each)]} {name}"


DEFAULTS: Mapping[type, Mapping[str, Any]] = {
    BgpConfiguration: {"as_number": 64512, "node_to_node_mesh_enabled": True},
}
"""What Calico takes where a field is not there (docs.tigera.io, resource definitions)."""


def _fields(planned: Any, found: Any, written: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield the fields that a plan writes and that are different."""
    for field in msgspec.structs.fields(planned.spec):
        if field.encode_name not in written:
            continue
        wanted, there = (_value(each, field.name) for each in (planned, found))
        if wanted != there:
            told = "not there" if there is None else str(there)
            yield Difference(
                object=_name(planned), what=field.encode_name, found=told, planned=str(wanted)
            )


def _value(each: Any, field: str) -> Any:
    value = getattr(each.spec, field)
    if value is None and field == "block_size":
        return 122 if ":" in each.spec.cidr else 26
    return DEFAULTS.get(type(each), {}).get(field) if value is None else value


def _labels(layout: Layout, cluster: Cluster) -> Iterator[Difference]:
    """Yield how many nodes reflect, where not as many as planned, and nodes without a group."""
    labels = [node.metadata.labels for node in cluster.of(KubeNode)]
    if layout.design.routing == "reflectors":
        yield from _counted(REFLECTOR, labels, flat_reflectors(layout.scale))
    if layout.design.routing != "groups":
        return
    found = reflection(layout.scale)
    yield from _counted(TOP, labels, found.top)
    groups = Counter(each.get(GROUP) for each in labels if REFLECTOR in each)
    for number in range(1, found.groups + 1):
        if groups[str(number)] != PAIR:
            yield Difference(
                object="cluster",
                what=f"nodes with {REFLECTOR} and {GROUP}={number}",
                found=f"{groups[str(number)]:,}",
                planned=f"{PAIR}",
            )
    without = sum(GROUP not in each and TOP not in each for each in labels)
    if without:
        what = f"nodes without {GROUP}"
        yield Difference(object="cluster", what=what, found=f"{without:,}", planned="0")


def _counted(label: str, labels: Sequence[Mapping[str, str]], planned: int) -> Iterator[Difference]:
    found = sum(label in each for each in labels)
    if found != planned:
        yield Difference(
            object="cluster", what=f"nodes with {label}", found=f"{found:,}", planned=f"{planned:,}"
        )
