"""What is written for the next boot, in the forms of sysctl.d(5), tmpfiles.d(5) and udev(7)."""

import pytest

from virtboost.emit.edit import CONFIGURATION, content
from virtboost.emit.persist import forgotten, persistent
from virtboost.emit.setting import ABSENT
from virtboost.model.change import (
    Change,
    ContainerUpdate,
    Governor,
    HugepagePoolSize,
    IrqAffinity,
    KernelArgument,
    KernelFile,
    Ksm,
    NicChannels,
    NicSteering,
    ServiceState,
    Sysctl,
)
from virtboost.model.cpuset import CpuSet

NODE1 = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages"
CPU = "/sys/devices/system/cpu"
UDEV = "/etc/udev/rules.d"
RPS = "/sys/class/net/enp1s0/queues/rx-0/rps_cpus"

WRITTEN: list[tuple[Change, str, str]] = [
    (
        Sysctl(name="net.core.somaxconn", value="4096"),
        "/etc/sysctl.d/99-virtboost-net.core.somaxconn.conf",
        "net.core.somaxconn = 4096\n",
    ),
    (
        KernelFile(path="/proc/sys/net/ipv4/conf/eth0.5/rp_filter", value="1"),
        "/etc/sysctl.d/99-virtboost-net-ipv4-conf-eth0.5-rp_filter.conf",
        "net/ipv4/conf/eth0.5/rp_filter = 1\n",
    ),
    (
        KernelFile(path="/sys/block/vda/queue/scheduler", value="100%\\n"),
        "/etc/tmpfiles.d/virtboost-sys-block-vda-queue-scheduler.conf",
        "w! /sys/block/vda/queue/scheduler - - - - 100%%\\\\n\n",
    ),
    (
        HugepagePoolSize(node_id=1, size_bytes=2 << 20, pages=512),
        f"/etc/tmpfiles.d/virtboost-{NODE1[1:].replace('/', '-')}.conf",
        f"w! {NODE1} - - - - 512\n",
    ),
    (
        Ksm(setting="run", value=0),
        "/etc/tmpfiles.d/virtboost-sys-kernel-mm-ksm-run.conf",
        "w! /sys/kernel/mm/ksm/run - - - - 0\n",
    ),
    (
        Governor(cpus=CpuSet.parse("0,2"), governor="performance"),
        f"/etc/tmpfiles.d/virtboost-{CPU[1:].replace('/', '-')}-cpu0-cpufreq-scaling_governor.conf",
        f"w! {CPU}/cpu0/cpufreq/scaling_governor - - - - performance\n"
        f"w! {CPU}/cpu2/cpufreq/scaling_governor - - - - performance\n",
    ),
    (
        NicChannels(interface="enp1s0", combined=8),
        f"{UDEV}/98-virtboost-enp1s0-channels.rules",
        'ACTION=="add|move", SUBSYSTEM=="net", KERNEL=="enp1s0", '
        'RUN+="/usr/sbin/ethtool -L enp1s0 combined 8"\n',
    ),
    (
        NicSteering(interface="enp1s0", queue="rx-0", cpus=CpuSet({0, 1})),
        f"{UDEV}/99-virtboost-enp1s0-rx-0.rules",
        'ACTION=="add|move", SUBSYSTEM=="net", KERNEL=="enp1s0", '
        f"RUN+=\"/bin/sh -c 'echo 3 >{RPS}'\"\n",
    ),
]


@pytest.mark.parametrize(("change", "path", "text"), WRITTEN)
def test_file(change: Change, path: str, text: str) -> None:
    (edit,) = persistent(change)
    assert edit.path == f"file {path}"
    assert CONFIGURATION.fullmatch(path), "a plan may edit it too"
    written = content(edit.make(ABSENT))
    assert written is not None
    assert written.partition("\n")[2] == text
    assert not forgotten(change)


@pytest.mark.parametrize(
    "change",
    [
        ServiceState(name="irqbalance.service", active=False, enabled=False),
        KernelArgument(name="nosmt", value=""),
        ContainerUpdate(engine="docker", container="web", cpuset=CpuSet({1})),
    ],
)
def test_what_holds_by_itself(change: Change) -> None:
    assert persistent(change) == ()
    assert not forgotten(change)


@pytest.mark.parametrize(
    "change",
    [
        IrqAffinity(irq=40, cpus=CpuSet({1})),
        KernelFile(path="/proc/irq/40/smp_affinity_list", value="1"),
    ],
)
def test_interrupts_have_other_numbers_after_a_reboot(change: Change) -> None:
    assert persistent(change) == ()
    assert forgotten(change)
