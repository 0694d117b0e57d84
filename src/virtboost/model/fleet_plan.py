"""Many servers, what is to run on them, and where it goes."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

Strategy = Literal["affinity", "anti-affinity", "fault_domain"]
"""What holds among the requests of a group.

``affinity``: on as few servers as may be: a request goes where its group is already, as long as one
of those servers has room.  ``anti-affinity``: no two on one server.  ``fault_domain``: two of
different domains never share a server; two of one domain may.
"""


class Objective(StrEnum):
    """What counts most where all requests have a place."""

    SERVERS = "servers"
    """Few servers are used."""

    STRANDED = "stranded"
    """Little is left where nothing fits any more, on a few more servers if need be."""


Name = str | int
"""A name, or the number of a row, from 0, in a table that has none."""


class ServerNode(Struct, frozen=True, kw_only=True):
    """A NUMA node of a server, with what it has left."""

    id: int
    cpus: int
    """Free pCPUs."""
    memory_bytes: int
    """Free memory."""


class FleetServer(Struct, frozen=True, kw_only=True):
    """One server of a fleet."""

    name: Name
    nodes: tuple[ServerNode, ...]
    distances: tuple[tuple[int, ...], ...] = ()
    """SLIT distances between its nodes; empty: all are alike."""
    arch: str | None = None
    """``aarch64`` or ``x86_64``; None: not told, which fits a request for either only."""
    generation: str | None = None
    """Processor generation, within which guests migrate live; None: not told."""


class FleetRequest(Struct, frozen=True, kw_only=True):
    """A guest that is to run on some server."""

    name: Name
    vcpus: int
    """vCPUs, each on a pCPU of its own."""
    memory_bytes: int
    cells: int = 1
    """NUMA cells of the guest, each on a node of its own with an even share."""
    strategy: Strategy | None = None
    """None: no rule."""
    group: str = ""
    """Which requests the strategy is about, with the strategy: groups of two are apart."""
    domain: str = ""
    """Fault domain within the group."""
    arch: str | None = None
    """Architecture that it needs; None: either."""
    generation: str | None = None
    """Processor generation that it needs; None: any."""


class CellPlace(Struct, frozen=True, kw_only=True):
    """What a guest has on one node."""

    node: int
    """Id of the node on its server."""
    vcpus: int
    """vCPUs of this cell."""
    memory_bytes: int


class FleetAssignment(Struct, frozen=True, kw_only=True):
    """Where a request goes."""

    request: Name
    """Name of the request."""
    server: Name
    """Name of the server."""
    cells: tuple[CellPlace, ...]


class Filtered(Struct, frozen=True, kw_only=True):
    """A condition, and how many of the servers that were left it removed."""

    filter: str
    """Name of the condition."""
    removed: int
    """Servers that did not meet it."""
    left: int
    """Servers that met it and all before it."""


class FleetRefusal(Struct, frozen=True, kw_only=True):
    """A request without a place, and why."""

    request: Name
    """Name of the request."""
    reason: str
    """The filter after which no server was left."""
    filters: tuple[Filtered, ...]
    """In the order in which they were asked."""


class FleetTotals(Struct, frozen=True, kw_only=True):
    """What a fleet looks like after a plan."""

    requests: int
    """Requests that there were."""
    placed: int
    """Requests with a place."""
    refused: int
    """Requests without."""
    servers: int
    """Servers of the fleet."""
    servers_used: int
    """Servers with at least one request of the plan."""
    violations: int
    """Pairs and guests against their strategy."""
    stranded_cpus: int
    """Free pCPUs of used servers on nodes that take no request of the plan any more."""
    stranded_memory_bytes: int
    """Free memory of those nodes."""


class FleetPlan(Struct, frozen=True, kw_only=True):
    """Where the requests of a batch go."""

    schema: Literal["virtboost.fleet/1"] = "virtboost.fleet/1"
    assignments: tuple[FleetAssignment, ...]
    refused: tuple[FleetRefusal, ...]
    totals: FleetTotals
