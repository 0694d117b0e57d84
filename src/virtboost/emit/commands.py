"""Changes as shell commands, for a person to read and paste."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

from virtboost.catalogue.commands import other_config, with_arguments, without_arguments
from virtboost.emit.kernel import is_kernel_file, settings
from virtboost.model.change import (
    Change,
    ContainerUpdate,
    FileEdit,
    GuestEmulatorPin,
    GuestIothreadPin,
    GuestMemoryBacking,
    GuestMemoryPolicy,
    GuestTopologyEdit,
    GuestVcpuPin,
    KernelArgument,
    ModuleParameter,
    NicChannels,
    OvsOtherConfig,
    OvsTcpWindowCheck,
    ServiceState,
)


def commands(change: Change) -> tuple[str, ...]:
    """Return lines of shell that carry out a change; one that begins with ``#`` is for a person.

    Raises:
        InputError: A part of the change is not what it says it is.
    """
    if is_kernel_file(change):
        return tuple(_echo(setting.value, setting.path) for setting in settings(change))
    return tuple(_COMMANDS[type(change)](change))


def _line(*words: object) -> str:
    return shlex.join(str(word) for word in words)


def _echo(value: object, path: str) -> str:
    return f"echo {shlex.quote(str(value))} > {shlex.quote(path)}"


def _channels(change: NicChannels) -> Iterator[str]:
    yield _line("ethtool", "-L", change.interface, "combined", change.combined)


def _service(change: ServiceState) -> Iterator[str]:
    yield _line("systemctl", "enable" if change.enabled else "disable", change.name)
    yield _line("systemctl", "start" if change.active else "stop", change.name)


def _module(change: ModuleParameter) -> Iterator[str]:
    options = f"options {change.module} {change.name}={change.value}"
    yield _echo(options, f"/etc/modprobe.d/virtboost-{change.module}.conf")
    yield "# it takes effect when the module is loaded again, or after a reboot"


def _argument(change: KernelArgument) -> Iterator[str]:
    if change.value is None:
        yield from without_arguments(change.name).splitlines()
    else:
        word = f"{change.name}={change.value}" if change.value else change.name
        yield from with_arguments(word).splitlines()


def _vcpu_pin(change: GuestVcpuPin) -> Iterator[str]:
    yield _virsh("vcpupin", change.guest, change.vcpu, change.cpus, "--live", "--config")


def _emulator_pin(change: GuestEmulatorPin) -> Iterator[str]:
    yield _virsh("emulatorpin", change.guest, change.cpus, "--live", "--config")


def _iothread_pin(change: GuestIothreadPin) -> Iterator[str]:
    yield _virsh("iothreadpin", change.guest, change.iothread, change.cpus, "--live", "--config")


def _virsh(*words: object) -> str:
    return _line("virsh", *words)


def _memory_policy(change: GuestMemoryPolicy) -> Iterator[str]:
    nodes = ",".join(str(node_id) for node_id in change.node_ids)
    policy = ("--mode", change.mode, "--nodeset", nodes, "--config")
    yield f"{_virsh('numatune', change.guest, *policy)}  # from its next start"


def _memory_backing(change: GuestMemoryBacking) -> Iterator[str]:
    page = f"<page size='{change.page_size_bytes >> 10}' unit='KiB'/>"
    backing = f"<memoryBacking><hugepages>{page}</hugepages></memoryBacking>"
    yield f"{_virsh('edit', change.guest)}  # {backing}, from its next start"


def _topology(change: GuestTopologyEdit) -> Iterator[str]:
    levels = ("sockets", "dies", "clusters", "cores", "threads")
    told = " ".join(f"{level}='{getattr(change, level)}'" for level in levels)
    yield f"{_virsh('edit', change.guest)}  # in <cpu>: <topology {told}/>, from its next start"


def _container(change: ContainerUpdate) -> Iterator[str]:
    options: list[object] = []
    if change.cpuset is not None:
        options += ["--cpuset-cpus", change.cpuset]
    if change.node_ids is not None:
        options += ["--cpuset-mems", ",".join(map(str, change.node_ids))]
    if change.memory_bytes is not None:
        options += ["--memory", change.memory_bytes, "--memory-swap", change.memory_bytes]
    yield _line(change.engine, "update", *options, change.container)


def _ovs(change: OvsOtherConfig) -> Iterator[str]:
    if change.value is None:
        yield _line("ovs-vsctl", "remove", "Open_vSwitch", ".", "other_config", change.key)
    else:
        yield other_config(shlex.quote(change.key), shlex.quote(change.value))


def _window_check(change: OvsTcpWindowCheck) -> Iterator[str]:
    word = f"dpctl/ct-{'enable' if change.enabled else 'disable'}-tcp-seq-chk"
    yield f"OVS_RUNDIR={_line(change.folder)} {_line('ovs-appctl', word, change.datapath)}"


def _file(change: FileEdit) -> Iterator[str]:
    yield f"# {change.path}: {'take it away' if change.after is None else 'edit it'}"


_COMMANDS: dict[type, Callable[[Any], Iterator[str]]] = {
    NicChannels: _channels,
    ServiceState: _service,
    ModuleParameter: _module,
    KernelArgument: _argument,
    GuestVcpuPin: _vcpu_pin,
    GuestEmulatorPin: _emulator_pin,
    GuestIothreadPin: _iothread_pin,
    GuestMemoryPolicy: _memory_policy,
    GuestMemoryBacking: _memory_backing,
    GuestTopologyEdit: _topology,
    ContainerUpdate: _container,
    OvsOtherConfig: _ovs,
    OvsTcpWindowCheck: _window_check,
    FileEdit: _file,
}
