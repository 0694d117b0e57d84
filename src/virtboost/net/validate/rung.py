"""Rungs of ladders: one real daemon against load of a size that no machine runs whole."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import Literal

from msgspec import Struct

from virtboost.net.calico import DESIGNS
from virtboost.net.description import Addresses, Fabric, Network, NodeGroup
from virtboost.net.design import Design
from virtboost.net.emit import bird
from virtboost.net.emit.layout import Layout, Reflector, cluster_id
from virtboost.net.mtu import mtu
from virtboost.net.scale import scale_of

Role = Literal["node", "reflector"]

NODES, PODS = IPv4Network("172.16.0.0/16"), IPv4Network("10.0.0.0/8")

BLOCK = 26


class SpeakerRung(Struct, frozen=True, kw_only=True, tag="speaker"):
    """A BIRD with synthetic peers."""

    role: Role
    """Of a mesh's node, which installs routes, or of a reflector, which sends them on."""
    peers: int
    blocks: int = 1
    """That each peer announces, in one message."""


class RuleRung(Struct, frozen=True, kw_only=True, tag="rules"):
    """An ovs-vswitchd that gets rules in one bundle."""

    rules: int


class WatchRung(Struct, frozen=True, kw_only=True, tag="watch"):
    """An etcd with watchers of one prefix."""

    watchers: int
    events: int


class LogicalRung(Struct, frozen=True, kw_only=True, tag="logical"):
    """OVN's databases, and one node of those that are in them."""

    nodes: int
    ports: int
    """Of each node's switch, for pods."""


Rung = SpeakerRung | RuleRung | WatchRung | LogicalRung


class SpeakerRun(Struct, frozen=True, kw_only=True, tag="speaker"):
    """What a BIRD with synthetic peers took until it had told and installed all."""

    rung: SpeakerRung
    up_s: float
    """From its start until the last session was up."""
    done_s: float
    cpu_s: float
    memory_bytes: float
    """Its own: no pages of files."""
    routes_sent: int
    messages_sent: int
    """With routes, to all peers."""
    routes_installed: int


class RuleRun(Struct, frozen=True, kw_only=True, tag="rules"):
    """What an ovs-vswitchd took for its rules."""

    rung: RuleRung
    seconds: float
    cpu_s: float
    memory_bytes: float
    """More than before."""


class WatchRun(Struct, frozen=True, kw_only=True, tag="watch"):
    """What an etcd took to tell its watchers."""

    rung: WatchRung
    seconds: float
    cpu_s: float


class LogicalRun(Struct, frozen=True, kw_only=True, tag="logical"):
    """What OVN made of its databases, and what another port took."""

    rung: LogicalRung
    rows: int
    """Of logical flows."""
    rules: int
    """Of the real node."""
    seconds: float
    """From a port in the northbound database to its flows in the southbound one."""
    cpu_s: float
    """Of northd for it."""


Run = SpeakerRun | RuleRun | WatchRun | LogicalRun


def speaker_address() -> IPv4Address:
    """Return the address of the speaker under test: the first, so that peers connect to it."""
    return NODES[1]


def peer_address(place: int) -> IPv4Address:
    """Return the address of a peer, from 0."""
    return NODES[place + 2]


def peer_blocks(rung: SpeakerRung) -> list[tuple[IPv4Network, ...]]:
    """Return the blocks that each peer announces; the first of all is the speaker's own."""
    blocks = islice(PODS.subnets(new_prefix=BLOCK), 1, None)
    return [tuple(islice(blocks, rung.blocks)) for _ in range(rung.peers)]


def own_block() -> IPv4Network:
    """Return the block of the speaker, where it is a node."""
    return next(PODS.subnets(new_prefix=BLOCK))


def routes_expected(rung: SpeakerRung) -> int:
    """Return how many routes the speaker tells its peers of: its own, or all but each one's own."""
    if rung.role == "node":
        return rung.peers
    return rung.peers * (rung.peers - 1) * rung.blocks


def configuration(rung: SpeakerRung) -> str:
    """Return the speaker's configuration, as a plan has it but for the timers."""
    layout, own = _layout(rung), str(speaker_address())
    if rung.role == "reflector":
        return bird.reflector(
            layout, Reflector(address=own, cluster_id=cluster_id(1), group=0, peers=())
        )
    addresses = (own, *(str(peer_address(place)) for place in range(rung.peers)))
    claimed = bird.own_file(own, (str(own_block()),))
    return bird.mesh(layout, own, addresses).replace('include "own.conf";', claimed)


def network(nodes: int, pods_per_node: int = 30) -> Network:
    """Return a network that has room for all of a rung."""
    return Network(
        nodes=(NodeGroup(count=nodes),),
        pods_per_node=pods_per_node,
        fabric=Fabric(kind="l2"),
        addresses=Addresses(
            pods=(str(PODS),), nodes=str(NODES), services="192.168.0.0/24", block=BLOCK
        ),
    )


def _layout(rung: SpeakerRung) -> Layout:
    described = network(rung.peers + 1)
    design = _design("calico-mesh" if rung.role == "node" else "calico-reflectors")
    scale = scale_of(described)
    return Layout(
        design=design, network=described, scale=scale, mtu=mtu(design, described), detection=None
    )


def _design(name: str) -> Design:
    return next(each for each in DESIGNS if each.name == name)
