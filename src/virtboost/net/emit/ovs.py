"""Commands that prepare the Open vSwitch of a node whose controller programs the flows.

Source: ovs-vsctl(8), ovs-vswitchd.conf.db(5).
"""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.net.emit.layout import Layout
from virtboost.net.ovs import MOST_MEGAFLOWS


def node(layout: Layout) -> str:
    """Return the shell script of one node, which takes the node's address.

    One tunnel port serves all: flows set the remote end and the key.
    """
    datapath = "netdev" if layout.design.name == "ovs-dpdk" else "system"
    lines = [
        "#!/bin/sh",
        "# Usage: sh node.sh ADDRESS",
        "set -eu",
        *settings(layout),
        "ovs-vsctl --may-exist add-br br-int \\",
        f"    -- set Bridge br-int datapath_type={datapath} fail_mode=secure \\",
        f"    -- set Interface br-int mtu_request={layout.mtu.pod_bytes} \\",
        "    -- --may-exist add-port br-int vxlan0 \\",
        "    -- set Interface vxlan0 type=vxlan options:remote_ip=flow options:key=flow \\",
        '    options:local_ip="$1"',
    ]
    if datapath == "netdev":
        lines.insert(3, "ovs-vsctl --no-wait set Open_vSwitch . other_config:dpdk-init=true")
    return "\n".join(lines) + "\n"


def settings(layout: Layout) -> Iterator[str]:
    """Yield the commands that set the switch itself."""
    if layout.design.needs_offload:
        yield "ovs-vsctl --no-wait set Open_vSwitch . other_config:hw-offload=true"
    connections = layout.network.traffic.connections
    if connections > MOST_MEGAFLOWS:
        yield f"ovs-vsctl --no-wait set Open_vSwitch . other_config:flow-limit={2 * connections}"
