"""Designs of Open vSwitch: flows by a controller on each node, OVN central and by zones."""

from __future__ import annotations

import functools
import math

from msgspec import structs

from virtboost.net import law
from virtboost.net.datastore import store_writes
from virtboost.net.design import Ceiling, Design, Encapsulation, Form
from virtboost.net.figure import NOTHING, Figure, exact, measured, published
from virtboost.net.policy import POLICIES
from virtboost.net.scale import Scale

MOST_MEGAFLOWS = 200_000
"""``megaflows``."""

ZONE_NODES = 1
"""OVN-Kubernetes makes each node a zone (``ovn-zones``)."""

REMOTE_ZONE_FLOWS = 165
"""Rules that another switch costs in the same zone (``ovn-fit``): at most that many in another."""

JOIN_ROWS, JOIN_RULES = 32, 160
"""Of a switch that joins the router to gateways, or to other zones: networks of ``ovn-fit`` had
one, and those of ``ovn-ladder`` have none, and as much less."""


def ovn_rows(nodes: int, ports: int, services: int, joins: int = 0) -> Figure:
    """Return the rows of logical flows of a southbound database.

    Args:
        nodes: Switches in it, one a node.
        ports: Pods on each.
        services: Load balancers on every switch.
        joins: Switches that join the router to what is elsewhere.
    """
    rows = 122 + 33 * nodes + 4 * nodes * ports + JOIN_ROWS * joins
    return _counted(rows + (2 * services + 38 if services else 0), nodes, ports)


def ovn_rules(nodes: int, ports: int, services: int, endpoints: int, joins: int = 0) -> Figure:
    """Return the OpenFlow rules of one chassis, all nodes of ``nodes`` in its zone."""
    balanced = 2 * services * nodes + services * (endpoints + 1) + 47 * nodes if services else 0
    rules = 86 + 165 * nodes + 4 * nodes * ports + 5 * ports + JOIN_RULES * joins
    return _counted(rules + balanced, nodes, ports)


def _counted(count: float, nodes: int, ports: int) -> Figure:
    reach = max(nodes / law.OVN_SWITCHES, nodes * ports / law.OVN_PORTS)
    return measured(count, count, count, "ovn-fit", "ovn-ladder").stretched(reach)


def _bracketed(low: float, high: float) -> Figure:
    """Return what is known to lie between two counts, and no more."""
    return Figure(
        value=math.sqrt(low * high), low=low, high=high, tag="extrapolated", sources=("ovn-fit",)
    )


def _antrea_rules(scale: Scale) -> Figure:
    """Return the rules of a flow-based node: 2 a remote node, 5 a pod, services and endpoints."""
    balanced = scale.services * (1 + scale.endpoints)
    count = 2 * (scale.nodes - 1) + 5 * scale.pods_per_node + balanced
    return published(count, "antrea-pipeline").without_end()


def _central_rules(scale: Scale) -> Figure:
    return ovn_rules(scale.nodes, scale.pods_per_node, scale.services, scale.endpoints)


def _zone_rules(scale: Scale) -> Figure:
    own = ovn_rules(ZONE_NODES, scale.pods_per_node, scale.services, scale.endpoints, joins=1)
    remote = scale.nodes - ZONE_NODES
    return own + _bracketed(remote, REMOTE_ZONE_FLOWS * remote)


def _central_rows(scale: Scale) -> Figure:
    return ovn_rows(scale.nodes, scale.pods_per_node, scale.services)


def _zone_rows(scale: Scale) -> Figure:
    own = ovn_rows(ZONE_NODES, scale.pods_per_node, scale.services, joins=1)
    remote = scale.nodes - ZONE_NODES
    return own + _bracketed(remote, 33 * remote)


def _vswitchd(rules: Figure, scale: Scale) -> Figure:
    """Return the bytes of ovs-vswitchd for its rules."""
    return rules.times(scale.laws.rule_bytes).stretched(rules.value / law.RULES_MEASURED)


def _installed(rules: Figure, scale: Scale) -> Figure:
    """Return the seconds to install rules; computing them comes before, and nobody measured it."""
    seconds = rules.times(scale.laws.rule_s).stretched(rules.value / law.RULES_MEASURED)
    return seconds.without_end()


def _northd(rows: Figure, scale: Scale) -> Figure:
    return rows.times(scale.laws.northd_row_cpu).stretched(rows.value / law.NORTHD_ROWS)


def _megaflows(scale: Scale) -> Figure:
    """Return the flows of a datapath: one a connection at most, where ports are matched."""
    most = min(MOST_MEGAFLOWS, scale.connections)
    return structs.replace(published(most, "megaflows"), low=0)


ANTREA_IDLE = published(540e6, "infrabuilder")
"""Bytes of an idle node above a bare one, as of the others: with kubelet and container runtime."""

OVN_IDLE = published(267e6, "infrabuilder")
"""Of Kube-OVN."""

COMMON: dict[str, Form] = POLICIES | {
    "tunnels_per_node": lambda s: exact(s.nodes - 1),
    "flood_copies": lambda s: exact(s.nodes - 1),
    "megaflows": _megaflows,
    "node_cpu": lambda s: law.UPCALL_CPU * s.connections_per_s,
    "store_writes": store_writes,
}

BY_CONTROLLER = COMMON | {
    "openflow_rules": _antrea_rules,
    "watchers": lambda s: exact(s.nodes),
    "watch_cpu": lambda s: s.laws.watch_cpu * (2 * s.pods_per_s * s.nodes),
    "node_memory": lambda s: _vswitchd(_antrea_rules(s), s) + ANTREA_IDLE,
    "central_cpu": lambda _: NOTHING.without_end(),
    "restart": lambda s: _installed(_antrea_rules(s), s),
    "stream": lambda _: published(21.0, "infrabuilder"),
}

CENTRAL = COMMON | {
    "openflow_rules": _central_rules,
    "logical_flows": _central_rows,
    "node_memory": lambda s: (
        _vswitchd(_central_rules(s), s) + _central_rules(s).times(law.CONTROLLER_BYTES) + OVN_IDLE
    ),
    "central_memory": lambda s: _central_rows(s).times(law.ROW_BYTES).without_end(),
    "central_cpu": lambda s: _northd(_central_rows(s), s),
    "restart": lambda s: _installed(_central_rules(s), s),
    "stream": lambda _: published(11.1, "infrabuilder"),
}

ZONES = CENTRAL | {
    "openflow_rules": _zone_rules,
    "logical_flows": _zone_rows,
    "watchers": lambda s: exact(s.nodes),
    "watch_cpu": lambda s: s.laws.watch_cpu * (2 * s.pods_per_s * s.nodes),
    "node_memory": lambda s: (
        _vswitchd(_zone_rules(s), s) + _zone_rules(s).times(law.CONTROLLER_BYTES) + OVN_IDLE
    ),
    "central_memory": lambda _: NOTHING,
    "central_cpu": lambda s: _northd(_zone_rows(s), s).without_end(),
    "restart": lambda s: _installed(_zone_rules(s), s),
}

KUBERNETES_CEILING = Ceiling(
    what="nodes that SIG Scalability tests Kubernetes with",
    form=lambda s: exact(s.nodes),
    limit=5_000,
    kind="tested",
    source="kubernetes",
)

MEGAFLOW_CEILING = Ceiling(
    what="flows of a datapath",
    form=lambda s: exact(s.connections),
    limit=MOST_MEGAFLOWS,
    kind="setting",
    source="megaflows",
    remedy="other_config:flow-limit",
)

CENTRAL_CEILING = Ceiling(
    what="nodes on one pair of OVN databases that OpenShift tested",
    form=lambda s: exact(s.nodes),
    limit=500,
    kind="tested",
    source="ovn-central",
    remedy="a zone for each node",
)

ZONES_CEILING = Ceiling(
    what="nodes with a zone each that OpenShift tested",
    form=lambda s: exact(s.nodes),
    limit=2_000,
    kind="tested",
    source="ovn-zones",
)

VXLAN_CEILINGS = (
    Ceiling(
        what="datapaths (a switch a node, and a router) in OVN's VXLAN",
        form=lambda s: exact(s.nodes + 1),
        limit=4_095,
        kind="hard",
        source="ovn-vxlan",
        remedy="Geneve",
    ),
    Ceiling(
        what="ports of a switch in OVN's VXLAN",
        form=lambda s: exact(s.pods_per_node + 1),
        limit=2_047,
        kind="hard",
        source="ovn-vxlan",
        remedy="Geneve",
    ),
)
"""Of OVN where the fabric lets only VXLAN pass; a port of a switch is its router's."""

GENEVE = Encapsulation(name="geneve", bytes=58)
"""``ovn-mtu``."""

VXLAN = Encapsulation(name="vxlan", bytes=50)

NO_TENANCY = "all pods share one address space (antrea-pipeline)"

NO_DPDK = "pods are on the kernel's network"

NO_OFFLOAD = "it leaves flows to the CPU; there is a design with offload"

UNKNOWN = (
    "CPU of the agents and controllers of each node",
    "rules of policies beside the members of their sets",
)

_flows = functools.partial(
    Design, plane="ovs", routing="controller", encapsulation=VXLAN, forms=BY_CONTROLLER
)

_ovn = functools.partial(Design, plane="ovn", routing="ovn", encapsulation=GENEVE)

_ZONE_UNKNOWN = (
    *UNKNOWN,
    "rules for each remote zone: between 1 and the 165 of a switch in the same",
)

DESIGNS = (
    _flows(
        name="ovs-vxlan",
        title="Open vSwitch, VXLAN from every node to every node, flows by a controller on each",
        lacks={"tenancy": NO_TENANCY, "offload": NO_OFFLOAD, "userspace": NO_DPDK},
        ceilings=(KUBERNETES_CEILING, MEGAFLOW_CEILING),
        unknown=UNKNOWN,
    ),
    _flows(
        name="ovs-offload",
        title="Open vSwitch, VXLAN, flows by a controller on each node and in its NIC",
        lacks={"tenancy": NO_TENANCY, "userspace": NO_DPDK},
        ceilings=(KUBERNETES_CEILING, MEGAFLOW_CEILING),
        needs_offload=True,
        unknown=(*UNKNOWN, "throughput in the NIC, and how many flows it holds"),
    ),
    _flows(
        name="ovs-dpdk",
        title="Open vSwitch with DPDK, VXLAN, pods on vhost-user",
        lacks={"tenancy": NO_TENANCY, "offload": NO_OFFLOAD},
        forms={key: form for key, form in BY_CONTROLLER.items() if key != "stream"},
        ceilings=(KUBERNETES_CEILING, MEGAFLOW_CEILING),
        unknown=(*UNKNOWN, "throughput, and the cores that its PMD threads take"),
    ),
    _ovn(
        name="ovn-central",
        title="OVN with one pair of databases",
        lacks={"offload": NO_OFFLOAD, "userspace": NO_DPDK},
        forms=CENTRAL,
        ceilings=(KUBERNETES_CEILING, CENTRAL_CEILING, MEGAFLOW_CEILING),
        unknown=(*UNKNOWN, "what the southbound database costs for each chassis that reads it"),
    ),
    _ovn(
        name="ovn-zones",
        title="OVN with a zone and databases for each node, joined by ovn-ic",
        lacks={"offload": NO_OFFLOAD, "userspace": NO_DPDK},
        forms=ZONES,
        ceilings=(KUBERNETES_CEILING, ZONES_CEILING, MEGAFLOW_CEILING),
        unknown=_ZONE_UNKNOWN,
    ),
    _ovn(
        name="ovn-offload",
        title="OVN with a zone for each node, flows in its NIC",
        lacks={"userspace": NO_DPDK},
        forms={key: form for key, form in ZONES.items() if key != "stream"},
        ceilings=(KUBERNETES_CEILING, ZONES_CEILING, MEGAFLOW_CEILING),
        needs_offload=True,
        unknown=(*_ZONE_UNKNOWN, "throughput in the NIC, and how many flows it holds"),
    ),
)
