"""How full hosts are, what is stranded on them, and which moves would free it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.model.cpuset import CpuSet
from virtboost.model.fleet_plan import Name


class NodeDensity(Struct, frozen=True, kw_only=True):
    """What is in use and what is left of one NUMA node."""

    id: int
    cpus: int
    """Online pCPUs."""
    used_cpus: int
    """pCPUs of guests and containers that have some of their own."""
    free_cpus: int
    """pCPUs of free whole cores, without those that the host keeps."""
    sibling_cpus: CpuSet
    """Idle pCPUs of cores of which a guest has another: no second guest can have them."""
    whole_clusters: int
    """CPU clusters that are free as a whole; 0 where clusters are not told."""
    memory_bytes: int | None
    """None: not told."""
    used_bytes: int
    """Memory of running guests."""
    free_bytes: int
    """Memory for more guests, without what the host keeps."""
    stranded_cpus: int
    """Free pCPUs where no guest of a size that runs has room any more."""
    stranded_bytes: int
    """Free memory of such a node."""


class Straddler(Struct, frozen=True, kw_only=True):
    """A guest that lies on more NUMA nodes than it has cells, though one would hold it."""

    name: str
    node_ids: tuple[int, ...]
    """Nodes where its vCPUs may run, or its memory may be."""
    reason: str
    """What of it is where."""


class Move(Struct, frozen=True, kw_only=True):
    """One guest or container to another place."""

    name: str
    kind: Literal["guest", "container"] = "guest"
    """What it is."""
    server: Name
    """Where it is now."""
    to_server: Name
    """Where it goes; the same for a move between nodes."""
    node_ids: tuple[int, ...]
    """Nodes that it lies on."""
    to_node_ids: tuple[int, ...]
    """Nodes that it goes to."""
    to_pcpus: CpuSet | None = None
    """pCPUs that it goes to; None on another server, whose plan says them."""
    reason: str
    """What it mends, or the room that it makes."""
    live: bool
    """Whether it can go on running meanwhile."""
    hindrance: str | None = None
    """Why it cannot be moved live, or what to mind; None: nothing."""


class Room(Struct, frozen=True, kw_only=True):
    """How many more guests of a size that runs there would be."""

    vcpus: int
    """vCPUs of the whole guest."""
    memory_bytes: int
    """Memory of the whole guest."""
    cells: int
    """NUMA cells, each on a node of its own."""
    running: int
    """Guests of this size that run."""
    now: int
    """How many more fit now, were the free room for them alone."""
    moved: int
    """The same after the moves."""
    replanned: int
    """The same if each host were planned anew from empty."""


class HostDensity(Struct, frozen=True, kw_only=True):
    """One host."""

    server: Name
    """Its own name, or the one it was read by."""
    nodes: tuple[NodeDensity, ...]
    straddling: tuple[Straddler, ...]
    rooms: tuple[Room, ...]
    """The largest size first."""
    moves: tuple[Move, ...]
    """On this host, in their order."""
    replan_moves: int
    """How many guests and containers a plan of the whole host would move."""
    notes: tuple[str, ...] = ()
    """What could not be known, and what this report leaves out because of it."""


class Density(Struct, frozen=True, kw_only=True):
    """Hosts, and the moves between them."""

    schema: Literal["virtboost.density/1"] = "virtboost.density/1"
    hosts: tuple[HostDensity, ...]
    moves: tuple[Move, ...]
    """Between hosts, in their order, after those of each host."""
    emptied: tuple[Name, ...]
    """Hosts that these moves leave without a guest."""
