"""What rules a design out for a network: a feature that it lacks, a fabric that it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network

from virtboost.net import addressing
from virtboost.net.calico import TYPHA_LIMIT, typhas
from virtboost.net.description import Network
from virtboost.net.design import Ceiling, Design
from virtboost.net.figure import exact
from virtboost.net.ovs import VXLAN_CEILINGS
from virtboost.net.quantity import QUANTITIES

JOIN_SUBNETS = ("100.64.0.0/16", "100.88.0.0/16", "169.254.169.0/29", "fd97::/64", "fd98::/64")
"""``ovn-subnets``."""


def gates(design: Design, network: Network) -> Iterator[str]:
    """Yield why a design cannot serve such a network, whatever its size."""
    for want in network.wants:
        if want in design.lacks:
            yield f"{want}: {design.lacks[want]}"
    for gate in _GATES:
        reason = gate(design, network)
        if reason is not None:
            yield reason


def ceilings(design: Design, network: Network) -> tuple[Ceiling, ...]:
    """Return the sizes at which a design ends for a network: its own, the user's limits."""
    found = design.ceilings
    if design.plane == "ovn" and network.fabric.tunnel == "vxlan":
        found += VXLAN_CEILINGS
    return (*found, *_limits(design, network))


def _limits(design: Design, network: Network) -> Iterator[Ceiling]:
    limits = network.limits
    for key, name, limit in (
        ("node_memory", "node_memory", limits.node_memory),
        ("node_cores", "node_cpu", limits.node_cores),
        ("convergence_s", "restart", limits.convergence_s),
    ):
        if limit is not None and name in design.forms:
            yield Ceiling(
                what=f"limits.{key}",
                form=design.forms[name],
                limit=float(limit),
                kind="hard",
                unit=QUANTITIES[name].unit,
                source="",
            )
    most = limits.typha_replicas
    if most is not None and design.plane == "calico":
        yield Ceiling(
            what=f"connections of a Typha, with {most} of them at most",
            form=lambda s: exact(2 * s.nodes / min(most, typhas(s))),
            limit=TYPHA_LIMIT,
            kind="hard",
            source="typha-limit",
            remedy="more Typhas",
        )


def _fabric(design: Design, network: Network) -> str | None:
    kind, wrapped = network.fabric.kind, design.encapsulation
    if kind == "l2" and not wrapped.always:
        return "all nodes are in one subnet: there is nothing between subnets"
    if design.routing == "tor" or (wrapped.name != "none" and wrapped.always):
        return None
    if kind == "cloud":
        return "the cloud drops packets with addresses of pods (calico-overlay)"
    if wrapped.name == "none" and kind != "l2":
        return "the routers between nodes know no pods (calico-overlay)"
    return None


def _peering(design: Design, network: Network) -> str | None:
    if design.routing == "tor" and network.fabric.kind != "bgp":
        return f"the fabric ({network.fabric.kind}) has no BGP for nodes to peer with"
    return None


def _tunnel(design: Design, network: Network) -> str | None:
    fabric = network.fabric
    if design.encapsulation.name == "ipip" and (not fabric.ipip or fabric.tunnel == "vxlan"):
        return "the fabric lets no IPIP pass (fabric.ipip, fabric.tunnel)"
    return None


def _nics(design: Design, network: Network) -> str | None:
    without = sum(group.count for group in network.groups() if not group.offload)
    if design.needs_offload and without:
        return f"NICs of {without} nodes take no flows (nodes.offload)"
    return None


def _ordinary_pods(design: Design, network: Network) -> str | None:
    if design.name == "ovs-dpdk" and "userspace" not in network.wants:
        return "pods on the kernel's network reach it at 0.55 Gbit/s (veth-userspace)"
    return None


def _subnets(design: Design, network: Network) -> str | None:
    if design.plane != "ovn":
        return None
    addresses, six = network.addresses, network.addresses.ipv6
    told = (*addresses.pods, addresses.services, addresses.nodes)
    for text in told if six is None else (*told, *six.pods, six.nodes):
        for join in JOIN_SUBNETS:
            if ip_network(text).overlaps(ip_network(join)):
                return f"{text} overlaps {join}, which OVN joins nodes with (ovn-subnets)"
    return None


def room(design: Design, network: Network) -> str | None:
    """Return why a design has not addresses enough for a network; None: it has."""
    for key, plan in (
        ("addresses", addressing.address_plan(design, network)),
        ("addresses.ipv6", addressing.ipv6_plan(design, network)),
    ):
        if plan is not None and plan.capacity < network.node_count:
            return (
                f"{key}.pods: room for {plan.capacity} nodes with a /{plan.prefix} each, "
                f"and there are {network.node_count}"
            )
    return None


_GATES: tuple[Callable[[Design, Network], str | None], ...] = (
    _fabric,
    _peering,
    _tunnel,
    _nics,
    _ordinary_pods,
    _subnets,
)
