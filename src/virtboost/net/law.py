"""What daemons and the kernel cost, as measured: each law with its range and its error."""

from __future__ import annotations

import math
from itertools import pairwise

from msgspec import structs

from virtboost.net.figure import Figure, measured

BIRD_PEERS = 149
"""Most peers of the fitted runs."""

BIRD_PATHS = 1_500
"""Most paths of the fitted runs."""

FIT_ERROR = 0.051
"""Of the law fitted to 60 nodes, at 150."""

FEW_PEERS, FEW_ERROR = 19, 0.18
"""Below so many peers what daemons share of their memory makes the fit worse: 1,299 kB, not 1,105,
with nine."""

LADDER = ((200, 2.1, 0.06), (500, 2.1, 0.18), (1_000, 56.0, 1.83), (2_000, 120.0, 12.0))
"""Peers of one BIRD, seconds until all were up, CPU seconds; of 2,000 peers 1,890 were up then."""

FIELD_RESTART_S, FIELD_PEERS = 240, 799
"""A node's mesh in a real cluster (``calico-restart``), where the ladder has 20 s."""

ROUTE_CPU = measured(23.5e-6, 20e-6, 27e-6, "bird-mesh")
"""CPU seconds for each route delivered to a peer: both ends, the kernel's table too."""

REFLECT_CPU = measured(10e-6, 0, 27e-6, "bird-reflector").elsewhere()
"""The reflector's share of it, which was not told apart: an estimate, between nothing and all."""

SCAN_CPU = measured(0.85e-6, 0.7e-6, 1.0e-6, "bird-scan")
"""CPU seconds for each route of each scan of the kernel's table."""

SCAN_S = 2
"""Calico's BIRD scans the kernel's table so often."""

BFD_CPU = measured(100e-6, 70e-6, 130e-6, "bird-failure")
"""CPU seconds for each BFD packet sent, with its receipt at the other end."""

REMOTE_S = measured(66e-6, 66e-6, 66e-6, "kernel-routes")
"""Seconds to add a remote node of a VXLAN: a route 34, an FDB entry 18, a neighbour 14 us."""

ROUTE_BYTES = measured(132, 132, 132, "kernel-routes")

FDB_BYTES = measured(200, 200, 200, "kernel-routes")

RULE_BYTES = measured(1_340, 1_000, 1_340, "ovs-rules")
"""Of each OpenFlow rule, in ovs-vswitchd."""

SWITCH_BYTES = 17_600_000
"""Of ovs-vswitchd without rules: 31 MB with 10,000 and 286 MB with 200,000 (``ovs-rules``)."""

CONTROLLER_IDLE_BYTES = 8_200_000
"""Of ovn-controller without rules: 15 MB with 2,346, 80 MB with 24,846 (``ovn-fit``)."""

CONTROLLER_BYTES = measured(2_900, 2_900, 2_900, "ovn-fit")
"""Of each OpenFlow rule, in ovn-controller."""

RULE_S = measured(1 / 60_000, 1 / 62_500, 1 / 45_454, "ovs-rules")
"""Seconds to install a rule, in a bundle: 200,000 in 3.2 s, 10,000 in 0.22 s."""

RULES_MEASURED = 200_000

UPCALL_CPU = measured(58e-6, 24e-6, 93e-6, "ovs-upcall").elsewhere()
"""CPU seconds for the first packet of a flow; the middle of what the userspace datapath needed."""

NORTHD_ROW_CPU = measured(27.5e-6, 20e-6, 35e-6, "ovn-northd")
"""CPU seconds of northd for each row of logical flows, when it computes all anew."""

NORTHD_ROWS = 11_000

ROW_BYTES = measured(490, 490, 490, "ovn-fit")
"""Of each row of logical flows, in the southbound database's file."""

WATCH_CPU = measured(141e-6, 0, 142e-6, "etcd-watch")
"""CPU seconds of etcd for each event given to a watcher by its JSON gateway; by gRPC it is less."""

OVN_SWITCHES, OVN_PORTS = 100, 2_000
"""Largest size at which the counts of OVN were found exact."""


def bird_memory(peers: float, paths: float) -> Figure:
    """Return the bytes of a BIRD: 908 + 21.8 peers + 0.10 paths, in kB."""
    value = (908 + 21.8 * peers + 0.10 * paths) * 1000
    error = FEW_ERROR if peers < FEW_PEERS else FIT_ERROR
    fitted = measured(value, value * (1 - error), value * (1 + error), "bird-mesh")
    return fitted.stretched(max(peers / BIRD_PEERS, paths / BIRD_PATHS))


def reflector_memory(clients: float, paths: float) -> Figure:
    """Return the bytes of a BIRD that reflects: a quarter more, for what it sends to clients."""
    larger = bird_memory(clients, paths) * 1.25
    return structs.replace(larger, sources=(*larger.sources, "bird-reflector"))


def switch_memory(rules: float) -> Figure:
    """Return the bytes of an ovs-vswitchd; on one machine many share what is not for rules."""
    return _on_top_of(SWITCH_BYTES, RULE_BYTES * rules)


def controller_memory(rules: float) -> Figure:
    """Return the bytes of an ovn-controller; on one machine many share what is not for rules."""
    return _on_top_of(CONTROLLER_IDLE_BYTES, CONTROLLER_BYTES * rules)


def _on_top_of(idle_bytes: float, found: Figure) -> Figure:
    most = found.value + idle_bytes
    return structs.replace(found, value=most, low=found.low, high=most)


def deliver_cpu(routes: float) -> Figure:
    """Return the CPU seconds of delivering routes to peers."""
    return (ROUTE_CPU * routes).stretched(routes / (BIRD_PEERS * BIRD_PATHS))


def sessions_up(peers: int) -> Figure:
    """Return the seconds until a BIRD that starts has its sessions.

    To 500 peers BIRD's first attempt succeeds; beyond, attempts fail and wait.
    """
    if peers <= LADDER[0][0]:
        return measured(2.1, 1.5, 3.8, "bird-mesh", "bird-ladder")
    value = _on_ladder(peers, 1)
    if peers <= LADDER[1][0]:
        return measured(value, value, 3.8, "bird-ladder")
    field = FIELD_RESTART_S * peers / FIELD_PEERS
    found = measured(value, value, max(value, field), "bird-ladder", "calico-restart")
    return found if peers <= LADDER[2][0] else found.stretched(peers / LADDER[2][0]).without_end()


def session_cpu(peers: int) -> Figure:
    """Return the CPU seconds of one BIRD that brings its sessions up."""
    value = _on_ladder(peers, 2) if peers > LADDER[0][0] else LADDER[0][2] / LADDER[0][0] * peers
    return measured(value, value, value, "bird-ladder").stretched(peers / LADDER[-1][0])


def _on_ladder(peers: int, column: int) -> float:
    """Return a column of the ladder between and beyond its rungs, as a power of the peers."""
    rungs = list(pairwise(LADDER))
    below, above = next((pair for pair in rungs if peers <= pair[1][0]), rungs[-1])
    power = math.log(above[column] / below[column]) / math.log(above[0] / below[0])
    return float(below[column] * (peers / below[0]) ** power)
