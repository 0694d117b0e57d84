"""The quantities of a design, and which of them designs are compared by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from virtboost.model.wording import size

Unit = Literal["", "B", "cores", "s", "/s", "%", "times", "Gbit/s"]
"""Of a quantity; a ratio is shown in percent, or as so many times."""


class Quantity(Struct, frozen=True, kw_only=True):
    """What a form of a design says."""

    title: str
    unit: Unit = ""
    machine: bool = False
    """Whether the machine's architecture matters."""


class Metric(Struct, frozen=True, kw_only=True):
    """How designs are compared by a quantity."""

    quantity: str
    negligible: float
    """A difference that nobody minds, in the quantity's unit; keeps zeros comparable."""
    higher: bool = False
    """Whether more is better."""

    @property
    def good(self) -> Callable[..., float]:
        """``min`` or ``max``: the better of values."""
        return max if self.higher else min

    @property
    def bad(self) -> Callable[..., float]:
        """``max`` or ``min``: the worse of values."""
        return min if self.higher else max


QUANTITIES = {
    "sessions": Quantity(title="BGP sessions"),
    "sessions_per_node": Quantity(title="BGP sessions of a node"),
    "reflectors": Quantity(title="route reflectors"),
    "sessions_per_reflector": Quantity(title="BGP sessions of a reflector"),
    "rib_paths": Quantity(title="paths that a node's BIRD holds"),
    "added_paths": Quantity(title="paths that it holds where Calico's own nodes reflect"),
    "fib_routes": Quantity(title="routes to pods in a node's kernel"),
    "next_hops": Quantity(title="paths by which a node knows a route"),
    "join_messages": Quantity(title="BGP messages when one block appears"),
    "tunnels_per_node": Quantity(title="tunnels of a node"),
    "fdb_entries": Quantity(title="forwarding entries of a node's VXLAN device"),
    "neighbours": Quantity(title="neighbour entries of a node"),
    "flood_copies": Quantity(title="copies of a broadcast frame"),
    "set_members": Quantity(title="addresses in a node's sets of policies"),
    "set_updates": Quantity(title="updates of such sets, over all nodes", unit="/s"),
    "proxy_rules": Quantity(title="iptables rules of kube-proxy on a node"),
    "bpf_fill": Quantity(title="fullest map of Calico's eBPF data plane, where it is on", unit="%"),
    "logical_flows": Quantity(title="rows of logical flows in a southbound database"),
    "openflow_rules": Quantity(title="OpenFlow rules of a node"),
    "megaflows": Quantity(title="megaflows of a node"),
    "typhas": Quantity(title="Typha replicas"),
    "typha_connections": Quantity(title="connections of a Typha"),
    "store_writes": Quantity(title="writes to the datastore", unit="/s"),
    "watchers": Quantity(title="watchers of the datastore"),
    "watch_cpu": Quantity(title="CPU of the datastore for watchers", unit="cores", machine=True),
    "node_memory": Quantity(title="memory of a node above a bare one", unit="B", machine=True),
    "node_cpu": Quantity(title="CPU of a node's daemons", unit="cores", machine=True),
    "central_memory": Quantity(
        title="memory of the busiest central daemon", unit="B", machine=True
    ),
    "central_cpu": Quantity(
        title="CPU seconds of the busiest central daemon when all starts", unit="s", machine=True
    ),
    "restart": Quantity(title="a restarted node reaches every pod after", unit="s", machine=True),
    "overhead": Quantity(title="bandwidth that is no payload", unit="%"),
    "stream": Quantity(title="one TCP stream between pods", unit="Gbit/s"),
    "untested": Quantity(title="times the largest that anybody tested", unit="times"),
}
"""By key; a plan lists them in this order."""

METRICS = {
    "node_memory": Metric(quantity="node_memory", negligible=64e6),
    "node_cpu": Metric(quantity="node_cpu", negligible=0.01),
    "central_cpu": Metric(quantity="central_cpu", negligible=1),
    "restart": Metric(quantity="restart", negligible=5),
    "overhead": Metric(quantity="overhead", negligible=0.01),
    "stream": Metric(quantity="stream", negligible=1, higher=True),
    "untested": Metric(quantity="untested", negligible=0.01),
}
"""What the comparison weighs, by the name of the weight in a description."""


def amount(value: float, unit: Unit) -> str:
    """Return a value with its unit, as people read it."""
    if unit == "B":
        return size(round(value))
    if unit == "%":
        return f"{value:.1%}"
    number = f"{value:,.0f}" if value == round(value) else f"{value:,.3g}"
    if abs(value) >= 1_000 and "e" in number:
        number = f"{value:,.0f}"
    return f"{number} {unit}".rstrip()
