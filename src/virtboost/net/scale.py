"""The numbers of a network that the closed forms take; the same network, larger or smaller."""

from __future__ import annotations

import math

from msgspec import Struct, structs

from virtboost.net.description import Network
from virtboost.net.law import PAGE, Laws


class Scale(Struct, frozen=True, kw_only=True):
    """How large a network is."""

    nodes: int
    racks: int
    pods_per_node: int
    blocks_per_node: int
    """Of Calico's IPAM: routes that a node announces."""
    services: int
    endpoints: int
    """Behind each service."""
    selectors: int
    """Of network policies."""
    selected: int
    """Pods that a selector matches."""
    pods_per_s: float
    """Pods that start each second in the cluster."""
    connections_per_s: float
    """New connections of a node each second."""
    connections: int
    """Of a node, at once."""
    laws: Laws = PAGE
    """What daemons cost."""

    @property
    def routes(self) -> int:
        """Routes to pods in the cluster, one a block."""
        return self.nodes * self.blocks_per_node

    @property
    def pods(self) -> int:
        """Pods of the cluster."""
        return self.nodes * self.pods_per_node

    def at(self, nodes: int) -> Scale:
        """Return the same network with ``nodes`` nodes: racks, services and churn in proportion."""
        ratio = nodes / self.nodes
        return structs.replace(
            self,
            nodes=nodes,
            racks=min(nodes, max(1, math.ceil(self.racks * ratio))),
            services=math.ceil(self.services * ratio),
            pods_per_s=self.pods_per_s * ratio,
        )


def scale_of(network: Network, laws: Laws = PAGE) -> Scale:
    """Return how large a described network is, and what daemons cost there."""
    return Scale(
        nodes=network.node_count,
        racks=network.rack_count,
        pods_per_node=network.pods_per_node,
        blocks_per_node=network.blocks_per_node,
        services=network.services.count,
        endpoints=network.services.endpoints,
        selectors=network.policies.selectors,
        selected=network.policies.pods,
        pods_per_s=network.churn.pods_per_s,
        connections_per_s=network.traffic.connections_per_s,
        connections=network.traffic.connections,
        laws=laws,
    )
