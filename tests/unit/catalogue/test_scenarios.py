"""Servers as they are met, and everything that an engineer would say of them: no more, no less.

Each expectation is a hand analysis: the comment beside it is the reasoning.
"""

from typing import Any

from support.servers import GIB, guest, kunpeng_920, pins, xeon
from virtboost.catalogue.catalogue import ITEMS
from virtboost.check.judge import check
from virtboost.model.host import Host

DISK = {"target": "vda", "bus": "virtio", "cache": "none", "io": "native", "iothread": 1}

BRIDGED = {"kind": "bridge", "model": "virtio", "target": "tap0", "vhost": True}


def findings(host: Host) -> dict[str, str]:
    report = check(host, ITEMS, name="server")
    return {f"{found.item}: {found.object}": found.found or "" for found in report.findings}


def instance(name: str, first: int, count: int, node: int, **parts: Any) -> dict[str, Any]:
    """Return a pinned guest as Nova makes it: a cell, strict memory, 2 MiB pages."""
    memory = count * 4 * GIB
    cell = {
        "id": 0,
        "vcpus": f"0-{count - 1}",
        "memory_bytes": memory,
        "node_ids": [node],
        "memory_mode": "strict",
    }
    return guest(
        name,
        count,
        **{
            "vcpu_pins": pins(first, count),
            "emulator_pins": "2-3",
            "memory_bytes": memory,
            "current_memory_bytes": memory,
            "page_sizes_bytes": [2 << 20],
            "memory_mode": "strict",
            "node_ids": [node],
            "cells": [cell],
            "topology": {"sockets": 1, "clusters": count // 4, "cores": 4},
            "disks": [DISK],
            "nics": [{**BRIDGED, "queues": count}],
            **parts,
        },
    )


NOVA = {
    "compute.cpu_dedicated_set": "4-95",
    "compute.cpu_shared_set": "2-3",
    "compute.packing_host_numa_cells_allocation_strategy": "False",
    "DEFAULT.reserved_host_memory_mb": "8192",
    "libvirt.virt_type": "kvm",
    "libvirt.num_pcie_ports": "16",
}


def compute(options: dict[str, str], guests: list[dict[str, Any]]) -> Host:
    return kunpeng_920(
        agents=[{"name": "nova-compute", "files": ["/etc/nova/nova.conf"], "options": options}],
        libvirt={"version": "10.1.0", "accelerated": True},
        guests=guests,
    )


def test_a_compute_host_that_somebody_tuned_well_has_nothing_to_say() -> None:
    guests = [
        instance("instance-00000001", 4, 8, 0),
        instance("instance-00000002", 12, 8, 0),
        instance("instance-00000003", 24, 16, 1),
        instance("instance-00000004", 48, 8, 2, pci_addresses=["0000:7d:00.1"]),
        # A large one: two nodes, a cell for each, clusters as the pins have them.
        instance(
            "instance-00000005",
            72 - 8,
            16,
            2,
            node_ids=None,
            memory_mode=None,
            cells=[
                {
                    "id": cell,
                    "vcpus": f"{cell * 8}-{cell * 8 + 7}",
                    "memory_bytes": 32 * GIB,
                    "node_ids": [2 + cell],
                    "memory_mode": "strict",
                }
                for cell in (0, 1)
            ],
        ),
    ]
    assert findings(compute(NOVA, guests)) == {}


def test_a_compute_host_with_the_mistakes_of_a_busy_year() -> None:
    options = {
        **NOVA,
        "compute.cpu_dedicated_set": "2-95",
        "compute.cpu_shared_set": "0-2",
        "DEFAULT.reserved_host_cpus": "4",
        "libvirt.cpu_mode": "host-model",
        "libvirt.num_pcie_ports": "0",
    }
    del options["DEFAULT.reserved_host_memory_mb"]
    guests = [
        # Emulator threads on its own vCPUs, as Nova does without a policy.
        instance("instance-00000001", 4, 8, 0, emulator_pins="4-11"),
        # Live-migrated by a release before Train: pinned where the next one is.
        instance("instance-00000002", 24, 8, 1),
        instance("instance-00000003", 28, 8, 1),
        # Flavor without NUMA: vCPUs on node 2 by hand, memory wherever it was.
        guest(
            "instance-00000004",
            8,
            vcpu_pins=pins(48, 8),
            emulator_pins="2-3",
            topology={"sockets": 1, "clusters": 2, "cores": 4},
            disks=[DISK],
            nics=[{**BRIDGED, "queues": 8}],
        ),
    ]
    assert findings(compute(options, guests)) == {
        # nova-compute will not start again: three reasons.
        "nova.cpu_sets: agent nova-compute": "pCPUs 2 are in both sets",
        "nova.pin_options: agent nova-compute": (
            "reserved_host_cpus, cpu_dedicated_set, cpu_shared_set together"
        ),
        "nova.host_cpus: agent nova-compute": "0",
        # 24-31 and 28-35 have 28-31 in common: vCPUs 4-7 of one, 0-3 of the other.
        "guest.pcpu_shared: guest instance-00000002": (
            "vCPU 4 and vCPU 0 of guest instance-00000003 share pCPU 28, "
            "vCPU 5 and vCPU 1 of guest instance-00000003 share pCPU 29, "
            "vCPU 6 and vCPU 2 of guest instance-00000003 share pCPU 30, "
            "vCPU 7 and vCPU 3 of guest instance-00000003 share pCPU 31"
        ),
        "guest.pcpu_shared: guest instance-00000003": (
            "vCPU 0 and vCPU 4 of guest instance-00000002 share pCPU 28, "
            "vCPU 1 and vCPU 5 of guest instance-00000002 share pCPU 29, "
            "vCPU 2 and vCPU 6 of guest instance-00000002 share pCPU 30, "
            "vCPU 3 and vCPU 7 of guest instance-00000002 share pCPU 31"
        ),
        "guest.memory_bound: guest instance-00000004": "vCPUs on node 2, memory bound to none",
        "guest.hugepages: guest instance-00000004": "base pages of 4 KiB",
        "guest.emulator_apart: guest instance-00000001": ("pCPUs 4-11; vCPUs are pinned to 4-11"),
        "nova.reserved_memory: agent nova-compute": "512 MB, the default",
        "nova.cpu_mode: agent nova-compute": "host-model",
        "nova.pcie_ports: agent nova-compute": "0, libvirt decides",
    }


def desktop_guest(name: str, vcpus: int, **parts: Any) -> dict[str, Any]:
    """Return a guest as virt-install makes it on x86."""
    return guest(
        name,
        vcpus,
        **{
            "arch": "x86_64",
            "machine": "pc-q35-8.2",
            "gic_version": None,
            "disks": [
                {"target": "vda", "bus": "virtio"},
                {"target": "sda", "bus": "sata", "device": "cdrom"},
            ],
            "nics": [{"kind": "network", "model": "virtio", "target": "vnet0"}],
            "video": ["qxl"],
            **parts,
        },
    )


def test_a_developers_box_gets_one_piece_of_advice_and_its_one_mistake() -> None:
    host = xeon(
        libvirt={"version": "9.0.0", "accelerated": True},
        guests=[
            desktop_guest("build", 8),
            desktop_guest("test", 4),
            desktop_guest("win11", 4, disks=[{"target": "sda", "bus": "sata"}], nics=[]),
            desktop_guest("old", 2, state="shut off", cpu_mode="custom", cpu_model="Haswell"),
            desktop_guest("arm", 4, arch="aarch64", machine="virt-7.2", accelerated=False),
        ],
    )
    assert findings(host) == {
        # 20 vCPUs on 64 pCPUs of two nodes: pinning is possible; the interpreted one gains nothing.
        "guest.pinned: host": "3 of 4 running guests float: build, test, win11",
        # Installed without virtio drivers and never changed.
        "guest.disk_bus: guest win11": "sda on sata",
    }


def test_a_developers_box_that_is_full_is_left_alone() -> None:
    guests = [desktop_guest(f"vm{number}", 8) for number in range(12)]
    # 96 vCPUs on 64 pCPUs, 1.5 a pCPU: overcommitted on purpose, and far from too much.
    assert findings(xeon(libvirt={"version": "9.0.0", "accelerated": True}, guests=guests)) == {}


def container(number: int, **parts: Any) -> dict[str, Any]:
    return {
        "name": f"app{number:02}",
        "engine": "docker",
        "image_arch": "aarch64",
        "memory_limit_bytes": 2 * GIB,
        "log_driver": "json-file",
        "log_options": {"max-size": "10m", "max-file": "3"},
        **parts,
    }


def test_a_docker_host_with_40_containers() -> None:
    containers = [container(number) for number in range(34)]
    containers += [
        # Placed as the Kunpeng guide does: four pCPUs, their node, as much time.
        container(34, cpuset="4-7", node_ids=[0], cpu_quota_ratio=4.0),
        container(35, cpuset="24-27", node_ids=[1], cpu_quota_ratio=4.0),
        # cpuset without mems.
        container(36, cpuset="48-51"),
        # Across nodes 0 and 1, and into the set of app35.
        container(37, cpuset="20-25", node_ids=[0, 1]),
        # Half of the time on its own pCPUs; a log that only grows; no limit of memory.
        container(38, cpuset="72-75", node_ids=[3], cpu_quota_ratio=2.0, log_options={}),
        container(39, memory_limit_bytes=None, image_arch="x86_64"),
    ]
    engine = {
        "name": "docker",
        "version": "20.10.14",
        "cgroup_driver": "cgroupfs",
        "cgroup_version": 1,
        "storage_driver": "overlay2",
    }
    assert findings(kunpeng_920(engines=[engine], containers=containers)) == {
        "container.mems: container app36": "pCPUs 48-51, memory from any node",
        "container.one_node: container app37": "pCPUs 20-25 on nodes 0, 1",
        "container.overlap: host": "app35 (24-27) and app37 (20-25) share 24-25",
        "container.quota: container app38": "2 CPUs of time on 4 pCPUs (72-75)",
        "container.log_growth: host": "1 of 40 log to json-file without max-size: app38",
        "container.memory_limit: host": "1 of 40 without a limit: app39",
        "container.image_arch: container app39": "x86_64 on aarch64",
    }


def dpdk_port(name: str, node: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "dpdk",
        "node_id": node,
        "options": {"n_rxq": "2", "dpdk-devargs": "0000:3b:00.0"},
    }


def dpdk_guest(name: str, first: int, **parts: Any) -> dict[str, Any]:
    """Return a guest of four whole cores: pCPUs N and N+32, a vCPU each, siblings together."""
    cpus = [cpu for core in range(first, first + 4) for cpu in (core, core + 32)]
    return desktop_guest(
        name,
        8,
        **{
            "vcpu_pins": {str(vcpu): str(cpu) for vcpu, cpu in enumerate(cpus)},
            "emulator_pins": "0-1,32-33",
            "topology": {"sockets": 1, "cores": 4, "threads": 2},
            "page_sizes_bytes": [GIB],
            "memory_shared_access": True,
            "node_ids": [0],
            "memory_mode": "strict",
            "disks": [DISK],
            "nics": [{"kind": "vhostuser", "model": "virtio", "queues": 8}],
            **parts,
        },
    )


PAGES = [{"size_bytes": GIB, "total": 32, "free": 8}]


def dpdk_host(**parts: Any) -> Host:
    host = xeon(topology={"isolated": "2-15,34-47"}, **parts)
    assert host.ovs is not None
    return host


def switch(pmds: list[dict[str, Any]], **other_config: str) -> dict[str, Any]:
    return {
        "version": "3.1.0",
        "dpdk_initialized": True,
        "other_config": {name.replace("_", "-"): text for name, text in other_config.items()},
        "bridges": [
            {
                "name": "br-phy",
                "datapath_type": "netdev",
                "interfaces": [
                    dpdk_port("dpdk0", 0),
                    {"name": "vhu0", "type": "dpdkvhostuserclient"},
                ],
            }
        ],
        "pmds": pmds,
    }


def pmd(pcpu: int, queues: list[str], busy: float = 0.3) -> dict[str, Any]:
    return {
        "pcpu_id": pcpu,
        "node_id": 0,
        "isolated": False,
        "queues": queues,
        "busy_ratio": busy,
    }


def test_an_ovs_dpdk_host_that_is_right() -> None:
    good = [pmd(2, ["dpdk0:0", "vhu0:0"]), pmd(34, ["dpdk0:1"])]
    host = dpdk_host(
        libvirt={"version": "10.1.0", "accelerated": True},
        ovs=switch(good, pmd_cpu_mask="0x400000004", dpdk_socket_mem="2048,1024"),
        guests=[dpdk_guest("fw1", 4), dpdk_guest("fw2", 8)],
    )
    assert findings(host) == {}


def test_an_ovs_dpdk_host_after_the_mask_was_counted_wrongly() -> None:
    # Meant: pCPUs 2 and 34.  Set: 4 and 35, and two more that find no queue.
    bad = [pmd(4, ["dpdk0:0", "dpdk0:1", "vhu0:0"], 0.93), pmd(35, [], 0.0)]
    host = dpdk_host(
        libvirt={"version": "10.1.0", "accelerated": True},
        ovs=switch(bad, pmd_cpu_mask="0x800000010", dpdk_socket_mem="0,1024"),
        guests=[
            dpdk_guest("fw1", 4),
            dpdk_guest("fw2", 8, memory_shared_access=False, emulator_pins="8-11"),
        ],
    )
    assert findings(host) == {
        # vCPU 0 of fw1 is on pCPU 4.
        "ovs.pmd_guests: ovs": "vCPU 0 of guest fw1 on pCPU 4, where a PMD thread polls",
        # pCPU 36 is the sibling of 4, and vCPU 1 of fw1 is there; 3, sibling of 35, is idle.
        "ovs.pmd_siblings: ovs": "vCPU 1 of guest fw1 on pCPU 36, sibling of a PMD thread's pCPU",
        # Without shared memory the interface carries nothing.
        "guest.shared_memory: guest fw2": "1 vhost-user interfaces, private memory",
        "guest.emulator_apart: guest fw2": "pCPUs 8-11; vCPUs are pinned to 8-11",
        # Both PMD threads and the port are on node 0, which gets nothing.
        "ovs.socket_memory: ovs": (
            "0,1024: no memory for dpdk0 on node 0, PMD thread on pCPU 4 on node 0, "
            "PMD thread on pCPU 35 on node 0"
        ),
        "ovs.queues: ovs": "PMD threads on pCPUs 35 poll nothing; queues of dpdk0: 2",
        "ovs.auto_lb: ovs": "PMD thread on pCPU 4 is 93 % busy with 3 queues",
    }
