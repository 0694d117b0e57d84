"""What a machine's daemons cost, as a validation measured it there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, structs

from virtboost.net.figure import Figure, measured
from virtboost.net.law import NORTHD_ROW_CPU, RULE_BYTES, RULE_S, WATCH_CPU, Laws, SessionLaw
from virtboost.net.simulate.cost import Costs

OF_BGP = (
    *("memory_bytes", "peer_bytes", "path_bytes", "origin_bytes"),
    *("begin_s", "session_s", "session_knee", "session_power"),
    *("send_s", "receive_s", "install_s", "message_s", "bfd_late_s"),
)
"""What a validation of BGP measures, by field of ``Costs``."""


class Machine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides costs, of hardware and software."""

    cpu: str
    """Model, as the kernel names it."""
    cpus: int
    architecture: str
    system: str
    """Distribution, as it names itself."""
    kernel: str
    bird: str
    """Version of BIRD."""

    @property
    def key(self) -> str:
        """Return a name that machines of the same hardware share, whatever their kernel."""
        return hardware_key(self.cpu, self.cpus, self.architecture)

    @property
    def label(self) -> str:
        """Return it in words."""
        hardware = f"{self.cpus} CPUs {self.cpu}, {self.architecture}"
        return f"{hardware}, {self.system}, Linux {self.kernel}, BIRD {self.bird}"


def hardware_key(cpu: str, cpus: int, architecture: str) -> str:
    """Return a name that machines of the same hardware share, whatever their kernel."""
    return hashlib.sha256(f"{architecture} {cpu} {cpus}".encode()).hexdigest()[:12]


class Reach(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the costs of a network of tunnels were checked."""

    nodes: int
    """Of the largest that was run."""
    memory_error: float | None
    """Most by which memory was off, as a part; None: none was weighed."""
    cpu_error: float
    """Most by which CPU seconds were off, of nodes or of what they share, as a part."""
    costs: tuple[str, ...]
    """Those that its runs told, by field."""


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Costs of a machine, and how far they were checked."""

    schema: Literal["virtboost.net-calibration/1"] = "virtboost.net-calibration/1"
    machine: Machine
    made_at: str
    """UTC, ISO 8601; of the latest validation in it."""
    nodes: int = 0
    """Of the largest network of BGP that was run; beyond, figures are extrapolated. 0: none was
    run, and costs of BGP are as before."""
    peers: int = 0
    """Of the BIRD with most sessions that was run."""
    watchers: int
    """Most that an etcd told; 0: none was run, and its cost is as before."""
    rules: int
    """Most that an ovs-vswitchd got; 0: none was run, and their cost is as before."""
    rows: int = 0
    """Most of logical flows that a northd computed; 0: none was run, and its cost is as before."""
    memory_error: float = 0.0
    """Most by which memory of BGP's daemons was off, as a part."""
    cpu_error: float = 0.0
    """Most by which CPU seconds of them were off, as a part."""
    tunnels: dict[str, Reach] = {}
    """Of networks of tunnels, by design."""
    costs: Costs

    def beside(self, before: Calibration | None) -> Calibration:
        """Return it with what validations before it told of the same machine, and it does not."""
        if before is None or before.machine != self.machine:
            return self
        own = {name: getattr(self.costs, name) for name in (*self._told(), "machine")}
        of_bgp = self if self.nodes else before
        return structs.replace(
            self,
            nodes=of_bgp.nodes,
            peers=of_bgp.peers,
            watchers=self.watchers or before.watchers,
            rules=self.rules or before.rules,
            rows=self.rows or before.rows,
            memory_error=of_bgp.memory_error,
            cpu_error=of_bgp.cpu_error,
            tunnels=before.tunnels | self.tunnels,
            costs=structs.replace(before.costs, **own),
        )

    def _told(self) -> Iterator[str]:
        """Yield the costs that its validation measured."""
        if self.nodes:
            yield from OF_BGP
        if self.rules:
            yield from ("rule_s", "rule_bytes")
        if self.watchers:
            yield "watch_s"
        if self.rows:
            yield "northd_row_s"
        for reach in self.tunnels.values():
            yield from reach.costs

    @property
    def laws(self) -> Laws:
        """Return what a plan takes of it."""
        costs, source = self.costs, "calibration"
        error = max([self.cpu_error, *(reach.cpu_error for reach in self.tunnels.values())])

        def near(value: float) -> Figure:
            return measured(value, value * max(0.0, 1 - error), value * (1 + error), source)

        found = Laws(
            machine=self.machine.label,
            watch_cpu=near(costs.watch_s) if self.watchers else WATCH_CPU,
            rule_bytes=near(costs.rule_bytes) if self.rules else RULE_BYTES,
            rule_s=near(costs.rule_s) if self.rules else RULE_S,
            northd_row_cpu=near(costs.northd_row_s) if self.rows else NORTHD_ROW_CPU,
        )
        if not self.nodes:
            return found
        send_s = costs.send_s + costs.message_s
        route_s = send_s + costs.receive_s + costs.message_s + costs.install_s
        return structs.replace(
            found,
            bird_bytes=costs.memory_bytes,
            peer_bytes=costs.peer_bytes,
            path_bytes=costs.path_bytes,
            origin_bytes=costs.origin_bytes,
            memory_error=self.memory_error,
            memory_peers=self.peers,
            memory_source=source,
            route_cpu=near(route_s),
            reflect_cpu=near(send_s),
            sessions=SessionLaw(
                each_s=costs.session_s,
                knee=costs.session_knee,
                power=costs.session_power,
                peers=self.peers,
                error=self.cpu_error,
            ),
        )
