"""A placement made by hand, for the programs that a plan is told to."""

from __future__ import annotations

from virtboost.model.cpu import Cpu
from virtboost.model.cpuset import CpuSet
from virtboost.model.guest import GuestTopology
from virtboost.model.host import Host
from virtboost.model.libvirt import Libvirt
from virtboost.model.memory import Memory
from virtboost.model.numa import NumaNode
from virtboost.model.placement import (
    CellPlacement,
    GuestPlacement,
    IothreadPlacement,
    VcpuPlacement,
)
from virtboost.model.topology import Topology

MIB = 1 << 20
PAGE = 2 * MIB


def cpus(text: str) -> CpuSet:
    return CpuSet.parse(text)


def placement(nodes: tuple[int, ...] = (0, 1), *, page: int = PAGE) -> GuestPlacement:
    """Return four vCPUs for each cell on the first pCPUs of nodes of 48, in clusters of two."""
    size = 4
    return GuestPlacement(
        name="db",
        vcpus=tuple(
            VcpuPlacement(vcpu=size * cell + n, pcpus=CpuSet({48 * node + 4 + n}))
            for cell, node in enumerate(nodes)
            for n in range(size)
        ),
        cells=tuple(
            CellPlacement(
                cell=cell,
                node_id=node,
                vcpus=CpuSet(range(size * cell, size * cell + size)),
                memory_bytes=512 * MIB,
                page_size_bytes=page,
                distances={other: 10 if other == cell else 12 for other in range(len(nodes))},
            )
            for cell, node in enumerate(nodes)
        ),
        emulator_pcpus=CpuSet({0, 1}),
        iothreads=(IothreadPlacement(id=1, pcpus=CpuSet({0, 1})),),
        host_pcpus=cpus("0-3,48-51"),
        topology=GuestTopology(sockets=len(nodes), clusters=2, cores=2),
    )


def host(libvirt: str = "10.1.0", *, pages: tuple[int, ...] = (PAGE,)) -> Host:
    """Return a Kunpeng with two nodes of 32 GiB and a libvirt of this version."""
    return Host(
        hostname="kp",
        arch="aarch64",
        cpu=Cpu(),
        topology=Topology(
            online=CpuSet(range(96)),
            offline=CpuSet(),
            isolated=CpuSet(),
            nohz_full=CpuSet(),
            sockets=(),
            dies=(),
            clusters=(),
            cores=(),
            caches=(),
            numa_nodes=tuple(
                NumaNode(
                    id=node,
                    cpus=CpuSet(range(48 * node, 48 * node + 48)),
                    memory_bytes=32 << 30,
                    distances={node: 10, 1 - node: 12},
                    hugepages=(),
                )
                for node in (0, 1)
            ),
        ),
        memory=Memory(page_size_bytes=4096, hugepage_sizes_bytes=pages),
        libvirt=Libvirt(version=libvirt, accelerated=True),
    )
