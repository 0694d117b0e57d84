"""The servers of the lab: what QEMU is told, and therefore what a scan must find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeviceKind = Literal["nic", "disk", "nvme"]

KUNPENG_SLIT = ((10, 12, 20, 22), (12, 10, 22, 24), (20, 22, 10, 12), (22, 24, 12, 10))
"""Distances between the four dies of two Kunpeng 920."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A PCI device below a root port of an expander bridge, which is on a NUMA node."""

    kind: DeviceKind
    node_id: int
    vfs: int = 0
    """Virtual functions that it can have; of an NVMe disk only."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One server; its dies are its NUMA nodes."""

    name: str
    arch: Literal["aarch64", "x86_64"]
    title: str
    sockets: int
    dies: int
    """Of a socket."""
    clusters: int
    """CPU clusters of a die; 1 where the processor has none."""
    cores: int
    """Of a CPU cluster."""
    threads: int = 1
    """Of a core."""
    node_memory_mib: int
    distances: tuple[tuple[int, ...], ...]
    devices: tuple[Device, ...]
    switch: bool = False
    """Whether it has Open vSwitch with its modules, iproute2 and Python."""

    @property
    def nodes(self) -> int:
        """How many NUMA nodes it has."""
        return self.sockets * self.dies

    @property
    def node_cpus(self) -> int:
        """How many logical CPUs a NUMA node has."""
        return self.clusters * self.cores * self.threads

    @property
    def cpus(self) -> int:
        """How many logical CPUs it has."""
        return self.nodes * self.node_cpus


_FAR_APART = (
    Device(kind="nic", node_id=0),
    Device(kind="disk", node_id=0),
    Device(kind="nic", node_id=2),
    Device(kind="nvme", node_id=2, vfs=4),
)

TAISHAN = Machine(
    name="taishan-96",
    arch="aarch64",
    title="TaiShan 200 with two Kunpeng 920 5250",
    sockets=2,
    dies=2,
    clusters=6,
    cores=4,
    node_memory_mib=1024,
    distances=KUNPENG_SLIT,
    devices=_FAR_APART,
)

MACHINES = {
    machine.name: machine
    for machine in (
        TAISHAN,
        Machine(
            name="taishan-32",
            arch="aarch64",
            title="A smaller sister of taishan-96",
            sockets=2,
            dies=2,
            clusters=2,
            cores=4,
            node_memory_mib=1024,
            distances=KUNPENG_SLIT,
            devices=_FAR_APART,
        ),
        Machine(
            name="taishan-16",
            arch="aarch64",
            title="The smallest sister of taishan-96",
            sockets=2,
            dies=2,
            clusters=1,
            cores=4,
            node_memory_mib=512,
            distances=KUNPENG_SLIT,
            devices=_FAR_APART,
        ),
        Machine(
            name="taishan-4",
            arch="aarch64",
            title="One CPU cluster of it, with Open vSwitch",
            sockets=1,
            dies=1,
            clusters=1,
            cores=4,
            node_memory_mib=1024,
            distances=((10,),),
            devices=(Device(kind="nic", node_id=0),),
            switch=True,
        ),
        Machine(
            name="x86-16",
            arch="x86_64",
            title="Two sockets with two dies each, SMT",
            sockets=2,
            dies=2,
            clusters=1,
            cores=2,
            threads=2,
            node_memory_mib=512,
            distances=((10, 12, 21, 21), (12, 10, 21, 21), (21, 21, 10, 12), (21, 21, 12, 10)),
            devices=_FAR_APART,
        ),
    )
}
"""By name; TAISHAN is the one of ``make lab``."""
