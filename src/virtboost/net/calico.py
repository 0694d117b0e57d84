"""Calico's designs: BGP meshes, reflectors and top-of-rack switches; IPIP and VXLAN."""

from __future__ import annotations

import functools
import math

from msgspec import Struct

from virtboost.net import ebpf, law
from virtboost.net.datastore import store_writes
from virtboost.net.description import Want
from virtboost.net.design import Ceiling, Design, Encapsulation, Form
from virtboost.net.figure import NOTHING, Figure, exact, published
from virtboost.net.policy import POLICIES
from virtboost.net.scale import Scale

GROUP_NODES = 300
"""Nodes that share a pair of reflectors; with 500 the first attempts of BGP still succeed
(``bird-ladder``), which leaves room for a group that fails to another's reflectors."""

PAIR = 2
"""Reflectors of a group, top-of-rack switches of a node: one may fail (``mirantis``)."""

TOP = 3
"""Reflectors above the groups' reflectors, where these are too many for a mesh."""

MESH_NODES = 100
"""``calico-mesh``."""

TYPHA_LIMIT = 408
"""``typha-limit``."""


class Reflection(Struct, frozen=True, kw_only=True):
    """Reflectors by groups of whole racks."""

    groups: int
    top: int
    """Reflectors above; 0: the groups' reflectors are a mesh."""
    clients: int
    """Most clients of a group's reflector."""

    @property
    def reflectors(self) -> int:
        """Reflectors of the groups."""
        return PAIR * self.groups


def reflection(scale: Scale) -> Reflection:
    """Return how reflectors are grouped: as many whole racks as have 300 nodes, or parts of one."""
    racks = GROUP_NODES * scale.racks // scale.nodes
    whole = racks >= 1
    groups = math.ceil(scale.racks / racks) if whole else math.ceil(scale.nodes / GROUP_NODES)
    top = TOP if PAIR * groups > MESH_NODES else 0
    clients = math.ceil((scale.nodes - PAIR * groups - top) / groups)
    return Reflection(groups=groups, top=top, clients=max(clients, 0))


def flat_reflectors(scale: Scale) -> int:
    """Return how many reflectors serve all nodes: one in each of three racks, or two."""
    return 3 if scale.racks >= 3 else PAIR


def typhas(scale: Scale) -> int:
    """Return the Typhas of the operator (``typha-scale``), three at least above three nodes.

    Felix and confd of each node connect to one (``typha-two``).
    """
    return scale.nodes if scale.nodes <= 3 else max(3, scale.nodes // 200 + 2)


def _grouped_sessions(scale: Scale) -> Figure:
    found = reflection(scale)
    clients = scale.nodes - found.reflectors - found.top
    above = found.reflectors * found.top or math.comb(found.reflectors, 2)
    return exact(clients * PAIR + above + math.comb(found.top, 2))


def _reflector_peers(scale: Scale) -> int:
    found = reflection(scale)
    group = found.clients + (found.top or found.reflectors - 1)
    return max(group, found.reflectors + found.top - 1 if found.top else 0)


def _reflector_paths(scale: Scale) -> float:
    """Return the paths of a group's reflector: its clients' once, all others' from each above."""
    found = reflection(scale)
    own = (found.clients + PAIR) * scale.blocks_per_node
    return own + (found.top or PAIR) * max(0, scale.routes - own)


def _grouped_messages(scale: Scale) -> Figure:
    """Return the updates of a new block: up to its pair, across, and down to all other clients."""
    found = reflection(scale)
    clients = scale.nodes - found.reflectors - found.top
    others = found.reflectors - 1
    across = PAIR * others
    if found.top:
        across = PAIR * found.top + found.top * others + found.top * (found.top - 1)
    return exact(PAIR + across + PAIR * (clients - 1))


def _paths(scale: Scale, peers: int) -> int:
    """Return the paths of a node: its own once, all others' from each of its peers."""
    return scale.blocks_per_node + peers * (scale.routes - scale.blocks_per_node)


def _memory(scale: Scale, peers: int, paths: float) -> Figure:
    """Return the memory of a BIRD; the paths of a node's blocks have the same attributes."""
    return scale.laws.bird_memory(peers, paths, paths / scale.blocks_per_node)


def _reflecting(scale: Scale, peers: int) -> Figure:
    """Return the CPU seconds of a reflector that starts, for sessions and routes to all of them."""
    return scale.laws.reflect_cpu * (peers * scale.routes) + scale.laws.session_cpu(peers)


def _scans(scale: Scale) -> Figure:
    return law.SCAN_CPU * (scale.routes / law.SCAN_S)


def _added_paths(scale: Scale) -> Figure:
    """Return the paths of a client of the largest group where reflectors send all that they hold.

    Calico's own BIRD does (``calico-add-paths``).  A block of another group comes from each of its
    reflectors, by each above, to each of the client's own.
    """
    found = reflection(scale)
    ways = found.top or 1
    others = scale.nodes - found.reflectors - found.top - found.clients
    own = 1 + PAIR * (found.clients - 1) + PAIR * (1 + ways)
    above = PAIR * found.top * found.top + PAIR * ways * (found.reflectors - PAIR)
    return exact(scale.blocks_per_node * (own + PAIR * PAIR * ways * others + above))


def _kernel(scale: Scale) -> Figure:
    return law.kernel_memory(scale.routes)


IDLE = published(350e6, "infrabuilder")
"""Bytes of an idle node above a bare one: with kubelet and container runtime."""


def _learning(scale: Scale, peers: int) -> Figure:
    """Return how long a restarted node takes to have every route, from each of its peers."""
    return law.sessions_up(peers) + scale.laws.deliver_cpu(peers * scale.routes)


COMMON: dict[str, Form] = POLICIES | {
    "fib_routes": lambda s: exact(s.routes),
    "neighbours": lambda s: exact(s.nodes - 1 + s.pods_per_node),
    "flood_copies": lambda _: NOTHING,
    "proxy_rules": lambda s: published(8, "kube-proxy") * s.services,
    "typhas": lambda s: exact(typhas(s)),
    "typha_connections": lambda s: exact(math.ceil(2 * s.nodes / typhas(s))),
    "watchers": lambda s: exact(typhas(s)),
    "watch_cpu": lambda s: s.laws.watch_cpu * (2 * s.pods_per_s * typhas(s)),
    "stream": lambda _: published(19.7, "infrabuilder"),
    "bpf_fill": ebpf.fill,
    "store_writes": store_writes,
}
"""Of every design of Calico; a pod that starts and one that ends are an event each."""

MESH = COMMON | {
    "sessions": lambda s: exact(math.comb(s.nodes, 2)),
    "sessions_per_node": lambda s: exact(s.nodes - 1),
    "rib_paths": lambda s: exact(s.routes),
    "next_hops": lambda _: exact(1),
    "join_messages": lambda s: exact(s.nodes - 1),
    "node_memory": lambda s: _memory(s, s.nodes - 1, s.routes) + _kernel(s) + IDLE,
    "node_cpu": _scans,
    "central_memory": lambda _: NOTHING,
    "central_cpu": lambda _: NOTHING,
    "restart": lambda s: law.sessions_up(s.nodes - 1) + s.laws.deliver_cpu(s.routes),
}

FLAT = COMMON | {
    "sessions": lambda s: exact(
        flat_reflectors(s) * (s.nodes - flat_reflectors(s)) + math.comb(flat_reflectors(s), 2)
    ),
    "sessions_per_node": lambda s: exact(flat_reflectors(s)),
    "reflectors": lambda s: exact(flat_reflectors(s)),
    "sessions_per_reflector": lambda s: exact(s.nodes - 1),
    "rib_paths": lambda s: exact(_paths(s, flat_reflectors(s))),
    "next_hops": lambda s: exact(flat_reflectors(s)),
    "join_messages": lambda s: exact(flat_reflectors(s) * (s.nodes - 1)),
    "node_memory": lambda s: (
        _memory(s, flat_reflectors(s), _paths(s, flat_reflectors(s))) + _kernel(s) + IDLE
    ),
    "node_cpu": _scans,
    "central_memory": lambda s: _memory(s, s.nodes - 1, s.routes),
    "central_cpu": lambda s: _reflecting(s, s.nodes - 1),
    "restart": lambda s: _learning(s, flat_reflectors(s)),
}

GROUPED = COMMON | {
    "sessions": _grouped_sessions,
    "sessions_per_node": lambda _: exact(PAIR),
    "reflectors": lambda s: exact(reflection(s).reflectors + reflection(s).top),
    "sessions_per_reflector": lambda s: exact(_reflector_peers(s)),
    "rib_paths": lambda s: exact(_paths(s, PAIR)),
    "added_paths": _added_paths,
    "next_hops": lambda _: exact(PAIR),
    "join_messages": _grouped_messages,
    "node_memory": lambda s: _memory(s, PAIR, _paths(s, PAIR)) + _kernel(s) + IDLE,
    "node_cpu": _scans,
    "central_memory": lambda s: _memory(s, _reflector_peers(s), _reflector_paths(s)),
    "central_cpu": lambda s: (
        s.laws.reflect_cpu * (_reflector_peers(s) * s.routes)
        + s.laws.session_cpu(_reflector_peers(s))
    ),
    "restart": lambda s: _learning(s, PAIR),
}

TO_SWITCHES = COMMON | {
    "sessions": lambda s: exact(PAIR * s.nodes),
    "sessions_per_node": lambda _: exact(PAIR),
    "rib_paths": lambda s: exact(_paths(s, PAIR)),
    "next_hops": lambda _: exact(PAIR),
    "node_memory": lambda s: _memory(s, PAIR, _paths(s, PAIR)) + _kernel(s) + IDLE,
    "node_cpu": _scans,
    "central_memory": lambda _: NOTHING,
    "central_cpu": lambda _: NOTHING,
    "restart": lambda s: _learning(s, PAIR),
}

WITHOUT_BGP = COMMON | {
    "tunnels_per_node": lambda s: exact(s.nodes - 1),
    "fdb_entries": lambda s: exact(s.nodes - 1),
    "neighbours": lambda s: exact(2 * (s.nodes - 1) + s.pods_per_node),
    "node_memory": lambda s: law.kernel_memory(s.routes, s.nodes - 1) + IDLE,
    "node_cpu": lambda _: NOTHING.without_end(),
    "central_cpu": lambda _: NOTHING.without_end(),
    "restart": lambda s: (law.REMOTE_S * s.routes).without_end(),
}


def _tunnels(scale: Scale) -> Figure:
    return exact(scale.nodes - 1)


TESTED_CEILING = Ceiling(
    what="nodes that Tigera tested with reflectors, and Kubernetes at all",
    form=lambda s: exact(s.nodes),
    limit=5_000,
    kind="tested",
    source="calico-mesh",
)


def _neighbour_ceiling(forms: dict[str, Form]) -> Ceiling:
    return Ceiling(
        what="neighbour entries that Linux keeps unless told",
        form=forms["neighbours"],
        limit=1_024,
        kind="setting",
        source="neighbours",
        remedy="net.ipv4.neigh.default.gc_thresh3",
    )


COMMON_CEILINGS = (TESTED_CEILING, _neighbour_ceiling(COMMON), *ebpf.CEILINGS)


def _reflector_ceiling(forms: dict[str, Form], remedy: str) -> Ceiling:
    return Ceiling(
        what="sessions of a reflector that come up at once",
        form=forms["sessions_per_reflector"],
        limit=500,
        kind="hard",
        source="bird-ladder",
        remedy=remedy,
    )


FLAT_CEILING = _reflector_ceiling(FLAT, "reflectors by groups of racks")

GROUPED_CEILING = _reflector_ceiling(GROUPED, "a third level, or several clusters")

LACKS: dict[Want, str] = {
    "tenancy": "all pods are in one routed network (calico-overlay)",
    "multicast": "Calico forwards no multicast (calico-multicast)",
    "offload": "its flows are routes and rules of the kernel, which no NIC takes as flows",
    "userspace": "pods are on the kernel's network",
}

UNKNOWN = (
    "CPU of Felix and Typha, and their memory beyond that of an idle node",
    "rules of policies beside the members of their sets",
)

_calico = functools.partial(Design, plane="calico", lacks=LACKS, unknown=UNKNOWN)

_routed = functools.partial(_calico, encapsulation=Encapsulation(name="none"))

_tunnelled = functools.partial(
    _calico, lacks=LACKS | {"ipv6": "IPIP carries IPv4 only (calico-overlay)"}
)

_WHEN = (("", "always"), ("-cross", "between subnets"))

MESH_CEILING = Ceiling(
    what="nodes in a mesh, as its makers advise",
    form=lambda s: exact(s.nodes),
    limit=MESH_NODES,
    kind="hard",
    source="calico-mesh",
    remedy="route reflectors",
)

DESIGNS = (
    _routed(
        name="calico-mesh",
        title="Calico, BGP from every node to every node",
        routing="mesh",
        forms=MESH,
        ceilings=(MESH_CEILING, *COMMON_CEILINGS),
    ),
    _routed(
        name="calico-reflectors",
        title="Calico, BGP to two or three route reflectors",
        routing="reflectors",
        forms=FLAT,
        ceilings=(FLAT_CEILING, *COMMON_CEILINGS),
        least_nodes=4,
    ),
    _routed(
        name="calico-rack-reflectors",
        title="Calico, BGP to a pair of route reflectors for each group of racks",
        routing="groups",
        forms=GROUPED,
        ceilings=(GROUPED_CEILING, *COMMON_CEILINGS),
        least_nodes=4,
    ),
    _routed(
        name="calico-tor",
        title="Calico, BGP to the rack's two switches",
        routing="tor",
        forms=TO_SWITCHES,
        ceilings=COMMON_CEILINGS,
        unknown=(*UNKNOWN, "what the switches' BGP costs, and how many routes they hold"),
    ),
    *(
        _tunnelled(
            name=f"calico-mesh-ipip{suffix}",
            title=f"Calico, IPIP {when}, BGP from every node to every node",
            routing="mesh",
            encapsulation=Encapsulation(name="ipip", bytes=20, always=not suffix),
            forms=MESH | {"tunnels_per_node": _tunnels},
            ceilings=(MESH_CEILING, *COMMON_CEILINGS),
        )
        for suffix, when in _WHEN
    ),
    *(
        _tunnelled(
            name=f"calico-ipip{suffix}",
            title=f"Calico, IPIP {when}, BGP to reflectors for each group of racks",
            routing="groups",
            encapsulation=Encapsulation(name="ipip", bytes=20, always=not suffix),
            forms=GROUPED | {"tunnels_per_node": _tunnels},
            ceilings=(GROUPED_CEILING, *COMMON_CEILINGS),
            least_nodes=4,
        )
        for suffix, when in _WHEN
    ),
    *(
        _calico(
            name=f"calico-vxlan{suffix}",
            title=f"Calico, VXLAN {when}, no BGP",
            routing="datastore",
            encapsulation=Encapsulation(name="vxlan", bytes=50, always=not suffix),
            forms=WITHOUT_BGP,
            ceilings=(TESTED_CEILING, _neighbour_ceiling(WITHOUT_BGP), *ebpf.CEILINGS),
            unknown=(
                *UNKNOWN,
                "how long Felix takes to read all nodes, and its work in the place of BIRD",
            ),
        )
        for suffix, when in _WHEN
    ),
)
