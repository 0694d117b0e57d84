"""Nodes of OVN: what each does to join, and what fills the databases that they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from virtboost.net import law
from virtboost.net.emit import ovn
from virtboost.net.emit.layout import Layout
from virtboost.net.emulate import flows
from virtboost.net.emulate.flows import AWAIT_DATABASE, Site, ends, pod_mac, underlay
from virtboost.net.emulate.speaker import BRIDGE_MAC, DATASTORE, Speaker
from virtboost.net.figure import Figure, exact

SWITCHES_A_CALL = 20
"""Switches whose pods are added in one transaction."""

AWAIT_PORTS = "until test -e ports; do sleep 0.02; done"
"""Where ovn-controller 23.03.1 starts before ``system-id`` is set, it crashes."""

CAUGHT_UP = 1
"""Number of the northbound database's state with all pods in it: the first that is waited for."""


def speakers(layout: Layout, sites: Sequence[Site]) -> Iterator[Speaker]:
    """Yield the nodes, in the order of their switches."""
    for place, own in enumerate(sites):
        yield Speaker(
            address=own.address,
            reflector=False,
            blocks=(str(own.subnet),),
            daemon="ovn",
            config=_join(layout, place, own),
            ends=tuple(ends(layout, own)),
        )


def name(place: int) -> str:
    """Return the name of a node, which its switch has too."""
    return f"node-{place + 1}"


def central(layout: Layout, sites: Sequence[Site]) -> str:
    """Return the script that makes switches, as emitted, and pods, and waits for all of these."""
    made: list[str] = []
    awaited: list[str] = []
    numbered = list(enumerate(sites))
    for first in range(0, len(sites), SWITCHES_A_CALL):
        pods = [
            (place, number, address)
            for place, own in numbered[first : first + SWITCHES_A_CALL]
            for number, address in enumerate(own.pods(layout.scale.pods_per_node))
        ]
        made.append(_transaction([call for pod in pods for call in _pod(*pod)]))
        awaited.append(_transaction([_up(place, number) for place, number, _ in pods]))
    lines = (ovn.northbound(layout), *made, *awaited, "ovn-nbctl --wait=sb sync")
    return "\n".join(lines) + "\n"


def expected(layout: Layout) -> dict[str, Figure]:
    """Return the closed forms at this size.

    Over VXLAN, each tunnel has a rule more than over Geneve (seen at 4 and 7 nodes, OVN 23.03.1).
    """
    forms, scale = layout.design.forms, layout.scale
    rules = forms["openflow_rules"](scale).value
    if layout.network.fabric.tunnel == "vxlan":
        rules += scale.nodes - 1
    return {
        "tunnels_per_node": forms["tunnels_per_node"](scale),
        "logical_flows": exact(forms["logical_flows"](scale).value),
        "openflow_rules": exact(rules),
        "megaflows": exact(flows.FLOWS_A_PEER * (scale.nodes - 1)),
        "switch_memory": law.switch_memory(rules),
        "controller_memory": law.controller_memory(rules),
    }


def _join(layout: Layout, place: int, own: Site) -> str:
    """Return the script: the emitted one, with the datapath of user space, and ports.

    It ends when ovn-controller has every pod's rules in the switch.
    """
    lines = [
        AWAIT_DATABASE,
        ovn.node(layout),
        "ovs-vsctl --no-wait set Open_vSwitch . external_ids:ovn-bridge-datapath-type=netdev",
        *underlay(layout, own),
        "ethtool -K br-phy tx off >/dev/null",
        f"ip route replace {DATASTORE} dev br-phy",
        f"ip neigh replace {DATASTORE} lladdr {BRIDGE_MAC} dev br-phy nud permanent",
        "ovs-vsctl --may-exist add-br br-int \\",
        "    -- set Bridge br-int datapath_type=netdev fail_mode=secure \\",
        " \\\n".join(_ports(layout, place)),
        ": >ports",
        f"ovs-vsctl wait-until Bridge br-int external_ids:ovn-nb-cfg={CAUGHT_UP}",
    ]
    return "\n".join(lines) + "\n"


def _ports(layout: Layout, place: int) -> Iterator[str]:
    """Yield the ports of pods; those of pods without a namespace lead nowhere."""
    real = min(flows.ENDS, layout.scale.pods_per_node)
    for number in range(layout.scale.pods_per_node):
        device, kind = (f"e{number}", "system") if number < real else (f"d{number}", "dummy")
        yield (
            f"    -- --may-exist add-port br-int {device} -- set Interface {device} "
            f"type={kind} external_ids:iface-id={port(place, number)}"
        )


def _pod(place: int, number: int, address: IPv4Address) -> Iterator[str]:
    yield f"lsp-add {name(place)} {port(place, number)}"
    yield f'lsp-set-addresses {port(place, number)} "{pod_mac(address)} {address}"'


def _up(place: int, number: int) -> str:
    return f"wait-until Logical_Switch_Port {port(place, number)} up=true"


def port(place: int, number: int) -> str:
    """Return the name of a pod's port of a node's switch."""
    return f"{name(place)}-pod-{number}"


def _transaction(calls: Sequence[str]) -> str:
    return "ovn-nbctl " + " \\\n    -- ".join(calls)
