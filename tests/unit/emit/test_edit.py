"""What a plan may touch, and what it may not: plans come from files that anybody may have edited."""

import pytest

from virtboost.emit.edit import edits
from virtboost.errors import InputError
from virtboost.model.change import (
    Change,
    ContainerUpdate,
    FileEdit,
    GuestVcpuPin,
    IrqAffinity,
    KernelFile,
    ModuleParameter,
    NicChannels,
    NicSteering,
    OvsOtherConfig,
    OvsTcpWindowCheck,
    ServiceState,
    Sysctl,
)
from virtboost.model.cpuset import CpuSet

ONE = CpuSet({1})


@pytest.mark.parametrize(
    "change",
    [
        KernelFile(path="/etc/passwd", value="x"),
        KernelFile(path="/sys/../etc/passwd", value="x"),
        KernelFile(path="/sys/kernel/mm/ksm/run;reboot", value="1"),
        KernelFile(path="/proc/self/mem", value="1"),
        KernelFile(path="/proc/sys/vm/swappiness", value="1\n2"),
        Sysctl(name="../../etc/passwd", value="1"),
        Sysctl(name="vm", value="1"),
        Sysctl(name="vm.swappiness", value="$(reboot)\x1b"),
        NicSteering(interface="../../x", queue="rx-0", cpus=ONE),
        NicSteering(interface="eth0", queue="rx-0/../..", cpus=ONE),
        NicChannels(interface="-L eth0", combined=1),
        ServiceState(name="--force reboot", active=False, enabled=False),
        ModuleParameter(module="kvm/../../x", name="a", value="1"),
        ModuleParameter(module="kvm", name="a", value="1\ninstall kvm reboot"),
        OvsOtherConfig(key="a=b", value="1"),
        OvsOtherConfig(key="a", value='1"; reboot'),
        OvsTcpWindowCheck(folder="/run/../etc", datapath="netdev@a", enabled=True),
        OvsTcpWindowCheck(folder="/run", datapath="$(reboot)", enabled=True),
        FileEdit(path="/etc/shadow", before="", after=""),
        FileEdit(path="/etc/sysctl.d/../shadow.conf", before="", after=""),
        FileEdit(path="/etc/cron.d/x", before=None, after="* * * * * root reboot"),
        ContainerUpdate(engine="containerd", container="web", cpuset=ONE),
        GuestVcpuPin(guest="db", vcpu=0, cpus=CpuSet()),
    ],
)
def test_refused(change: Change) -> None:
    with pytest.raises(InputError):
        edits(change)


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        (IrqAffinity(irq=40, cpus=ONE), ["/proc/irq/40/smp_affinity_list"]),
        (
            GuestVcpuPin(guest="my guest; reboot", vcpu=3, cpus=ONE),
            ["vcpupin 'my guest; reboot' 3", "domain 'my guest; reboot'"],
        ),
        (
            ModuleParameter(module="kvm", name="halt_poll_ns", value="0"),
            ["parameter kvm halt_poll_ns", "file /etc/modprobe.d/virtboost-kvm-halt_poll_ns.conf"],
        ),
        (
            ContainerUpdate(engine="docker", container="a b", cpuset=ONE, memory_bytes=1 << 30),
            ["cpuset-cpus docker 'a b'", "memory docker 'a b'"],
        ),
    ],
)
def test_paths(change: Change, paths: list[str]) -> None:
    assert [edit.path for edit in edits(change)] == paths
