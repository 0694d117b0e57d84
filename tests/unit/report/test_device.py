"""Devices as the picture shows them."""

from support.rich_host import rich_host
from virtboost.report.device import devices
from virtboost.report.workload import workloads

HOST = rich_host()

FOUND = {device.name: device for device in devices(HOST, workloads(HOST))}


def test_an_interface_has_its_speed_its_vfs_and_the_guests_that_use_them() -> None:
    eth0 = FOUND["eth0"]
    assert eth0.details == ("25 Gb/s", "hinic", "16 queues", "4 of 120 VFs")
    assert eth0.interrupts == ("16 on node 0",)
    assert not eth0.misplaced
    assert [workload.name for workload in eth0.tags] == ["db1"]


def test_interrupts_on_another_node_are_told() -> None:
    assert FOUND["eth1"].interrupts == ("6 on node 2", "2 on node 3")
    assert FOUND["eth1"].misplaced
    assert "PCIe x8 of x16" in FOUND["eth1"].details


def test_disks_of_one_controller_stand_together() -> None:
    disks = FOUND["sda, sdb, sdc, sdd and 4 more"]
    assert disks.details == ("8 disks", "58 TiB", "hisi_sas_v3_hw")
    assert "disk sdh" in disks.objects
    assert disks.node_id == 0


def test_interrupts_of_a_disk_are_told_and_never_misplaced() -> None:
    assert FOUND["nvme0n1"].interrupts == ("8 on node 3",)
    assert not FOUND["nvme0n1"].misplaced


def test_bridges_vfs_and_what_has_a_name_already_are_left_out() -> None:
    assert set(FOUND) == {
        *("eth0", "eth1", "eth2", "nvme0n1", "sda, sdb, sdc, sdd and 4 more"),
        "0000:c1:00.0",
    }
    assert FOUND["0000:c1:00.0"].kind == "accelerator"
    assert FOUND["eth2"].node_id is None
