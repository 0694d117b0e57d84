"""Open vSwitch, as its database and its PMD threads say."""

from __future__ import annotations

from msgspec import Struct

from virtboost.model.cpuset import CpuSet


class OvsInterface(Struct, frozen=True, kw_only=True):
    """An interface of a bridge."""

    name: str
    type: str
    """``system`` (a device of the kernel), ``internal``, ``vxlan``, ``dpdk``, ..."""
    options: dict[str, str] = {}
    """``n_rxq``, ``dpdk-devargs``, ``remote_ip``, ...; secrets are not there."""
    other_config: dict[str, str] = {}
    """``pmd-rxq-affinity``, ``tx-steering``, ..."""
    node_id: int | None = None
    """NUMA node that OVS tells for it; None: not told."""


class OvsBridge(Struct, frozen=True, kw_only=True):
    """A bridge."""

    name: str
    datapath_type: str
    """``system`` (kernel) or ``netdev`` (userspace)."""
    interfaces: tuple[OvsInterface, ...] = ()


class PmdThread(Struct, frozen=True, kw_only=True):
    """A poll-mode-driver thread of the userspace datapath."""

    pcpu_id: int
    node_id: int
    isolated: bool
    """Whether it serves only queues that are pinned to it."""
    queues: tuple[str, ...] = ()
    """``PORT:QUEUE``."""
    busy_ratio: float | None = None
    """Share of its time of the last minute that did work; None: not told."""


class Ovs(Struct, frozen=True, kw_only=True):
    """Open vSwitch on this host."""

    version: str | None = None
    """As ``ovs-vsctl`` prints it; None: not told."""
    dpdk_initialized: bool = False
    """Whether the userspace datapath has DPDK."""
    other_config: dict[str, str] = {}
    """``Open_vSwitch:other_config``: ``pmd-cpu-mask``, ``hw-offload``, ..."""
    bridges: tuple[OvsBridge, ...] = ()
    pmds: tuple[PmdThread, ...] = ()

    @property
    def pmd_cpus(self) -> CpuSet:
        """The pCPUs that PMD threads run on."""
        return CpuSet(pmd.pcpu_id for pmd in self.pmds)
