"""What daemons and the kernel cost, as measured: each law with its range and its error."""

from __future__ import annotations

import math
from itertools import pairwise

from msgspec import Struct, structs

from virtboost.net.figure import Figure, measured

BIRD_PEERS = 149
"""Most peers of the meshes that CPU seconds come from."""

BIRD_PATHS = 1_500
"""Most paths of them."""

BIRD_BYTES, PEER_BYTES, PATH_BYTES, ORIGIN_BYTES = 770e3, 22.6e3, 85.0, 474.0
"""Of a BIRD's own memory: without peers; for each peer, path, and origin (``bird_memory``)."""

MEMORY_PEERS, MEMORY_PATHS = 2_000, 10_000
"""Most of the runs that this was held against."""

MEMORY_ERROR = 0.065
"""Most by which the law was off: 3.6 % in the 19 runs that it was fitted to, 6.0 % in 8 beyond, of
a reflector of 200 clients with 10 routes each."""

LADDER = ((200, 2.1, 0.06), (500, 2.1, 0.18), (1_000, 56.0, 1.83), (2_000, 120.0, 12.0))
"""Peers of one BIRD, seconds until all were up, CPU seconds; of 2,000 peers 1,890 were up then."""

FIELD_RESTART_S, FIELD_PEERS = 240, 799
"""A node's mesh in a real cluster (``calico-restart``), where the ladder has 20 s."""

ROUTE_CPU = measured(23.5e-6, 20e-6, 27e-6, "bird-mesh")
"""CPU seconds for each route delivered to a peer: both ends, the kernel's table too."""

BEGIN_CPU = measured(2e-3, 0.6e-3, 7e-3, "bird-emulated", "bird-mesh")
"""CPU seconds of a BIRD that starts and has no peers yet."""

SESSION_CPU = measured(0.15e-3, 0.15e-3, 0.7e-3, "bird-emulated", "bird-mesh")
"""CPU seconds of one end of a session that comes up, with up to 150 peers, without its routes."""

SESSION_KNEE = 323
"""Peers beyond which that grows with the square of the peers, so that it is 0.36 ms with 500."""

MESSAGE_CPU = measured(5e-6, 0, 14e-6, "bird-emulated").elsewhere()
"""CPU seconds at either end of a message beside its routes: what reflectors for 50 and 200 nodes
took more, each route in a message of its own; those of 100 and 310 nodes took up to 14 us."""

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

ROUTES_MEASURED, ENTRIES_MEASURED = 100_000, 10_000
"""Most routes, and forwarding entries, of ``kernel-routes``."""

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


class SessionLaw(Struct, frozen=True, kw_only=True):
    """CPU of the sessions of a BIRD that starts."""

    each_s: float
    knee: int
    """Peers beyond which a session takes more, with a power of them."""
    power: float
    peers: int
    """Most that were measured."""
    error: float

    def cpu(self, peers: int) -> Figure:
        """Return the CPU seconds of all of them."""
        value = peers * self.each_s * max(1.0, peers / self.knee) ** self.power
        ends = (value * max(0.0, 1 - self.error), value * (1 + self.error))
        return measured(value, *ends, "calibration").stretched(peers / self.peers)


class Laws(Struct, frozen=True, kw_only=True):
    """Those that a calibration of a machine takes the place of; defaults are those of this page."""

    machine: str | None = None
    """Where they were calibrated; None: they were not."""
    bird_bytes: float = BIRD_BYTES
    peer_bytes: float = PEER_BYTES
    path_bytes: float = PATH_BYTES
    origin_bytes: float = ORIGIN_BYTES
    memory_error: float = MEMORY_ERROR
    memory_peers: int = MEMORY_PEERS
    """Most of the runs behind it."""
    memory_source: str = "bird-memory"
    route_cpu: Figure = ROUTE_CPU
    reflect_cpu: Figure = REFLECT_CPU
    sessions: SessionLaw | None = None
    """None: the ladder's."""
    watch_cpu: Figure = WATCH_CPU
    rule_bytes: Figure = RULE_BYTES
    rule_s: Figure = RULE_S
    northd_row_cpu: Figure = NORTHD_ROW_CPU

    def bird_memory(self, peers: float, paths: float, origins: float) -> Figure:
        """Return the bytes of a BIRD's own memory, of a node or a reflector.

        Its program and libraries, 2.3 MB, are pages of files, which all daemons of a host share.

        Args:
            peers: Its sessions.
            paths: That it holds.
            origins: Different attributes among them: one for each node and reflector between.
        """
        held = self.path_bytes * paths + self.origin_bytes * origins
        value = self.bird_bytes + self.peer_bytes * peers + held
        error = self.memory_error
        ends = (value * (1 - error), value * (1 + error))
        fitted = measured(value, *ends, self.memory_source)
        return fitted.stretched(max(peers / self.memory_peers, paths / MEMORY_PATHS))

    def deliver_cpu(self, routes: float) -> Figure:
        """Return the CPU seconds of delivering routes to peers."""
        return (self.route_cpu * routes).stretched(routes / (BIRD_PEERS * BIRD_PATHS))

    def session_cpu(self, peers: int) -> Figure:
        """Return the CPU seconds of one BIRD that brings its sessions up."""
        if self.sessions is not None:
            return self.sessions.cpu(peers)
        first, _, cpu_s = LADDER[0]
        value = _on_ladder(peers, 2) if peers > first else cpu_s / first * peers
        return measured(value, value, value, "bird-ladder").stretched(peers / LADDER[-1][0])


def switch_memory(rules: float) -> Figure:
    """Return the bytes of an ovs-vswitchd; on one machine many share what is not for rules."""
    return _on_top_of(SWITCH_BYTES, RULE_BYTES * rules)


def controller_memory(rules: float) -> Figure:
    """Return the bytes of an ovn-controller; on one machine many share what is not for rules."""
    return _on_top_of(CONTROLLER_IDLE_BYTES, CONTROLLER_BYTES * rules)


def _on_top_of(idle_bytes: float, found: Figure) -> Figure:
    most = found.value + idle_bytes
    return structs.replace(found, value=most, low=found.low, high=most)


PAGE = Laws()
"""Those of this page."""


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


def _on_ladder(peers: int, column: int) -> float:
    """Return a column of the ladder between and beyond its rungs, as a power of the peers."""
    rungs = list(pairwise(LADDER))
    below, above = next((pair for pair in rungs if peers <= pair[1][0]), rungs[-1])
    power = math.log(above[column] / below[column]) / math.log(above[0] / below[0])
    return float(below[column] * (peers / below[0]) ** power)


def kernel_memory(routes: float, entries: float = 0) -> Figure:
    """Return the bytes of a kernel's routes, and of forwarding entries of a VXLAN device."""
    held = (ROUTE_BYTES * routes).stretched(routes / ROUTES_MEASURED)
    return held + (FDB_BYTES * entries).stretched(entries / ENTRIES_MEASURED) if entries else held
