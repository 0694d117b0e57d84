"""What is written to the datastore of a cluster, whatever its network."""

from __future__ import annotations

from virtboost.net.figure import Figure, exact, published
from virtboost.net.scale import Scale

LEASE_S, STATUS_S = 10, 300
"""Between renewals of a node's lease, and reports of its status that did not change
(``node-heartbeat``)."""


def store_writes(scale: Scale) -> Figure:
    """Return the writes each second: nodes' heartbeats; a pod's beginning and its end.

    A pod's own status, its endpoints and what the network keeps of it come on top.
    """
    heartbeats = published(scale.nodes * (1 / LEASE_S + 1 / STATUS_S), "node-heartbeat")
    return (heartbeats + exact(2 * scale.pods_per_s)).without_end()
