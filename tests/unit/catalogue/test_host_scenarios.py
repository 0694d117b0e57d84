"""A server as it is delivered, what an engineer would say of it, and the same server afterwards.

Each expectation is a hand analysis: the comment beside it is the reasoning.
"""

from typing import Any

from support.changes import carried_out
from support.servers import GIB, guest, kunpeng_920, pins
from virtboost.catalogue.catalogue import ITEMS
from virtboost.check.judge import check
from virtboost.model.finding import Result
from virtboost.model.host import Host

CARD = "0000:81:00.0"

NOUNS = {
    "block",
    "cpu",
    "firmware",
    "hugepage",
    "irq",
    "kernel",
    "memory",
    "net",
    "numa",
    "pci",
    "power",
    "service",
}


def found(host: Host) -> dict[str, Result]:
    """Return the findings of the items on the host itself."""
    report = check(host, [item for item in ITEMS if item.id.partition(".")[0] in NOUNS], name="kp")
    return {f"{each.item}: {each.object}": each for each in report.findings}


def database(name: str, first: int, node: int, **parts: Any) -> dict[str, Any]:
    """Return a guest of 8 vCPUs and 32 GiB in 2 MiB pages, all on one node."""
    return guest(
        name,
        8,
        **{
            "vcpu_pins": pins(first, 8),
            "memory_bytes": 32 * GIB,
            "page_sizes_bytes": [2 << 20],
            "memory_mode": "strict",
            "node_ids": [node],
            **parts,
        },
    )


def card(name: str, address: str, node: int, **parts: Any) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "physical",
        "role": None,
        "driver": "mlx5_core",
        "pci_address": address,
        "node_id": node,
        "up": True,
        "speed_bps": 100_000_000_000,
        "mtu": 1500,
        "master": None,
        "rx_queue_count": 8,
        "tx_queue_count": 8,
        "channels": {
            "combined": 8,
            "combined_max": 63,
            "rx": 0,
            "rx_max": 0,
            "tx": 0,
            "tx_max": 0,
        },
        "offloads": {},
        "rps_cpus": {f"rx-{queue}": "" for queue in range(8)},
        "xps_cpus": {f"tx-{queue}": str(queue) for queue in range(8)},
        **parts,
    }


def interrupt(number: int, cpu: int) -> dict[str, Any]:
    return {
        "number": number,
        "name": f"mlx5_comp{number - 400}@pci:{CARD}",
        "chip": "ITS-MSI",
        "count": 100_000,
        "counts": {str(cpu): 100_000},
        "affinity": "0-95",
        "effective_affinity": str(cpu),
        "node_id": 2,
        "pci_address": CARD,
        "interface": "eth0",
    }


def function(address: str, class_code: str, **parts: Any) -> dict[str, Any]:
    return {
        "address": address,
        "class_code": class_code,
        "vendor_id": "15b3",
        "device_id": "1017",
        "driver": "mlx5_core",
        "node_id": 2,
        "parent": None,
        "link_speed_gtps": 16.0,
        "link_width": 16,
        "max_link_speed_gtps": 16.0,
        "max_link_width": 16,
        "sriov_total_vfs": 8,
        "sriov_num_vfs": 0,
        "physical_function": None,
        "virtual_functions": [],
        "iommu_group": 12,
        **parts,
    }


def delivered() -> Host:
    """Return a TaiShan 200 with openEuler's defaults, two databases that run, and one to come."""
    base = kunpeng_920()
    memory = {
        **{name: getattr(base.memory, name) for name in base.memory.__struct_fields__},
        "thp_enabled": "always",
        "ksm_run": 1,
        "ksm_merge_across_nodes": 1,
    }
    return kunpeng_920(
        memory=memory,
        kernel={
            "command_line": "quiet default_hugepagesz=512M hugepagesz=512M hugepages=352",
            "distribution": "openEuler",
            "sysctls": {"kernel.numa_balancing": "1", "vm.zone_reclaim_mode": "0"},
            "module_parameters": {"kvm": {"halt_poll_ns": "500000"}},
            "pressure": {"memory": {"some_avg60_percent": 0.0, "full_avg60_percent": 0.0}},
        },
        power={
            "frequency_driver": "cppc_cpufreq",
            "governors": {"schedutil": "0-95"},
            "available_governors": ["performance", "powersave", "schedutil"],
        },
        firmware={"bios_settings": {"DdrRefreshRate": "32ms", "NUMAEn": "Enabled"}},
        net=[card("eth0", CARD, 2), card("eno1", "0000:7d:00.0", 0, speed_bps=1_000_000_000)],
        irq=[interrupt(400 + queue, queue) for queue in range(8)],
        pci=[function(CARD, "020000", link_width=8), function("0000:05:00.0", "010802")],
        block=[
            {
                "name": "nvme0n1",
                "size_bytes": 1 << 40,
                "rotational": False,
                "scheduler": "bfq",
                "schedulers": ["none", "mq-deadline", "bfq"],
                "hardware_queue_count": 64,
                "pci_address": "0000:05:00.0",
                "node_id": 2,
            }
        ],
        services=[
            {"name": "irqbalance", "active": True, "enabled": True},
            {"name": "tuned", "active": True, "enabled": True, "detail": "balanced"},
            {"name": "ksmtuned", "active": True, "enabled": True},
        ],
        guests=[
            database("db1", 24, 1),
            database("db2", 72, 3),
            database("db3", 48, 2, state="shut off"),
        ],
    )


EXPECTED = {
    # 512 MiB needs 64 KiB base pages; the kernel dropped both arguments.
    "hugepage.arguments: host": "hugepagesz=512M default_hugepagesz=512M",
    # db3 wants 32 GiB = 16384 pages of 2 MiB on node 2, where 8192 are free.
    "hugepage.pool: pool 2 MiB on node 2": "8192 of 45056 pages free",
    "memory.thp: host": "always",
    "memory.ksm: host": "1",
    "service.ksmtuned: host": "active",
    # All that runs is bound to a node.
    "numa.balancing: host": "1",
    "power.governor: host": "schedutil on CPUs 0-95 (cppc_cpufreq)",
    # The card is on node 2 (CPUs 48-71), its interrupts on node 0; the port of 1 Gb/s is let be.
    "irq.nic_node: interface eth0": (
        f"IRQ 400 (mlx5_comp0@pci:{CARD}) on CPUs 0, IRQ 401 (mlx5_comp1@pci:{CARD}) on CPUs 1, "
        f"IRQ 402 (mlx5_comp2@pci:{CARD}) on CPUs 2 and 5 more"
    ),
    "pci.link: device 0000:81:00.0": "16 GT/s x8",
    "block.scheduler: disk nvme0n1": "bfq",
    # It may move interrupts to 24-31 and 72-79, which are db1's and db2's.
    "service.irqbalance: host": "active",
    "service.tuned: host": "balanced",
    "firmware.memory_refresh: host": "32ms",
}

NEEDS_A_PERSON = {"pci.link: device 0000:81:00.0", "service.tuned: host"} | {
    "firmware.memory_refresh: host"
}
"""A slot, a profile that is the site's to choose, and the BIOS."""


def test_a_server_as_delivered() -> None:
    results = found(delivered())
    assert {name: each.found for name, each in results.items()} == EXPECTED
    assert {name for name, each in results.items() if not each.changes} == NEEDS_A_PERSON


def test_the_server_after_every_change_that_software_can_make() -> None:
    host = delivered()
    changes = [made for each in found(host).values() for made in each.changes]
    after = carried_out(host, changes)
    assert set(found(after)) == NEEDS_A_PERSON
    # Eight interrupts on eight CPUs of the card's node, none on a CPU that db3 will have.
    cpus = {irq.effective_affinity.first for irq in after.irq if irq.effective_affinity}
    assert len(cpus) == 8 and cpus <= set(range(48, 72))
