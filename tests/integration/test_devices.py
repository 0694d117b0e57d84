"""The devices of this machine, and of real captures, as other programs tell them."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from virtboost.model.host import Host
from virtboost.model.pci import PciDevice
from virtboost.scan.host import scan
from virtboost.transport.local import LocalReader
from virtboost.transport.recorded import RecordedReader

CAPTURE = Path(__file__).parents[3] / "shared" / "captures" / "40intel64-2g2n4c+pcilocality.tar.bz2"


def ask(*argv: str, **environment: str) -> str:
    """Return what a program prints; skip where it is not installed."""
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "LC_ALL": "C", **environment},
    ).stdout


@pytest.fixture(scope="module")
def host() -> Host:
    return scan(LocalReader())


def test_pci_functions_are_those_of_lspci(host: Host) -> None:
    blocks = ask("lspci", "-Dvmmnk").strip().split("\n\n")
    told = [dict(re.findall(r"^(\w+):\t(.*)$", block, re.MULTILINE)) for block in blocks]
    assert [
        {
            "Slot": device.address,
            "Class": device.class_code[:4],
            "ProgIf": device.class_code[4:],
            "Vendor": device.vendor_id,
            "Device": device.device_id,
            "Driver": device.driver,
            "NUMANode": None if device.node_id is None else str(device.node_id),
            "IOMMUGroup": None if device.iommu_group is None else str(device.iommu_group),
        }
        for device in host.pci
    ] == [
        {
            "Slot": fields["Slot"],
            "Class": fields["Class"],
            "ProgIf": fields.get("ProgIf", "00"),
            "Vendor": fields["Vendor"],
            "Device": fields["Device"],
            "Driver": fields.get("Driver"),
            "NUMANode": fields.get("NUMANode"),
            "IOMMUGroup": fields.get("IOMMUGroup"),
        }
        for fields in told
    ]


def test_interfaces_are_those_of_ethtool(host: Host) -> None:
    physical = [interface for interface in host.net if interface.kind == "physical"]
    for interface in physical:
        about = dict(re.findall(r"^([\w-]+): (.*)$", ask("ethtool", "-i", interface.name), re.M))
        assert interface.driver == about["driver"]
        assert (interface.pci_address or "") == about["bus-info"]
        (features,) = json.loads(ask("ethtool", "--json", "-k", interface.name))
        assert features.pop("ifname") == interface.name
        assert interface.offloads == {name: state["active"] for name, state in features.items()}
        assert set(interface.fixed_offloads) == {n for n, s in features.items() if s["fixed"]}
    assert physical or not list(Path("/sys/class/net").glob("*/device"))


def test_disks_are_those_of_lsblk(host: Host) -> None:
    columns = "NAME,SIZE,ROTA,SCHED,TYPE,SUBSYSTEMS"
    told = json.loads(ask("lsblk", "--json", "--bytes", "--nodeps", "--output", columns))
    disks = {
        disk["name"]: (disk["size"], disk["rota"], disk["sched"])
        for disk in told["blockdevices"]
        if disk["type"] == "disk" and disk["subsystems"] != "block"
    }
    assert {d.name: (d.size_bytes, d.rotational, d.scheduler) for d in host.block} == disks


def test_interrupts_are_those_that_awk_counts() -> None:
    before = _awk_counts()
    irqs = scan(LocalReader()).irq
    after = _awk_counts()
    for irq in irqs:
        assert before.get(irq.number, 0) <= irq.count <= after.get(irq.number, irq.count)
        assert irq.count == sum(irq.counts.values())
    assert {irq.number for irq in irqs} >= set(before) & set(after)


def _awk_counts() -> dict[int, int]:
    program = (
        "NR == 1 { cpus = NF; next } $1 ~ /^[0-9]+:$/ "
        '{ n = 0; for (i = 2; i <= cpus + 1; i++) n += $i; print $1 + 0 " " n }'
    )
    rows = ask("awk", program, "/proc/interrupts").splitlines()
    return {int(number): int(count) for number, count in (row.split() for row in rows)}


def test_affinity_is_the_kernels_own_list(host: Host) -> None:
    for irq in host.irq:
        told = Path(f"/proc/irq/{irq.number}/smp_affinity_list").read_text().strip()
        assert str(irq.affinity) == told
        owners = list(Path("/sys/bus/pci/devices").glob(f"*/msi_irqs/{irq.number}"))
        assert irq.pci_address == (owners[0].parents[1].name if owners else None)
        action = irq.name.split(", ")[0]
        assert not action or Path(f"/proc/irq/{irq.number}/{action}").is_dir()


@pytest.fixture
def namespace() -> Iterator[str]:
    """Make a network namespace with interfaces of many kinds."""
    name = f"virtboost-{os.getpid()}"
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    ask("ip", "netns", "add", name)
    try:
        commands = """\
            link add name v0 numtxqueues 4 numrxqueues 4 type veth peer name v1
            link add name br0 type bridge
            link add name vx0 mtu 1450 type vxlan id 5 dstport 4789 remote 192.0.2.1
            link set v0 master br0
            link set vx0 master br0
            link set v0 up
            link set v1 up
            link set br0 up
            tuntap add mode tap multi_queue tap0"""
        for command in commands.splitlines():
            ask("ip", "-n", name, *command.split())
        run = ("ip", "netns", "exec", name)
        ask(*run, "ethtool", "-L", "v0", "rx", "3", "tx", "2")
        queues = "/sys/class/net/v0/queues"
        ask(*run, "sh", "-c", f"echo 1 >{queues}/rx-1/rps_cpus; echo 1 >{queues}/tx-1/xps_cpus")
        _wait_for_carrier(name, "br0")
        yield name
    finally:
        ask("ip", "netns", "del", name)


def _wait_for_carrier(namespace: str, interface: str, limit_s: float = 10) -> None:
    end = time.monotonic() + limit_s
    while "LOWER_UP" not in ask("ip", "-n", namespace, "link", "show", interface):
        assert time.monotonic() < end, f"{interface} has no carrier after {limit_s} s"
        time.sleep(0.05)


@pytest.mark.needs_root
def test_interfaces_of_a_namespace_are_those_of_ip(namespace: str) -> None:
    run = ("ip", "netns", "exec", namespace)
    told = {link["ifname"]: link for link in json.loads(ask(*run, "ip", "-j", "link"))}
    found = {
        interface["name"]: interface
        for interface in json.loads(ask(*run, sys.executable, "-m", "virtboost", "scan", "--json"))[
            "net"
        ]
    }
    assert {name: (i["mtu"], i["master"]) for name, i in found.items()} == {
        name: (link["mtu"], link.get("master")) for name, link in told.items()
    }
    for name, interface in found.items():
        assert interface["up"] == ("LOWER_UP" in told[name]["flags"])
        assert interface["kind"] == "virtual"
        assert interface["channels"] is None
    assert (found["v0"]["rx_queue_count"], found["v0"]["tx_queue_count"]) == (3, 2)
    assert found["v0"]["rps_cpus"] == {"rx-0": "", "rx-1": "0", "rx-2": ""}
    assert found["v0"]["xps_cpus"] == {"tx-0": "", "tx-1": "0"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of hwloc's capture of a real server with its PCI tree."""
    if not CAPTURE.exists():
        pytest.skip(f"{CAPTURE.name} is not beside the project")
    folder = tmp_path_factory.mktemp("capture")
    shutil.unpack_archive(CAPTURE, folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture(scope="module", params=["tar", "directory"])
def captured(request: pytest.FixtureRequest, unpacked: Path) -> Host:
    return scan(RecordedReader(CAPTURE if request.param == "tar" else unpacked))


def test_capture_is_what_lstopo_shows(captured: Host, unpacked: Path) -> None:
    argv = ("lstopo-no-graphics", "--of", "xml", "--filter", "io:all")
    shown = ElementTree.fromstring(ask(*argv, HWLOC_FSROOT=str(unpacked)))
    drawn = list(_drawn(shown))
    assert [_as_drawn(device) for device in captured.pci] == sorted(
        (
            element.attrib["pci_busid"],
            element.attrib["pci_type"][:16],
            parent,
            round(float(element.attrib["pci_link_speed"]), 3),
        )
        for element, parent in drawn
        if "pci_busid" in element.attrib
    )
    owners = {
        element.attrib["name"]: parent
        for element, parent in drawn
        if element.get("osdev_type") in ("0", "2")  # disks and network interfaces
    }
    del owners["sr0"]  # an optical drive is no disk
    told = {i.name: i.pci_address for i in captured.net if i.kind == "physical"}
    assert told | {disk.name: disk.pci_address for disk in captured.block} == owners


def _drawn(
    element: ElementTree.Element, parent: str = ""
) -> Iterator[tuple[ElementTree.Element, str]]:
    """Yield every object with the address of the PCI function above it."""
    yield element, parent
    for child in element:
        yield from _drawn(child, element.get("pci_busid", parent))


def _as_drawn(device: PciDevice) -> tuple[str, str, str, float]:
    """Return a function as lstopo writes it; the bandwidth is in GB/s."""
    coding = 128 / 130 if (device.link_speed_gtps or 0) >= 8 else 8 / 10
    bandwidth = (device.link_speed_gtps or 0) * (device.link_width or 0) * coding / 8
    ids = f"{device.class_code[:4]} [{device.vendor_id}:{device.device_id}]"
    return device.address, ids, device.parent or "", round(bandwidth, 3)


def test_nodes_of_the_capture(captured: Host) -> None:
    """The kernel tells one node: the InfiniBand card's.

    lstopo draws it at the whole machine too, since it reads ``local_cpus``, which this old kernel
    takes from the bus and not from the device; so the files themselves are the oracle.
    """
    assert {d.address: d.node_id for d in captured.pci if d.node_id is not None} == {
        "0000:43:00.0": 2
    }
    assert {i.name: i.node_id for i in captured.net if i.node_id is not None} == {"ib0": 2}
    ports = {i.name: (i.up, i.speed_bps, i.rx_queue_count) for i in captured.net}
    assert ports["eth0"] == (True, 1_000_000_000, 8)
    assert ports["eth1"] == (False, None, 8)
    assert [(d.name, d.scheduler, d.size_bytes) for d in captured.block] == [
        ("sda", "cfq", 1_798_651_772_928)
    ]
