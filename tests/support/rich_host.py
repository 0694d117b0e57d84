"""A host that has everything: 128 pCPUs with SMT, clusters, pinned and floating guests, containers,
PMD threads, isolated pCPUs, NICs with VFs, huge pages, and a node of memory only."""

from __future__ import annotations

from virtboost.model.block import BlockDevice
from virtboost.model.container import Container, ContainerEngine
from virtboost.model.cpu import Cpu
from virtboost.model.cpuset import CpuSet
from virtboost.model.firmware import Firmware
from virtboost.model.guest import Guest
from virtboost.model.host import Gap, Host
from virtboost.model.irq import Irq
from virtboost.model.kernel import Kernel
from virtboost.model.libvirt import Libvirt
from virtboost.model.memory import Memory
from virtboost.model.net import NetInterface
from virtboost.model.numa import HugepagePool, NumaNode
from virtboost.model.ovs import Ovs, PmdThread
from virtboost.model.pci import PciDevice
from virtboost.model.topology import Cache, Core, CpuCluster, Die, Socket, Topology

GIB = 1 << 30
MIB = 1 << 20

DISTANCES = (
    (10, 12, 20, 22, 17),
    (12, 10, 22, 24, 28),
    (20, 22, 10, 12, 28),
    (22, 24, 12, 10, 28),
    (17, 28, 28, 28, 10),
)


def span(first: int, count: int) -> CpuSet:
    return CpuSet(range(first, first + count))


def _node(node_id: int) -> NumaNode:
    pools = (
        HugepagePool(size_bytes=2 * MIB, total=1024 if node_id == 0 else 0, free=512),
        HugepagePool(size_bytes=GIB, total=64, free=(4, 40, 0, 64)[node_id]),
    )
    return NumaNode(
        id=node_id,
        cpus=span(node_id * 32, 32),
        memory_bytes=128 * GIB,
        free_bytes=(20, 48, 31, 60)[node_id] * GIB,
        distances=dict(enumerate(DISTANCES[node_id])),
        hugepages=(pools[0], pools[1]) if node_id == 0 else (pools[1],),
    )


def _topology() -> Topology:
    memory_only = NumaNode(
        id=4,
        cpus=CpuSet(),
        memory_bytes=256 * GIB,
        free_bytes=250 * GIB,
        distances=dict(enumerate(DISTANCES[4])),
        hugepages=(),
    )
    private = (("Data", 1, 64 << 10), ("Instruction", 1, 64 << 10), ("Unified", 2, 512 << 10))
    return Topology(
        online=span(0, 128),
        offline=CpuSet.parse("128-131"),
        isolated=CpuSet.parse("2-31,64-95"),
        nohz_full=CpuSet.parse("64-95"),
        sockets=tuple(
            Socket(id=socket_id, cpus=span(first, 64), node_ids=nodes)
            for socket_id, first, nodes in ((36, 0, (0, 1)), (8442, 64, (2, 3)))
        ),
        dies=tuple(
            Die(id=index % 2, socket_id=36 if index < 2 else 8442, cpus=span(index * 32, 32))
            for index in range(4)
        ),
        clusters=tuple(
            CpuCluster(
                id=index,
                socket_id=36 if index < 8 else 8442,
                cpus=span(index * 8, 8),
                inferred=False,
            )
            for index in range(16)
        ),
        cores=tuple(
            Core(id=index, socket_id=36 if index < 32 else 8442, cpus=span(index * 2, 2))
            for index in range(64)
        ),
        caches=(
            *(
                Cache(level=level, type=kind, size_bytes=size, cpus=span(index * 2, 2))
                for index in range(64)
                for kind, level, size in private
            ),
            *(
                Cache(level=3, type="Unified", size_bytes=48 * MIB, cpus=span(index * 32, 32))
                for index in range(4)
            ),
        ),
        numa_nodes=(*(_node(index) for index in range(4)), memory_only),
    )


def guest(name: str, first: int, vcpus: int, memory_gib: int, **fields: object) -> Guest:
    """A guest pinned one to one from pCPU ``first`` on; a negative one is not pinned."""
    pins = {vcpu: span(first + vcpu, 1) for vcpu in range(vcpus)} if first >= 0 else {}
    given = {
        "name": name,
        "state": "running",
        "accelerated": True,
        "vcpu_count": vcpus,
        "max_vcpu_count": vcpus,
        "vcpu_pins": pins,
        "memory_bytes": memory_gib * GIB,
        **fields,
    }
    return Guest(**given)  # type: ignore[arg-type]


def _guests() -> tuple[Guest, ...]:
    cluster = {vcpu: span(72, 8) for vcpu in range(8)}
    return (
        guest(
            "db1",
            8,
            16,
            48,
            page_sizes_bytes=(GIB,),
            node_ids=(0,),
            memory_mode="strict",
            emulator_pins=span(4, 2),
            iothread_count=1,
            iothread_pins={1: span(6, 1)},
            pci_addresses=("0000:7d:01.0",),
        ),
        guest("web1", 32, 4, 8, node_ids=(1,)),
        guest("web2", 36, 4, 8, node_ids=(1,)),
        guest("web3", 40, 4, 8, node_ids=(2,)),
        guest("mail", 42, 4, 16),
        guest("ci-runner", -1, 8, 32, cpuset=span(32, 32)),
        guest("spark", 64, 8, 32, node_ids=(2,)),
        guest("cluster-pinned", -1, 8, 16, vcpu_pins=cluster, node_ids=(2, 3)),
        guest("two-sockets", 60, 8, 64),
        guest("cache", 88, 8, 64, page_sizes_bytes=(GIB,), node_ids=(2,)),
        guest("desktop", -1, 4, 4),
        guest("build", -1, 16, 32),
        guest("old", -1, 2, 2, state="shut off"),
    )


def _containers() -> tuple[Container, ...]:
    return (
        Container(
            name="nginx", engine="docker", cpuset=span(100, 4), node_ids=(3,), cpu_quota_ratio=4
        ),
        Container(name="redis", engine="docker", cpuset=span(102, 2), memory_limit_bytes=4 * GIB),
        Container(name="batch", engine="docker", cpuset=span(96, 32), cpu_quota_ratio=1.5),
        Container(name="agent", engine="docker"),
    )


def _pci(address: str, class_code: str, node_id: int | None, **fields: object) -> PciDevice:
    given = {
        "address": address,
        "class_code": class_code,
        "vendor_id": "19e5",
        "device_id": "1822",
        "driver": None,
        "node_id": node_id,
        "parent": None,
        "link_speed_gtps": 8.0,
        "link_width": 16,
        "max_link_speed_gtps": 8.0,
        "max_link_width": 16,
        "sriov_total_vfs": None,
        "sriov_num_vfs": None,
        "physical_function": None,
        "virtual_functions": (),
        "iommu_group": None,
        **fields,
    }
    return PciDevice(**given)  # type: ignore[arg-type]


def _nic(name: str, address: str | None, node_id: int | None, **fields: object) -> NetInterface:
    given = {
        "name": name,
        "kind": "physical",
        "role": None,
        "driver": "hinic",
        "pci_address": address,
        "node_id": node_id,
        "up": True,
        "speed_bps": 25_000_000_000,
        "mtu": 1500,
        "master": None,
        "rx_queue_count": 16,
        "tx_queue_count": 16,
        "channels": None,
        "offloads": {},
        "rps_cpus": {},
        "xps_cpus": {},
        **fields,
    }
    return NetInterface(**given)  # type: ignore[arg-type]


def _irq(
    number: int, name: str, pcpu: int, count: int, *, interface: str | None, address: str
) -> Irq:
    return Irq(
        number=number,
        name=name,
        chip="ITS-MSI",
        count=count,
        counts={pcpu: count},
        affinity=span(pcpu, 1),
        effective_affinity=span(pcpu, 1),
        node_id=None,
        pci_address=address,
        interface=interface,
    )


def _irqs() -> tuple[Irq, ...]:
    at = {"eth0": "0000:7d:00.0", "eth1": "0000:bd:00.0"}
    queues = [
        *((100 + q, "eth0", q, 40_000_000 // (q + 1)) for q in range(16)),
        *((200 + q, "eth1", 80 + 3 * q, 9_000_000) for q in range(8)),
    ]
    disk = (
        _irq(300 + q, f"nvme0q{q}", 96 + 4 * q, 3_000_000, interface=None, address="0000:84:00.0")
        for q in range(8)
    )
    cards = (
        _irq(number, f"{name}-{number}", pcpu, count, interface=name, address=at[name])
        for number, name, pcpu, count in queues
    )
    return (*cards, *disk)


def _disk(name: str, address: str | None, size: int, node_id: int | None) -> BlockDevice:
    return BlockDevice(
        name=name,
        size_bytes=size,
        rotational=False,
        scheduler="none",
        schedulers=("none", "mq-deadline"),
        hardware_queue_count=16,
        pci_address=address,
        node_id=node_id,
    )


def rich_host() -> Host:
    vfs = tuple(f"0000:7d:01.{index}" for index in range(4))
    return Host(
        hostname="kp-rich",
        arch="aarch64",
        cpu=Cpu(implementer="0x48", part="0xd06", vendor="HiSilicon", generation="Kunpeng 950"),
        topology=_topology(),
        memory=Memory(
            total_bytes=768 * GIB,
            available_bytes=420 * GIB,
            page_size_bytes=4096,
            hugepage_sizes_bytes=(2 * MIB, GIB),
            thp_enabled="always",
        ),
        kernel=Kernel(
            release="6.6.0-72.0.0", distribution="openEuler", distribution_version="24.03"
        ),
        firmware=Firmware(
            vendor="Huawei", product="TaiShan 200K (Model 2280K)", bios_version="2.1"
        ),
        pci=(
            _pci(
                "0000:7d:00.0",
                "020000",
                0,
                sriov_total_vfs=120,
                sriov_num_vfs=4,
                virtual_functions=vfs,
            ),
            *(_pci(vf, "020000", 0, physical_function="0000:7d:00.0") for vf in vfs),
            _pci("0000:bd:00.0", "020000", 2, link_width=8),
            _pci("0000:84:00.0", "010802", 3, driver="nvme"),
            _pci("0000:c1:00.0", "120000", 3, driver="davinci"),
            _pci("0000:74:02.0", "010700", 0, driver="hisi_sas_v3_hw"),
        ),
        net=(
            _nic("eth0", "0000:7d:00.0", 0, role="pf"),
            _nic("eth1", "0000:bd:00.0", 2, speed_bps=100_000_000_000),
            _nic("eth2", None, None, up=False, speed_bps=None, driver="igb", rx_queue_count=1),
            _nic("br0", None, None, kind="virtual", driver=None),
        ),
        irq=_irqs(),
        block=(
            _disk("nvme0n1", "0000:84:00.0", 3840 * 10**9, 3),
            *(_disk(f"sd{letter}", "0000:74:02.0", 8 * 10**12, 0) for letter in "abcdefgh"),
        ),
        libvirt=Libvirt(version="9.10.0", hypervisor="QEMU 8.2.0"),
        guests=_guests(),
        engines=(ContainerEngine(name="docker", version="25.0.3"),),
        containers=_containers(),
        ovs=Ovs(
            version="3.2.1",
            dpdk_initialized=True,
            pmds=tuple(PmdThread(pcpu_id=pcpu, node_id=0, isolated=False) for pcpu in (2, 3, 23)),
        ),
        gaps=(Gap(what="BIOS settings", path="Redfish", reason="no BMC was asked"),),
    )
