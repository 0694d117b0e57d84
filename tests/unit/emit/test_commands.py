"""Changes in the words of other tools; that the tools take them is proved in integration."""

import shlex
from typing import get_args

import pytest

from virtboost.emit.commands import commands
from virtboost.model import change
from virtboost.model.cpuset import CpuSet

CPUS = CpuSet({0, 1, 2, 8})


@pytest.mark.parametrize(
    ("made", "lines"),
    [
        (change.Sysctl(name="kernel.numa_balancing", value="0"), ["echo 0 > /proc/sys/kernel/numa_balancing"]),
        (change.NicChannels(interface="eth0", combined=16), ["ethtool -L eth0 combined 16"]),
        (change.ServiceState(name="irqbalance", active=False, enabled=False), ["systemctl disable irqbalance", "systemctl stop irqbalance"]),
        (change.GuestVcpuPin(guest="db 1", vcpu=2, cpus=CPUS), ["virsh vcpupin 'db 1' 2 0-2,8 --live --config"]),
        (change.GuestIothreadPin(guest="db", iothread=1, cpus=CPUS), ["virsh iothreadpin db 1 0-2,8 --live --config"]),
        (change.ContainerUpdate(engine="podman", container="web", cpuset=CPUS, node_ids=(0, 1)), ["podman update --cpuset-cpus 0-2,8 --cpuset-mems 0,1 web"]),
        (change.OvsOtherConfig(key="pmd-cpu-mask", value="0x3"), ["ovs-vsctl set Open_vSwitch . other_config:pmd-cpu-mask=0x3"]),
        (change.OvsOtherConfig(key="pmd-cpu-mask", value=None), ["ovs-vsctl remove Open_vSwitch . other_config pmd-cpu-mask"]),
        (change.OvsTcpWindowCheck(folder="/run/a b", datapath="netdev@x", enabled=False), ["OVS_RUNDIR='/run/a b' ovs-appctl dpctl/ct-disable-tcp-seq-chk netdev@x"]),
        (change.KernelArgument(name="isolcpus", value="4-7"), ["grubby --update-kernel=ALL --args='isolcpus=4-7'"]),
        (change.KernelArgument(name="isolcpus", value=None), ["grubby --update-kernel=ALL --remove-args='isolcpus'"]),
    ],
)  # fmt: skip
def test_lines(made: change.Change, lines: list[str]) -> None:
    """As virsh(1), docker-update(1), systemctl(1), ovs-vsctl(8), ethtool(8) and grubby(8) have it."""
    assert [line for line in commands(made) if not line.startswith("#")] == lines


def test_a_name_is_one_word_of_the_shell() -> None:
    pin = change.GuestEmulatorPin(guest="a; rm -rf $HOME '", cpus=CPUS)
    (line,) = commands(pin)
    assert shlex.split(line)[2] == pin.guest


EXAMPLES: dict[type, change.Change] = {
    type(each): each
    for each in (
        change.KernelFile(path="/sys/a", value="1"),
        change.Sysctl(name="a.b", value="1"),
        change.IrqAffinity(irq=1, cpus=CPUS),
        change.NicChannels(interface="eth0", combined=1),
        change.NicSteering(interface="eth0", queue="rx-0", cpus=CPUS),
        change.HugepagePoolSize(node_id=0, size_bytes=2 << 20, pages=1),
        change.TransparentHugepages(setting="enabled", value="never"),
        change.Ksm(setting="run", value=0),
        change.Governor(cpus=CPUS, governor="performance"),
        change.ServiceState(name="a", active=True, enabled=True),
        change.ModuleParameter(module="kvm", name="halt_poll_ns", value="0"),
        change.KernelArgument(name="quiet", value=""),
        change.GuestVcpuPin(guest="a", vcpu=0, cpus=CPUS),
        change.GuestEmulatorPin(guest="a", cpus=CPUS),
        change.GuestIothreadPin(guest="a", iothread=1, cpus=CPUS),
        change.GuestMemoryPolicy(guest="a", mode="strict", node_ids=(0,)),
        change.GuestMemoryBacking(guest="a", page_size_bytes=2 << 20),
        change.GuestTopologyEdit(guest="a", sockets=1, dies=1, clusters=2, cores=4, threads=1),
        change.ContainerUpdate(engine="docker", container="a", memory_bytes=1 << 30),
        change.OvsOtherConfig(key="a", value="b"),
        change.OvsTcpWindowCheck(folder="/run/a", datapath="netdev@a", enabled=True),
        change.FileEdit(path="/etc/a", before=None, after="b"),
    )
}


@pytest.mark.parametrize("kind", get_args(change.Change), ids=lambda kind: kind.__name__)
def test_every_kind_of_change_has_its_commands(kind: type) -> None:
    assert commands(EXAMPLES[kind])
