"""Commands that fill OVN's databases and join a node to them.

Source: ovn-nbctl(8), ovn-nb(5), ovn-ic-nbctl(8), ovn-controller(8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from itertools import chain, islice

from virtboost.net.addressing import SUBNET6, address_plan
from virtboost.net.emit.layout import Layout
from virtboost.net.emit.ovs import settings

SWITCHES_A_CALL = 50
"""Switches of one transaction: northd computes after each, and a command line has an end."""


def node(layout: Layout) -> str:
    """Return the shell script of one node, which takes its name and its address."""
    kind = "vxlan" if layout.network.fabric.tunnel == "vxlan" else "geneve"
    lines = ["#!/bin/sh", "# Usage: sh node.sh NODE ADDRESS", "set -eu", *settings(layout)]
    remote, more = "unix:/var/run/ovn/ovnsb_db.sock", " external_ids:ovn-is-interconn=true"
    if not zoned(layout):
        lines.append(': "${CENTRAL:?address of the southbound database}"')
        remote, more = "tcp:$CENTRAL:6642", ""
    lines += [
        'ovs-vsctl --no-wait set Open_vSwitch . external_ids:system-id="$1" \\',
        f'    external_ids:ovn-encap-type={kind} external_ids:ovn-encap-ip="$2" \\',
        f'    external_ids:ovn-remote="{remote}"{more}',
    ]
    return "\n".join(lines) + "\n"


def zoned(layout: Layout) -> bool:
    """Tell whether each node has databases of its own."""
    return layout.design.name != "ovn-central"


def subnets(layout: Layout) -> Iterator[tuple[IPv4Network | IPv6Network, ...]]:
    """Yield the subnets of each node, of IPv4 and perhaps IPv6, in the order of the pools."""
    network = layout.network
    four = _cut(network.addresses.pod_networks(), address_plan(layout.design, network).prefix)
    if layout.ipv6 is None:
        return zip(islice(four, layout.scale.nodes))
    six = _cut(layout.ipv6.pod_networks(), SUBNET6)
    return islice(zip(four, six, strict=False), layout.scale.nodes)


def _cut(
    pools: Iterable[IPv4Network | IPv6Network], prefix: int
) -> Iterator[IPv4Network | IPv6Network]:
    fit = (pool for pool in pools if pool.prefixlen <= prefix)
    return chain.from_iterable(pool.subnets(new_prefix=prefix) for pool in fit)


def northbound(layout: Layout) -> str:
    """Return the shell script that fills the northbound database: a switch for each node."""
    calls = [
        tuple(_switch(f"node-{number}", _mac(number), *_words(own)))
        for number, own in enumerate(subnets(layout), 1)
    ]
    lines = [
        "#!/bin/sh",
        "# A switch for each node, node-1, node-2, ..., and the router that joins them.",
        "set -eu",
        "ovn-nbctl --may-exist lr-add cluster",
    ]
    for first in range(0, len(calls), SWITCHES_A_CALL):
        batch = calls[first : first + SWITCHES_A_CALL]
        lines.append(_transaction(chain.from_iterable(batch)))
    return "\n".join(lines) + "\n"


def transit() -> str:
    """Return the shell script that makes the switch between zones, once."""
    return "#!/bin/sh\nset -eu\novn-ic-nbctl --may-exist ts-add transit\n"


def zone(layout: Layout) -> str:
    """Return the shell script of one zone, which takes the node's name, number and subnets.

    Run it where the zone's northbound database is, when ovn-ic has made the transit switch there.
    """
    six = layout.ipv6 is not None
    own = ('"$3"', '"$4"', *(('"$5"', '"$6"') if six else ()))
    joins = '"$join" "$join6"' if six else '"$join"'
    lines = (
        "#!/bin/sh",
        f"# Usage: sh zone.sh NODE NUMBER {_USAGE6 if six else _USAGE}; the lines of zones.txt",
        "set -eu",
        'octets=$(printf "%02x:%02x" $(($2 >> 8)) $(($2 & 255)))',
        'join="100.88.$(($2 >> 8)).$(($2 & 255))/16"',
        *(('join6="fd97::$(printf "%x" "$2")/64"',) if six else ()),
        _transaction(
            (
                'set NB_Global . name="$1" options:ic-route-adv=true options:ic-route-learn=true',
                "--may-exist lr-add cluster",
                *_switch('"$1"', '"0a:58:00:00:$octets"', *own),
                f'--may-exist lrp-add cluster "cluster-transit-$1" "0a:58:00:01:$octets" {joins}',
                'lrp-set-gateway-chassis "cluster-transit-$1" "$1"',
                '--may-exist lsp-add transit "transit-$1"',
                'lsp-set-type "transit-$1" router',
                'lsp-set-addresses "transit-$1" router',
                'lsp-set-options "transit-$1" router-port="cluster-transit-$1"',
            )
        ),
    )
    return "\n".join(lines) + "\n"


_USAGE = "GATEWAY/PREFIX SUBNET"

_USAGE6 = "GATEWAY/PREFIX SUBNET GATEWAY6/64 PREFIX6"


def zones(layout: Layout) -> str:
    """Return the arguments of ``zone.sh`` for each node, one in a line."""
    return "".join(
        f"node-{number} {number} {' '.join(_words(own))}\n"
        for number, own in enumerate(subnets(layout), 1)
    )


def _words(own: Iterable[IPv4Network | IPv6Network]) -> Iterator[str]:
    """Yield the gateway and the subnet of a switch; of IPv6, the prefix without its length.

    Source: ovn-nb(5), ``other_config:ipv6_prefix``.
    """
    for subnet in own:
        yield _gateway(subnet)
        yield str(subnet) if subnet.version == 4 else str(subnet.network_address)


def _switch(name: str, mac: str, *words: str) -> Iterator[str]:
    """Yield the calls that make a node's switch and join it to the router.

    Args:
        name: Of the switch.
        mac: Of the router's port.
        words: Gateway and subnet; with IPv6 that gateway and prefix too.
    """
    yield f"--may-exist ls-add {name}"
    for key, subnet in zip(("subnet", "ipv6_prefix"), words[1::2], strict=False):
        yield f"set Logical_Switch {name} other_config:{key}={subnet}"
    yield f"--may-exist lrp-add cluster cluster-{name} {mac} {' '.join(words[::2])}"
    yield f"--may-exist lsp-add {name} {name}-cluster"
    yield f"lsp-set-type {name}-cluster router"
    yield f"lsp-set-addresses {name}-cluster router"
    yield f"lsp-set-options {name}-cluster router-port=cluster-{name}"


def _transaction(calls: Iterable[str]) -> str:
    return "ovn-nbctl " + " \\\n    -- ".join(calls)


def _mac(number: int) -> str:
    return f"0a:58:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def _gateway(subnet: IPv4Network | IPv6Network) -> str:
    return f"{subnet.network_address + 1}/{subnet.prefixlen}"
