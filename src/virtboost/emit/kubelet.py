"""A plan as a kubelet has it: what is reserved, and managers that keep CPUs and memory together.

Source: https://kubernetes.io/docs/tasks/administer-cluster/{cpu-management-policies,
memory-manager,topology-manager}/
"""

from __future__ import annotations

from typing import Any

import yaml

from virtboost.model.host import Host
from virtboost.model.plan import Plan
from virtboost.model.workload import HostShare

EVICTION_BYTES = 100 << 20
"""The kubelet's default of ``evictionHard`` ``memory.available``."""

SHARE = 16
"""A node keeps one byte of this many where the workload names no amount."""

MOST_NODES = 8
"""More NUMA nodes than the topology manager takes without ``max-allowable-numa-nodes``."""


def kubelet_configuration(made: Plan, host: Host, share: HostShare) -> str:
    """Return a ``KubeletConfiguration`` in YAML that leaves pods what the plan leaves guests.

    What all nodes reserve is what the kubelet demands: ``systemReserved`` and the eviction
    threshold, together.
    """
    nodes = {
        node.id: _reserved(node.memory_bytes, share)
        for node in host.topology.numa_nodes
        if node.memory_bytes
    }
    one_cell = all(len(placed.cells) == 1 for placed in made.guests)
    options = {"prefer-closest-numa-nodes": "true"}
    if len(host.topology.numa_nodes) > MOST_NODES:
        options["max-allowable-numa-nodes"] = str(len(host.topology.numa_nodes))
    document: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cpuManagerPolicy": "static",
        "cpuManagerPolicyOptions": {"full-pcpus-only": "true"},
        "reservedSystemCPUs": str(made.host_pcpus),
        "topologyManagerPolicy": "single-numa-node" if one_cell else "restricted",
        "topologyManagerPolicyOptions": options,
        "memoryManagerPolicy": "Static",
        "systemReserved": {"memory": f"{(sum(nodes.values()) - EVICTION_BYTES) >> 20}Mi"},
        "evictionHard": {"memory.available": f"{EVICTION_BYTES >> 20}Mi"},
        "reservedMemory": [
            {"numaNode": node, "limits": {"memory": f"{count >> 20}Mi"}}
            for node, count in nodes.items()
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _reserved(memory_bytes: int, share: HostShare) -> int:
    """Return whole MiB, and on each node more than the eviction threshold."""
    wanted = share.memory if share.memory is not None else memory_bytes // SHARE
    return max(wanted >> 20 << 20, EVICTION_BYTES + (1 << 20))
