"""The order in which a running network becomes the planned one, without pods out of reach."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from virtboost.net.design import Design


class Step(Struct, frozen=True, kw_only=True):
    """One step; the next waits for its check."""

    do: str
    check: str
    """What must hold before the next."""
    back: str
    """How to take it back."""


def steps(now: Design, wanted: Design) -> tuple[Step, ...]:
    """Return the steps from one design to another; none where they are the same."""
    if now.name == wanted.name:
        return ()
    if now.plane != wanted.plane or now.plane != "calico":
        return _beside(wanted)
    return (*_sessions(now, wanted), *_tunnels(now, wanted))


def _beside(wanted: Design) -> tuple[Step, ...]:
    """Return the steps to another plane: a cluster's CNI cannot be changed (``cni-change``)."""
    return (
        Step(
            do=f"build a second cluster with {wanted.title}, pods and services in other CIDRs",
            check="its pods reach each other on every pair of racks, with the planned MTU",
            back="remove the second cluster",
        ),
        Step(
            do="move workloads one by one, their entry points last",
            check="each serves from the second cluster before the first one's copy ends",
            back="send its entry point to the first cluster again",
        ),
    )


_BGP = ("mesh", "reflectors", "groups", "tor")


def _sessions(now: Design, wanted: Design) -> Iterator[Step]:
    if now.routing == wanted.routing:
        return
    if wanted.routing in _BGP:
        yield from _new_sessions(wanted)
    if wanted.routing == "mesh":
        yield Step(
            do="set nodeToNodeMeshEnabled: true",
            check="calicoctl node status: every node of the mesh is Established, on every node",
            back="set nodeToNodeMeshEnabled: false",
        )
    if now.routing in _BGP and wanted.routing in _BGP:
        yield _old_sessions(now)


def _new_sessions(wanted: Design) -> Iterator[Step]:
    if wanted.routing in ("reflectors", "groups"):
        yield Step(
            do="drain and taint the reflectors' nodes, then set routeReflectorClusterID and the "
            "label of each, one after the other",
            check="each is Established with the other reflectors",
            back="remove routeReflectorClusterID, label and taint",
        )
    if wanted.routing in ("reflectors", "groups", "tor"):
        yield Step(
            do="apply the BGPPeers; what runs stays on beside them (mesh-off)",
            check="calicoctl node status: every node is Established with all its new peers, and "
            "has a route for each block from them",
            back="delete the BGPPeers",
        )


def _old_sessions(now: Design) -> Step:
    if now.routing == "mesh":
        return Step(
            do="set nodeToNodeMeshEnabled: false, last",
            check="as many routes to pods on every node as before",
            back="set nodeToNodeMeshEnabled: true",
        )
    return Step(
        do="delete the BGPPeers of before, one selector at a time, then the old reflectors' labels",
        check="as many routes to pods on every node as before",
        back="apply them again",
    )


def _tunnels(now: Design, wanted: Design) -> Iterator[Step]:
    before, after = now.encapsulation, wanted.encapsulation
    if after.bytes > before.bytes:
        yield Step(
            do="lower the MTU of pods to the planned one and restart pods, node by node",
            check="ping -M do with full packets between pods of every pair of racks",
            back="raise it again",
        )
    if before != after:
        yield Step(
            do="change ipipMode and vxlanMode of the IPPool to the planned ones; packets between "
            "nodes that differ are lost for the seconds that Felix takes: in a maintenance window",
            check="pods of every pair of racks reach each other",
            back="set the modes of before",
        )
    if now.routing in _BGP and wanted.routing == "datastore":
        yield Step(
            do="set nodeToNodeMeshEnabled: false and delete the BGPPeers, last",
            check="as many routes to pods on every node as before, none of them of BIRD (proto 12)",
            back="apply them again",
        )
    if after.bytes < before.bytes:
        yield Step(
            do="raise the MTU of pods to the planned one and restart pods, node by node",
            check="ping -M do with full packets between pods of every pair of racks",
            back="lower it again",
        )
