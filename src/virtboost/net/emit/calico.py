"""Calico's resources for a plan, and the commands that label nodes for them.

Source: CRDs of projectcalico/calico (``libcalico-go/config/crd``) and docs.tigera.io, BGP peering.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from virtboost.net.calico import PAIR, reflection, typhas
from virtboost.net.emit.layout import Layout, cluster_id, families
from virtboost.net.mtu import overhead_bytes

REFLECTOR, TOP, GROUP, RACK = "route-reflector", "top-reflector", "bgp-group", "rack"
"""Labels of nodes."""

_MODES = {True: "Always", False: "CrossSubnet"}


def resources(layout: Layout) -> str:
    """Return the resources as YAML, for ``calicoctl apply -f``."""
    found = [*_pools(layout), *_bgp(layout), *_peers(layout), *_felix(layout)]
    return yaml.safe_dump_all(found, sort_keys=False)


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def _pools(layout: Layout) -> Iterator[dict[str, Any]]:
    wrapped = layout.design.encapsulation
    modes = {name: "Never" for name in ("ipip", "vxlan")}
    if wrapped.name in modes:
        modes[wrapped.name] = _MODES[wrapped.always]
    for family in families(layout):
        for number, cidr in enumerate(family.pods, 1):
            yield _resource(
                "IPPool",
                f"pods-{family.suffix and 'v6-'}{number}",
                {
                    "cidr": cidr,
                    "blockSize": family.block,
                    "ipipMode": modes["ipip"],
                    "vxlanMode": modes["vxlan"],
                    "natOutgoing": True,
                    "nodeSelector": "all()",
                },
            )


def _bgp(layout: Layout) -> Iterator[dict[str, Any]]:
    if layout.design.routing == "datastore":
        return
    spec: dict[str, Any] = {
        "asNumber": layout.network.as_number,
        "nodeToNodeMeshEnabled": layout.design.routing == "mesh",
    }
    yield _resource("BGPConfiguration", "default", spec)


def _peers(layout: Layout) -> Iterator[dict[str, Any]]:
    if layout.design.routing == "reflectors":
        yield _peering("clients", f"!has({REFLECTOR})", f"has({REFLECTOR})")
        yield _peering("reflectors", f"has({REFLECTOR})", f"has({REFLECTOR})")
    elif layout.design.routing == "groups":
        yield from _group_peers(layout)
    elif layout.design.routing == "tor":
        yield from _switch_peers(layout)


def _peering(name: str, nodes: str, peers: str) -> dict[str, Any]:
    return _resource("BGPPeer", name, {"nodeSelector": nodes, "peerSelector": peers})


def _group_peers(layout: Layout) -> Iterator[dict[str, Any]]:
    found = reflection(layout.scale)
    for group in range(1, found.groups + 1):
        here = f"{GROUP} == '{group}'"
        yield _peering(
            f"group-{group}",
            f"{here} && !has({REFLECTOR})",
            f"{here} && has({REFLECTOR})",
        )
    if not found.top:
        yield _peering("reflectors", f"has({REFLECTOR})", f"has({REFLECTOR})")
        return
    yield _peering("up", f"has({REFLECTOR})", f"has({TOP})")
    yield _peering("top", f"has({TOP})", f"has({TOP})")


def _switch_peers(layout: Layout) -> Iterator[dict[str, Any]]:
    """Yield a peer for each switch and family of addresses."""
    yield from _switches(layout, layout.network.addresses.fabric, "")
    if layout.ipv6 is not None:
        yield from _switches(layout, layout.ipv6.fabric, "v6-")


def _switches(layout: Layout, addresses: tuple[str, ...], family: str) -> Iterator[dict[str, Any]]:
    """Yield a peer for each switch: the same addresses in every rack, or a pair for each."""
    by_rack = len(addresses) == PAIR * layout.scale.racks and layout.scale.racks > 1
    for place, address in enumerate(addresses):
        rack, number = divmod(place, PAIR)
        spec: dict[str, Any] = {
            "peerIP": address,
            "asNumber": layout.network.fabric_as_number,
        }
        if by_rack:
            spec = {"nodeSelector": f"{RACK} == '{rack + 1}'", **spec}
        name = f"rack-{rack + 1}-{number + 1}" if by_rack else f"switch-{place + 1}"
        yield _resource("BGPPeer", f"{family}{name}", spec)


def _felix(layout: Layout) -> Iterator[dict[str, Any]]:
    spec: dict[str, Any] = {}
    kind, wants = layout.design.encapsulation.name, layout.network.wants
    underlay, over_ipv6 = layout.mtu.underlay_bytes, layout.network.fabric.ipv6_underlay
    for suffix, six in (("", over_ipv6), ("V6", True)) if layout.ipv6 else (("", over_ipv6),):
        left = underlay - overhead_bytes(layout.design, layout.network, ipv6=six)
        if kind != "none":
            spec[f"{kind}MTU{suffix}"] = left
        if "encryption" in wants:
            spec |= {f"wireguardEnabled{suffix}": True, f"wireguardMTU{suffix}": left}
    if layout.ipv6:
        spec["ipv6Support"] = True
    if spec:
        yield _resource("FelixConfiguration", "default", spec)


def commands(layout: Layout) -> str:
    """Return a shell script that sets what is no resource: labels, Typhas, MTU, neighbours."""
    return "\n".join(_script(layout)) + "\n"


def _script(layout: Layout) -> Iterator[str]:
    entries = 4 * int(layout.design.forms["neighbours"](layout.scale).value)
    yield "#!/bin/sh"
    yield "# What is no resource of Calico.  Usage: sh commands.sh WORD [ARGUMENT]..."
    yield "set -eu"
    yield 'case "${1:-}" in'
    yield "typha)  # replicas, where no operator sets them"
    count = typhas(layout.scale)
    yield f"    kubectl -n kube-system scale deployment calico-typha --replicas={count} ;;"
    yield "mtu)  # of pods, where an operator installed Calico; those that run keep theirs"
    yield "    kubectl patch installation.operator.tigera.io default --type merge --patch \\"
    yield f'        \'{{"spec":{{"calicoNetwork":{{"mtu":{layout.mtu.pod_bytes}}}}}}}\' ;;'
    yield "neighbours)  # on every node: room for four times the entries planned"
    for family in families(layout):
        end = " ;;" if family == families(layout)[-1] else ""
        kernel = family.channel
        yield f"    sysctl -w net.{kernel}.neigh.default.gc_thresh3={max(1024, entries)}{end}"
    if layout.ipv6 is not None:
        yield "ipv6)  # where no operator installed Calico"
        yield "    kubectl -n kube-system set env daemonset/calico-node IP6=autodetect \\"
        yield "        FELIX_IPV6SUPPORT=true ;;"
    if layout.design.routing == "datastore":
        yield "bgp)  # off, where an operator installed Calico; last, when packets go by VXLAN"
        yield "    kubectl patch installation.operator.tigera.io default --type merge --patch \\"
        yield '        \'{"spec":{"calicoNetwork":{"bgp":"Disabled"}}}\' ;;'
    yield from _label_words(layout)
    yield "*)"
    yield '    echo "commands.sh: which? see the words in this file" >&2'
    yield "    exit 2 ;;"
    yield "esac"


def _label_words(layout: Layout) -> Iterator[str]:
    if layout.design.routing in ("reflectors", "groups"):
        yield f"reflector)  # NODE GROUP: one of {PAIR} for each group, in racks that fail apart"
        yield "    group=${3:-1}"
        yield '    cluster="244.0.$((group >> 8)).$((group & 255))"'
        yield '    calicoctl patch node "$2" --patch \\'
        yield '        "{\\"spec\\":{\\"bgp\\":{\\"routeReflectorClusterID\\":\\"$cluster\\"}}}"'
        yield f'    kubectl label --overwrite node "$2" {REFLECTOR}=true {GROUP}="$group" ;;'
    if layout.design.routing == "groups":
        found = reflection(layout.scale)
        yield f"node)  # NODE GROUP: every other node, in groups 1 to {found.groups} of whole racks"
        yield f'    kubectl label --overwrite node "$2" {GROUP}="$3" ;;'
        if found.top:
            yield f"top)  # NODE: one of {found.top} above the groups"
            yield '    calicoctl patch node "$2" --patch \\'
            above = cluster_id(found.groups + 1)
            yield f'        \'{{"spec":{{"bgp":{{"routeReflectorClusterID":"{above}"}}}}}}\''
            yield f'    kubectl label --overwrite node "$2" {TOP}=true ;;'
    if layout.design.routing == "tor":
        racks = layout.scale.racks
        yield f"node)  # NODE RACK: racks 1 to {racks}, where each has switches of its own"
        yield f'    kubectl label --overwrite node "$2" {RACK}="$3" ;;'
