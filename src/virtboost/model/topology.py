"""Which CPUs share what: sockets, dies, CPU clusters, cores, caches."""

from __future__ import annotations

from msgspec import Struct

from virtboost.model.cpuset import CpuSet
from virtboost.model.numa import NumaNode


class Socket(Struct, frozen=True, kw_only=True):
    """A CPU package."""

    id: int
    """``topology/physical_package_id``, as found: 36 and 8442 are real ones."""
    cpus: CpuSet
    """Online pCPUs."""
    node_ids: tuple[int, ...]
    """NUMA nodes whose CPUs are in this socket."""


class Die(Struct, frozen=True, kw_only=True):
    """A die of a socket (SCCL on Kunpeng); absent where the kernel does not tell."""

    id: int
    """``topology/die_id``; unique within its socket only."""
    socket_id: int
    cpus: CpuSet
    """Online pCPUs."""


class CpuCluster(Struct, frozen=True, kw_only=True):
    """Cores that share an L2 or an L3 tag (CCL on Kunpeng)."""

    id: int
    """``topology/cluster_id`` as found; a running number where ``inferred``."""
    socket_id: int
    cpus: CpuSet
    """Online pCPUs."""
    inferred: bool
    """Whether the kernel did not tell and the CPU's part number did."""


class Core(Struct, frozen=True, kw_only=True):
    """A core; its pCPUs are SMT siblings."""

    id: int
    """``topology/core_id``; unique within its socket at best."""
    socket_id: int
    cpus: CpuSet
    """Online pCPUs."""


class Cache(Struct, frozen=True, kw_only=True):
    """One cache and who shares it."""

    level: int
    """1 is nearest to the core."""
    type: str
    """``Data``, ``Instruction`` or ``Unified``."""
    size_bytes: int | None
    """None where the kernel does not tell."""
    cpus: CpuSet
    """Online pCPUs."""


class Topology(Struct, frozen=True, kw_only=True):
    """The CPUs of a host; ids are as found, may have holes, and need not start at 0."""

    online: CpuSet
    """pCPUs that run."""
    offline: CpuSet
    """pCPUs that are present and do not run."""
    isolated: CpuSet
    """pCPUs that the scheduler leaves alone (``isolcpus``); empty where there are none."""
    nohz_full: CpuSet
    """pCPUs without a tick while they run one task (``nohz_full``)."""
    sockets: tuple[Socket, ...]
    dies: tuple[Die, ...]
    """Empty where the kernel does not tell dies (``die_id`` is -1 or missing)."""
    clusters: tuple[CpuCluster, ...]
    """Empty where neither the kernel nor the part number tells clusters."""
    cores: tuple[Core, ...]
    caches: tuple[Cache, ...]
    numa_nodes: tuple[NumaNode, ...]

    @property
    def smt(self) -> bool:
        """Whether some core has more than one online pCPU."""
        return any(len(core.cpus) > 1 for core in self.cores)

    @property
    def shared_clusters(self) -> tuple[CpuCluster, ...]:
        """The clusters if they group cores; empty if each is one core or a whole socket.

        x86 kernels tell a "cluster" for every private L2; it carries nothing that the cores do not.
        """
        cores = {core.cpus for core in self.cores}
        sockets = {socket.cpus for socket in self.sockets}
        said = {cluster.cpus for cluster in self.clusters}
        return () if said <= cores or said <= sockets else self.clusters

    def node(self, node_id: int) -> NumaNode | None:
        """Return the NUMA node with this id."""
        return next((node for node in self.numa_nodes if node.id == node_id), None)

    def nodes_of(self, cpus: CpuSet) -> tuple[NumaNode, ...]:
        """Return the NUMA nodes that have any of ``cpus``."""
        return tuple(node for node in self.numa_nodes if not node.cpus.isdisjoint(cpus))

    def sockets_of(self, cpus: CpuSet) -> tuple[Socket, ...]:
        """Return the sockets that have any of ``cpus``."""
        return tuple(socket for socket in self.sockets if not socket.cpus.isdisjoint(cpus))

    def dies_of(self, cpus: CpuSet) -> tuple[Die, ...]:
        """Return the dies that have any of ``cpus``."""
        return tuple(die for die in self.dies if not die.cpus.isdisjoint(cpus))

    def clusters_of(self, cpus: CpuSet) -> tuple[CpuCluster, ...]:
        """Return the CPU clusters that group cores and have any of ``cpus``."""
        return tuple(c for c in self.shared_clusters if not c.cpus.isdisjoint(cpus))

    def cores_of(self, cpus: CpuSet) -> tuple[Core, ...]:
        """Return the cores that have any of ``cpus``."""
        return tuple(core for core in self.cores if not core.cpus.isdisjoint(cpus))
