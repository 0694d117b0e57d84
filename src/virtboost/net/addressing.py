"""Addresses of pods: what each node gets, how many nodes there is room for, and until when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from msgspec import Struct

from virtboost.net.description import MOST_BLOCKS, Network, blocks_of, prefixes_in
from virtboost.net.design import Design

HUNDRED_YEARS = 36_525
"""In days."""

RESERVED = 3
"""Of a node's subnet in OVN: its own address, the gateway, broadcast."""


SUBNET6 = 64
"""Prefix length of a node's subnet of IPv6 (``node-subnet6``)."""


A_BILLION = 1_000_000_000
"""Nodes, where there is room for more: IPv6 has numbers that JSON has not."""


class AddressPlan(Struct, frozen=True, kw_only=True):
    """How a design hands addresses out."""

    unit: Literal["block", "subnet"]
    """Blocks that nodes claim as they need them (Calico), or a subnet a node (OVN, flow-based)."""
    prefix: int
    """Length of its prefix."""
    units_per_node: int
    addresses_per_node: int
    """In use at once: pods, pods that end and still have theirs, a tunnel's."""
    capacity: int
    """Nodes that there is room for, to a billion."""
    used_ratio: float
    """Of what the nodes claim, in use."""
    exhausted_in_days: float | None
    """At the growth described; None: not in a hundred years."""
    borrowed_beyond: int | None
    """Pods of a node from which on it borrows from others' blocks, each a route of its own in every
    node (``strictAffinity`` off); None: it never does."""


def address_plan(design: Design, network: Network) -> AddressPlan:
    """Return how a design hands out the addresses of a network."""
    blocks = design.plane == "calico"
    prefix = network.addresses.block if blocks else subnet_prefix(network.addresses_per_node)
    return _plan(network, network.addresses.pod_networks(), prefix, blocks=blocks)


def ipv6_plan(design: Design, network: Network) -> AddressPlan | None:
    """Return how a design hands out the addresses of IPv6; None: none are described."""
    plan = network.addresses.ipv6
    if plan is None:
        return None
    blocks = design.plane == "calico"
    return _plan(network, plan.pod_networks(), plan.block if blocks else SUBNET6, blocks=blocks)


def _plan(
    network: Network,
    pools: Sequence[IPv4Network | IPv6Network],
    prefix: int,
    *,
    blocks: bool,
) -> AddressPlan:
    needed, bits = network.addresses_per_node, pools[0].max_prefixlen - prefix
    units, borrowed = (blocks_of(needed, bits), MOST_BLOCKS) if blocks else (1, 0)
    capacity = min(A_BILLION, prefixes_in(pools, prefix) // units)
    return AddressPlan(
        unit="block" if blocks else "subnet",
        prefix=prefix,
        units_per_node=units,
        addresses_per_node=needed,
        capacity=capacity,
        used_ratio=needed / (units << bits),
        exhausted_in_days=exhaustion(capacity, network),
        borrowed_beyond=borrowed << bits or None,
    )


def subnet_prefix(addresses: int) -> int:
    """Return the longest prefix of a subnet with room for ``addresses`` beside those reserved."""
    return 32 - math.ceil(math.log2(addresses + RESERVED))


def exhaustion(capacity: int, network: Network) -> float | None:
    """Return the days until a node finds no addresses; None: not in a hundred years."""
    left, growth = max(0, capacity - network.node_count), network.churn.nodes_per_day
    return left / growth if left < HUNDRED_YEARS * growth else None
