"""What an emulation runs: speakers with their configuration, and what the plan expects of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from itertools import chain
from typing import Literal, get_args

from msgspec import Struct, structs

from virtboost.errors import InputError
from virtboost.net import failure
from virtboost.net.addressing import address_plan
from virtboost.net.description import Churn, Limits, Network, NodeGroup, Policies, Services
from virtboost.net.design import Design
from virtboost.net.emit import bird, frr
from virtboost.net.emit.layout import Layout, Reflector, reflectors, reflectors_wanted
from virtboost.net.emulate import chassis, fabric, flows, vxlan
from virtboost.net.emulate.site import site
from virtboost.net.emulate.speaker import Role, Software, Speaker, node_mac
from virtboost.net.failure import Detection
from virtboost.net.figure import NOTHING, Figure, exact
from virtboost.net.mtu import mtu
from virtboost.net.plan import DESIGNS, plan
from virtboost.net.scale import scale_of

WITHOUT_BGP = ("calico-vxlan", "ovs-vxlan", "ovn-central")
"""Designs without BGP that can be run: all nodes are in one subnet, and Open vSwitch's offload and
DPDK need their hardware."""

BY_BGP = tuple(
    name
    for name, design in DESIGNS.items()
    if design.routing in ("mesh", "reflectors", "groups") and design.encapsulation.name == "none"
)
"""Designs of BGP between nodes that can be run, without tunnels: stock BIRD lacks Calico's patch
for IPIP."""

TO_SWITCHES = "calico-tor"

RUNNABLE = (*BY_BGP, TO_SWITCHES, *WITHOUT_BGP)
"""Designs that can be run."""

DEFAULT_NODES = 20

MOST_NODES = 1_023
"""Ports of a bridge (``BR_MAX_PORTS``, ``net/bridge/br_private.h``), without 0."""

Fault = Literal["kill", "cut", "freeze", "reflector", "switch", "switch-cut", "switch-freeze"]
"""A node's daemon is killed and starts again; a node's link is cut; a node's daemon stands still; a
reflector's daemon is killed and starts again; the same three of a rack's switch."""


class Scene(Struct, frozen=True, kw_only=True):
    """A network to run."""

    design: str
    described_nodes: int
    """Of the description; as many as there are speakers are run."""
    mtu: int
    pod_mtu: int
    """Of containers, and of their links."""
    prefix: int
    """Length of the nodes' network."""
    pools: tuple[str, ...]
    speakers: tuple[Speaker, ...]
    """Reflectors first."""
    expected: dict[str, Figure]
    """By key of ``outcome.TITLES``."""
    noticed: Figure | None
    """Seconds until a dead node's routes are gone, by the planned timers; None: nobody looks."""
    restart_loss: Figure
    """Seconds that pods are out of reach while their node's daemon restarts."""
    faults: tuple[Fault, ...]
    starting_s: float = 0
    """How long daemons say that they are starting, which nobody else may do gracefully meanwhile:
    faults come later."""
    central: str = ""
    """Shell script that fills the databases that all nodes share."""
    patience_s: float = 300
    """How long routes may take to be everywhere."""
    stalled_s: float = 90
    """How long nothing may happen meanwhile, and until sessions and paths are as expected after
    it: longer than BIRD waits after an error as planned (``error wait time``)."""


def scene(
    network: Network,
    *,
    nodes: int | None,
    design: str | None,
    faults: tuple[Fault, ...],
    by_frr: Collection[Role] = (),
    detection: Detection | None = None,
) -> Scene:
    """Return what to run of a description: the recommended design, or another, with fewer nodes.

    Timers are those that are planned for the whole network, if no others are given.  Those
    ``by_frr`` are FRR's, the others BIRD's.

    Raises:
        InputError: The design cannot be run, or not with so many nodes.
    """
    chosen = runnable(network, design)
    small = smaller(network, min(DEFAULT_NODES, network.node_count) if nodes is None else nodes)
    if chosen.name == TO_SWITCHES:
        small = fabric.racked(small, network)
    if small.node_count < chosen.least_nodes or small.node_count < 2:
        raise InputError(f"--nodes: {chosen.name} needs {max(2, chosen.least_nodes)} at least")
    if detection is None:
        ways = failure.detections(chosen, network, scale_of(network))
        detection = next((each for each in ways if each.chosen), None)
    layout = Layout(
        design=chosen,
        network=small,
        scale=scale_of(small),
        mtu=mtu(chosen, small),
        detection=detection,
    )
    of_switches = [each for each in faults if each.startswith("switch")]
    if of_switches and chosen.name != TO_SWITCHES:
        raise InputError(f"--fault {of_switches[0]}: {chosen.name} has none")
    if "reflector" in faults and not reflectors_wanted(layout):
        raise InputError(f"--fault reflector: {chosen.name} has none")
    software = _software(layout, by_frr)
    if layout.detection is None:
        return _overlay(layout, network.node_count, faults)
    if chosen.name == TO_SWITCHES:
        return _racks(layout, network.node_count, faults, software)
    return _by_bgp(layout, network.node_count, faults, software)


def _software(layout: Layout, by_frr: Collection[Role]) -> dict[Role, Software]:
    """Return which daemons speak BGP."""
    there = {
        "nodes": layout.detection is not None,
        "reflectors": reflectors_wanted(layout) > 0,
        "switches": layout.design.name == TO_SWITCHES,
    }
    for role in by_frr:
        if not there[role]:
            raise InputError(f"--frr {role}: {layout.design.name} has none that speak BGP")
    reflected = (
        layout.detection is not None and there["reflectors"] and layout.detection.by == "bfd"
    )
    if reflected and len({"nodes", "reflectors"} & {*by_frr}) == 1:
        raise InputError(
            "--frr: nodes and reflectors need the same daemon for the planned BFD: within a subnet "
            "FRR's is of one hop, BIRD's of many"
        )
    return {role: "frr" if role in by_frr else "bird" for role in get_args(Role)}


def runnable(network: Network, name: str | None, designs: tuple[str, ...] = RUNNABLE) -> Design:
    """Return one of some designs by its name, or the recommended one.

    Raises:
        InputError: It cannot be run.
    """
    if name is None:
        found = plan(network).recommendation
        name = "no design" if found is None else found.design
        if name not in designs:
            raise InputError(
                f"{name} is recommended, and cannot be run; give --design: {', '.join(designs)}"
            )
    if name not in designs:
        raise InputError(f"--design {name}: can be run: {', '.join(designs)}")
    return DESIGNS[name]


def smaller(network: Network, nodes: int) -> Network:
    """Return the network with fewer nodes in as many racks in proportion, without what BGP is not.

    Addresses of reflectors are given anew: their number follows the racks.

    Raises:
        InputError: There are not so many, or a bridge cannot hold them.
    """
    whole = network.node_count
    if not 1 <= nodes <= min(whole, MOST_NODES):
        most = f"the {whole} that are described" if whole <= MOST_NODES else f"{MOST_NODES}"
        raise InputError(f"--nodes: from 1 to {most}")
    racks = min(nodes, max(1, math.ceil(network.rack_count * nodes / whole)))
    group = NodeGroup(count=nodes, racks=racks, mtu=network.mtu)
    return structs.replace(
        network,
        nodes=(group,),
        addresses=structs.replace(network.addresses, reflectors=(), fabric=()),
        services=Services(),
        policies=Policies(),
        limits=Limits(),
        churn=Churn(pods_per_s=network.churn.pods_per_s * nodes / whole),
    )


def _scene(
    layout: Layout,
    described: int,
    faults: tuple[Fault, ...],
    speakers: Iterable[Speaker],
    expected: dict[str, Figure],
) -> Scene:
    """Return a scene in the network of nodes that is described."""
    detection, acting = layout.detection, tuple(speakers)
    graceful = detection is not None and detection.graceful_restart
    by_frr = any(speaker.daemon == "frr" for speaker in acting)
    return Scene(
        design=layout.design.name,
        described_nodes=described,
        mtu=layout.network.mtu,
        pod_mtu=layout.mtu.pod_bytes,
        prefix=layout.network.addresses.node_network().prefixlen,
        pools=layout.network.addresses.pods,
        speakers=acting,
        expected=expected,
        noticed=None if detection is None else detection.blackhole,
        restart_loss=_restart_loss(layout),
        faults=faults,
        starting_s=failure.RESTART_TIME_S if graceful and by_frr else 0,
    )


def _restart_loss(layout: Layout) -> Figure:
    """Return what a restart costs; nothing, where the kernel goes on by routes that stay."""
    detection = layout.detection
    stays = layout.design.plane == "calico" if detection is None else detection.graceful_restart
    return NOTHING if stays else layout.design.forms["restart"](layout.scale)


def _by_bgp(
    layout: Layout, described: int, faults: tuple[Fault, ...], software: Mapping[Role, Software]
) -> Scene:
    """Return a scene of a mesh, or of reflectors and their clients."""
    wanted, addresses = reflectors_wanted(layout), _addresses(layout)
    named = structs.replace(layout.network.addresses, reflectors=addresses[:wanted])
    layout = structs.replace(layout, network=structs.replace(layout.network, addresses=named))
    found = reflectors(layout)
    speakers = (
        *(_reflector(layout, own, software["reflectors"]) for own in found),
        *_nodes(layout, addresses[wanted:], found, software["nodes"]),
    )
    return _scene(layout, described, faults, speakers, _expected(layout, wanted, software))


def _racks(
    layout: Layout, described: int, faults: tuple[Fault, ...], software: Mapping[Role, Software]
) -> Scene:
    """Return a scene of racks with switches, and a fabric between them."""
    speakers = fabric.speakers(layout, _blocks(layout.network), software)
    expected = _expected(layout, 0, software) | fabric.expected(layout, software["switches"])
    found = _scene(layout, described, faults, speakers, expected)
    return structs.replace(found, prefix=fabric.prefix(layout))


def _addresses(layout: Layout) -> tuple[str, ...]:
    """Return the addresses of all nodes, by place."""
    first = int(layout.network.addresses.node_network().network_address) + 1
    return tuple(str(IPv4Address(first + place)) for place in range(layout.scale.nodes))


def _overlay(layout: Layout, described: int, faults: tuple[Fault, ...]) -> Scene:
    """Return a scene of tunnels; that a node is dead is told by none to another."""
    addresses = _addresses(layout)
    if layout.design.plane == "calico":
        carried = vxlan.speakers(layout, addresses, _blocks(layout.network))
        return _scene(layout, described, faults, carried, vxlan.expected(layout))
    _require_subnets(layout)
    macs = [node_mac(place) for place in range(layout.scale.nodes)]
    sites = flows.sites(layout, addresses, macs)
    kind = chassis if layout.design.plane == "ovn" else flows
    speakers, expected = kind.speakers(layout, sites), kind.expected(layout)
    found = _scene(layout, described, faults, speakers, expected)
    if kind is chassis:
        return structs.replace(found, central=chassis.central(layout, sites))
    return found


def _require_subnets(layout: Layout) -> None:
    """Refuse where blocks are small enough for the pools, and a node's one subnet is not."""
    found = address_plan(layout.design, layout.network)
    if found.capacity < layout.scale.nodes:
        raise InputError(
            f"addresses.pods: room for {found.capacity} subnets of /{found.prefix}, and "
            f"{layout.scale.nodes} nodes are to be run: fewer with --nodes"
        )


def _reflector(layout: Layout, own: Reflector, software: Software) -> Speaker:
    config = (frr if software == "frr" else bird).reflector(layout, own)
    return Speaker(address=own.address, reflector=True, blocks=(), daemon=software, config=config)


def _nodes(
    layout: Layout, addresses: tuple[str, ...], found: tuple[Reflector, ...], software: Software
) -> Iterator[Speaker]:
    """Yield the nodes; those of groups take turns, so that groups are as large as each other."""
    blocks, emit = _blocks(layout.network), frr if software == "frr" else bird
    groups = sorted({own.group for own in found if own.group or not own.clients})
    for place, address in enumerate(addresses):
        if groups:
            group = groups[place % len(groups)]
            config = emit.node(layout, tuple(own for own in found if own.group == group))
        else:
            config = emit.mesh(layout, address, addresses)
        yield site(software, layout, address, blocks, config)


def _blocks(network: Network) -> Iterator[str]:
    length = network.addresses.block
    pools = network.addresses.pod_networks()
    return map(str, chain.from_iterable(pool.subnets(new_prefix=length) for pool in pools))


def _expected(
    layout: Layout, reflecting: int, software: Mapping[Role, Software]
) -> dict[str, Figure]:
    """Return the closed forms at this size, without blocks of reflectors, which have no pods.

    Memory has a law for BIRD only.
    """
    forms, scale = layout.design.forms, layout.scale
    missing = reflecting * scale.blocks_per_node
    copies = forms["next_hops"](scale).value
    paths = forms["rib_paths"](scale).value - copies * missing
    sessions = forms["sessions_per_node"](scale).value
    found = {
        "sessions": forms["sessions"](scale),
        "sessions_per_node": forms["sessions_per_node"](scale),
        "rib_paths": exact(paths),
        "fib_routes": exact(forms["fib_routes"](scale).value - missing),
    }
    if software["nodes"] == "bird":
        memory = scale.laws.bird_memory(sessions, paths, paths / scale.blocks_per_node)
        found["bird_memory"] = memory
    if reflecting:
        found["sessions_per_reflector"] = forms["sessions_per_reflector"](scale)
    if reflecting and software["reflectors"] == "bird":
        clients, held = forms["sessions_per_reflector"](scale).value, scale.routes - missing
        memory = scale.laws.bird_memory(clients, held, held / scale.blocks_per_node)
        found["reflector_memory"] = memory
    return found
