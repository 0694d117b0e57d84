"""Nodes of Open vSwitch whose controller programs the flows: what a node's controller does.

Rules are as many as in Antrea's pipeline (``antrea-pipeline``), and do the same: who a packet is
from, whether it may be, where it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from msgspec import Struct

from virtboost.net import law
from virtboost.net.emit import ovn, ovs
from virtboost.net.emit.layout import Layout
from virtboost.net.emulate.speaker import End, Speaker
from virtboost.net.figure import Figure, exact

ENDS = 2
"""Pods of a node that have a namespace and a port; all have rules."""

FIRST_PORT = 16
"""Of the pods; the tunnel's is below."""

FIXED_RULES = 2
"""Of a node, whatever its size: packets from tunnels, and ARP for its own gateway."""

FLOWS_A_PEER = 3
"""Megaflows of a node for each other one, while each sends the other a packet: to its subnet, from
its address, out of its tunnel."""

AWAIT_DATABASE = "until test -S db.sock; do sleep 0.02; done"
"""As ovs-ctl does it: who asks too early asks again after a second only."""

BEYOND_GATEWAY = "aa:bb:cc:dd:ee:ff"
"""The MAC address that packets have in tunnels, as in Antrea's."""


class Site(Struct, frozen=True, kw_only=True):
    """A node as its controller and the others' know it."""

    address: str
    mac: str
    subnet: IPv4Network

    @property
    def gateway(self) -> IPv4Address:
        """The address that its pods send to what is elsewhere."""
        return self.subnet[1]

    def pods(self, count: int) -> Iterator[IPv4Address]:
        """Yield the addresses of its pods."""
        return (self.subnet[2 + number] for number in range(count))


def speakers(layout: Layout, sites: Sequence[Site]) -> Iterator[Speaker]:
    """Yield the nodes with what their controllers do."""
    for own in sites:
        others = [site for site in sites if site is not own]
        yield Speaker(
            address=own.address,
            reflector=False,
            blocks=(str(own.subnet),),
            daemon="ovs",
            config=_controller(layout, own, others),
            ends=tuple(ends(layout, own)),
        )


def sites(layout: Layout, addresses: Sequence[str], macs: Sequence[str]) -> tuple[Site, ...]:
    """Return the nodes, each with a subnet."""
    return tuple(
        Site(address=address, mac=mac, subnet=IPv4Network(str(own[0])))
        for address, mac, own in zip(addresses, macs, ovn.subnets(layout), strict=True)
    )


def expected(layout: Layout) -> dict[str, Figure]:
    """Return the closed forms at this size; nothing is learned where rules say all."""
    forms, scale = layout.design.forms, layout.scale
    rules = forms["openflow_rules"](scale).value + FIXED_RULES
    return {
        "tunnels_per_node": forms["tunnels_per_node"](scale),
        "openflow_rules": exact(rules),
        "megaflows": exact(FLOWS_A_PEER * (scale.nodes - 1)),
        "learned_addresses": exact(0),
        "switch_memory": law.switch_memory(rules),
    }


def ends(layout: Layout, own: Site) -> Iterator[End]:
    """Yield the pods of a node that have namespaces."""
    for address in own.pods(min(ENDS, layout.scale.pods_per_node)):
        yield End(
            address=str(address),
            prefix=own.subnet.prefixlen,
            mac=pod_mac(address),
            gateway=str(own.gateway),
        )


def _controller(layout: Layout, own: Site, others: Sequence[Site]) -> str:
    """Return the script: the emitted one with the datapath of user space, ports, rules."""
    emitted = ovs.node(layout).replace("datapath_type=system", "datapath_type=netdev")
    lines = [
        AWAIT_DATABASE,
        emitted,
        *underlay(layout, own),
        "ovs-vsctl \\",
        *_ports(layout, own),
        "ovs-ofctl --bundle add-flows br-int - <<RULES",
        *rules(own, others, [*own.pods(layout.scale.pods_per_node)]),
        "RULES",
    ]
    return "\n".join(lines) + "\n"


def underlay(layout: Layout, own: Site) -> Iterator[str]:
    """Yield the commands that give a switch in user space its way to the fabric.

    Tunnels' packets leave by a bridge that has the node's address (OVS, userspace tunneling).  The
    kernel has them too, and would answer that nobody listens, if the way back were not another.
    ovs-vsctl waits for a daemon that was killed only where it changes something: ``run``.
    """
    yield "ovs-vsctl --may-exist add-br br-phy \\"
    yield f"    -- set Bridge br-phy datapath_type=netdev other_config:hwaddr={own.mac} \\"
    yield "    -- --may-exist add-port br-phy eth0 \\"
    yield "    -- set Open_vSwitch . external_ids:run=$$"
    prefix = layout.network.addresses.node_network().prefixlen
    yield f"ip address replace {own.address}/{prefix} dev br-phy"
    yield "ip link set br-phy up"
    yield "echo 1 >/proc/sys/net/ipv4/conf/eth0/rp_filter"


def _ports(layout: Layout, own: Site) -> Iterator[str]:
    found = [
        f"    -- --may-exist add-port br-int e{number} "
        f"-- set Interface e{number} ofport_request={FIRST_PORT + number}"
        for number, _ in enumerate(ends(layout, own))
    ]
    yield " \\\n".join(found)


def rules(own: Site, others: Sequence[Site], pods: Sequence[IPv4Address]) -> Iterator[str]:
    """Yield the rules of a node, as ovs-ofctl(8) takes them.

    Tables: 0 where from, 1 whether it may be, 2 ARP, 3 where to by address, 4 by MAC address.
    """
    yield "table=0,in_port=vxlan0,ip actions=goto_table:3"
    yield _responder(own.gateway, pod_mac(own.gateway))
    for port, address in enumerate(pods, FIRST_PORT):
        yield from _pod(own, port, address)
    for site in others:
        yield _responder(site.gateway, BEYOND_GATEWAY)
        yield (
            f"table=3,ip,nw_dst={site.subnet} actions=set_field:{pod_mac(own.gateway)}->eth_src,"
            f"set_field:{BEYOND_GATEWAY}->eth_dst,dec_ttl,set_field:{site.address}->tun_dst,"
            "output:vxlan0"
        )


def _pod(own: Site, port: int, address: IPv4Address) -> Iterator[str]:
    mac = pod_mac(address)
    yield f"table=0,in_port={port} actions=goto_table:1"
    yield f"table=1,ip,in_port={port},dl_src={mac},nw_src={address} actions=goto_table:3"
    yield f"table=1,arp,in_port={port},arp_sha={mac},arp_spa={address} actions=goto_table:2"
    yield (
        f"table=3,ip,nw_dst={address} actions=set_field:{pod_mac(own.gateway)}->eth_src,"
        f"set_field:{mac}->eth_dst,dec_ttl,goto_table:4"
    )
    yield f"table=4,dl_dst={mac} actions=output:{port}"


def _responder(address: IPv4Address, mac: str) -> str:
    """Return the rule that answers ARP for a gateway in its place."""
    return (
        f"table=2,arp,arp_op=1,arp_tpa={address} actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
        f"set_field:{mac}->eth_src,set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],"
        f"set_field:{mac}->arp_sha,move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
        f"set_field:{address}->arp_spa,in_port"
    )


def pod_mac(address: IPv4Address) -> str:
    """Return the MAC address of a pod, or of a gateway."""
    return "0a:58:" + ":".join(f"{octet:02x}" for octet in address.packed)
