"""A recorded host with many kinds of devices, as other programs told them in the same boot."""

import json
import re

import pytest

from support.captures import HOSTS
from virtboost.model.cpuset import CpuSet
from virtboost.model.host import Host
from virtboost.scan.host import scan
from virtboost.transport.recorded import RecordedReader

FOLDER = HOSTS / "8x86-2s2n-devices"


@pytest.fixture(scope="module")
def host() -> Host:
    return scan(RecordedReader(FOLDER / "host.tar.zst"))


def told(name: str) -> str:
    return (FOLDER / name).read_text()


def links() -> dict[str, str]:
    """Return what ``lspci -vvv`` says of each PCI function."""
    parts = re.split(r"^(\w{4}:\w\w:\w\w\.\w) ", told("lspci-links.txt"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def first(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    return match.groups() if match else ()


def test_links_nodes_and_drivers_are_those_of_lspci(host: Host) -> None:
    about = links()
    assert set(about) == {device.address for device in host.pci}
    for device in host.pci:
        text = about[device.address]
        now = first(r"LnkSta:\tSpeed ([\d.]+)GT/s, Width x(\d+)", text)
        most = first(r"LnkCap:\t.*Speed ([\d.]+)GT/s, Width x(\d+)", text)
        assert _numbers(device.link_speed_gtps, device.link_width) == _numbers(*now)
        assert _numbers(device.max_link_speed_gtps, device.max_link_width) == _numbers(*most)
        assert _numbers(device.node_id) == _numbers(*first(r"NUMA node: (\d+)", text))
        assert _numbers(device.iommu_group) == _numbers(*first(r"IOMMU group: (\d+)", text))
        assert (device.driver or "") == "".join(first(r"Kernel driver in use: (\S+)", text))
        vfs = first(r"Total VFs: (\d+), Number of VFs: (\d+)", text)
        assert _numbers(device.sriov_total_vfs, device.sriov_num_vfs) == _numbers(*vfs)
        assert len(device.virtual_functions) == (device.sriov_num_vfs or 0)


def _numbers(*values: object) -> list[float]:
    return [float(str(value)) for value in values if value is not None]


def test_interfaces_are_those_of_ethtool(host: Host) -> None:
    parts = re.split(r"^== (.*)\n", told("ethtool.txt"), flags=re.MULTILINE)[1:]
    about = dict(zip(parts[::2], parts[1::2], strict=True))
    assert set(about) == {nic.name for nic in host.net if nic.kind == "physical"}
    for nic in host.net:
        text = about.get(nic.name)
        if text is None:
            continue
        assert first(r"driver: (.*)", text) == (nic.driver,)
        assert nic.pci_address is not None
        assert nic.pci_address in first(r"bus-info: (.*)", text)[0]
        assert nic.up == ("Link detected: yes" in text)
        speed = first(r"Speed: (\d+)Mb/s", text)
        assert nic.speed_bps == (int(speed[0]) * 1_000_000 if speed else None)
        queues = [int(number) for number in re.findall(r"Combined:\t(\d+)", text)]
        assert queues == (
            [nic.channels.combined_max, nic.channels.combined] if nic.channels else []
        )
        assert not queues or nic.rx_queue_count == nic.tx_queue_count == queues[1]


def test_disks_are_those_of_lsblk(host: Host) -> None:
    disks = {
        disk["name"]: disk
        for disk in json.loads(told("lsblk.txt"))["blockdevices"]
        if disk["type"] == "disk"
    }
    assert {disk.name for disk in host.block} == set(disks)
    for disk in host.block:
        assert disk.size_bytes == disks[disk.name]["size"]
        assert disk.rotational == disks[disk.name]["rota"]
        assert disk.paths or disk.scheduler == disks[disk.name]["sched"]


def test_nvme_disks_with_several_paths(host: Host) -> None:
    """What QEMU was told (``host.toml``); lsblk does not look behind the disk."""
    disks = {disk.name: disk for disk in host.block}
    one, two = disks["nvme2n1"], disks["nvme0n1"]
    assert (one.paths, one.scheduler, one.hardware_queue_count) == (
        ("nvme2c2n1",),
        "mq-deadline",
        8,
    )
    controller = host.pci_device(one.pci_address)
    assert controller is not None
    assert (controller.sriov_total_vfs, controller.node_id, one.node_id) == (4, 1, 1)
    assert two.paths == ("nvme0c0n1", "nvme0c3n1")
    assert (two.pci_address, two.node_id) == (None, None)
    assert (two.scheduler, two.hardware_queue_count) == ("mq-deadline", 4)


def test_interrupts_are_where_the_kernel_says(host: Host) -> None:
    rows = [line.split() for line in told("irq.txt").splitlines()]
    owners = {int(number): (cpus, path.split("/")[5]) for number, cpus, path in rows}
    assert set(owners) == {irq.number for irq in host.irq}
    for irq in host.irq:
        cpus, owner = owners[irq.number]
        assert irq.affinity == CpuSet.parse(cpus)
        assert irq.pci_address == (None if owner == "*" else owner)
    names = {irq.name: irq.interface for irq in host.irq if irq.interface}
    assert {name for name, interface in names.items() if interface == "eth1"} == {
        "eth1-rx-0",
        "eth1-tx-0",
        "eth1",
    }
    assert {name.split("-")[0] for name, i in names.items() if i == "eth0"} == {"virtio2"}
    assert set(names.values()) == {"eth0", "eth1"}


def test_node_of_a_spread_interrupt_is_that_of_its_device(host: Host) -> None:
    """The kernel's own is that of the first CPU: nvme0 is near node 0, its first queue on CPU 4."""
    irq = next(irq for irq in host.irq if irq.name == "nvme0q1")
    assert irq.affinity is not None
    assert (irq.affinity.first, irq.node_id) == (4, 0)
