"""Which settings of a host a change edits: a table with a function for each kind."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from virtboost.emit import bootloader
from virtboost.emit.domain import GuestChange, domain_edit
from virtboost.emit.kernel import INTERFACE, is_kernel_file, require, settings
from virtboost.emit.setting import ABSENT, Edit, Form, to
from virtboost.errors import InputError
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

PRESENT = "present\n"
"""What stands before the content of a configuration file that is there."""

ENGINES = ("docker", "podman")
"""Container engines whose ``update`` takes effect on a running container."""

CONFIGURATION = re.compile(
    r"/etc/(?:(?:sysctl|modprobe|tmpfiles)\.d/[\w.@-]+\.conf|udev/rules\.d/[\w.@-]+\.rules"
    r"|default/(?:grub|irqbalance)|sysconfig/irqbalance|kernel/cmdline|docker/daemon\.json"
    r"|nova/[\w-]+\.conf|libvirt/(?:qemu|libvirtd|virtqemud)\.conf)"
    r"|/var/lib/kubelet/config\.yaml"
)
"""Files that a plan may edit; anything else on the host is out of its reach."""

_UNIT = re.compile(r"[\w@.:-]{1,120}")
_MODULE = re.compile(r"\w[\w-]{0,60}")
_FOLDER = re.compile(r"/(?!.*\.\.)[\w./-]{1,200}")
_DATAPATH = re.compile(r"[a-z]+@[\w.-]{1,60}")
_PLAIN = re.compile(r"[\w.,:;/+*-]{1,200}")


def edits(change: Change) -> tuple[Edit, ...]:
    """Return what a change edits.

    Raises:
        InputError: A part of the change is not what it says it is.
    """
    if is_kernel_file(change):
        found = settings(change)
        return tuple(Edit(path=s.path, form=s.form, make=to(s.value)) for s in found)
    return tuple(_EDITS[type(change)](change))


def at(tool: str, *about: object) -> str:
    """Return the path of a setting that a tool tells."""
    return shlex.join((tool, *map(str, about)))


def content(value: str) -> str | None:
    """Return the content of a configuration file from its value; None: there is no such file."""
    return None if value == ABSENT else value.removeprefix(PRESENT)


def of_content(text: str | None) -> str:
    """Return the value of a configuration file with this content."""
    return ABSENT if text is None else PRESENT + text


def _channels(change: NicChannels) -> Iterator[Edit]:
    require(INTERFACE, change.interface, "interface")
    yield Edit(path=at("channels", change.interface), make=to(str(int(change.combined))))


def _service(change: ServiceState) -> Iterator[Edit]:
    require(_UNIT, change.name, "service")
    states = (("inactive", "active")[change.active], ("disabled", "enabled")[change.enabled])
    yield Edit(path=at("service", change.name), form="service", make=to(" ".join(states)))


def _module(change: ModuleParameter) -> Iterator[Edit]:
    for text in (change.module, change.name):
        require(_MODULE, text, "module or parameter")
    require(_PLAIN, change.value, f"value of {change.module}.{change.name}")
    live = at("parameter", change.module, change.name)
    yield Edit(path=live, form="flag", make=to(change.value), optional=True)
    file = f"/etc/modprobe.d/virtboost-{change.module}-{change.name}.conf"
    line = f"options {change.module} {change.name}={change.value}\n"
    yield Edit(path=at("file", file), make=to(of_content(line)))


def _argument(change: KernelArgument) -> Iterator[Edit]:
    word = bootloader.word(change) or ABSENT
    yield Edit(path=at("grubby", change.name), make=to(word), optional=True)
    for tool, edit in (("grub", bootloader.in_grub), ("cmdline", _in_line)):
        yield Edit(path=tool, make=_in_file(change, edit), optional=True)


def _in_line(change: KernelArgument, text: str) -> str:
    if bootloader.told(change.name, text) == bootloader.word(change):
        return text
    return bootloader.in_line(change, text) + "\n"


def _in_file(
    change: KernelArgument, edit: Callable[[KernelArgument, str], str]
) -> Callable[[str], str]:
    return lambda found: of_content(edit(change, found.removeprefix(PRESENT)))


def _live(path: str, change: GuestVcpuPin | GuestEmulatorPin | GuestIothreadPin) -> Edit:
    if not change.cpus:
        raise InputError(f"{path}: no pCPU to pin to")
    value = str(change.cpus)
    return Edit(path=path, form="list", make=lambda now: ABSENT if now == ABSENT else value)


def _vcpu_pin(change: GuestVcpuPin) -> Iterator[Edit]:
    yield _live(at("vcpupin", change.guest, int(change.vcpu)), change)
    yield _definition(change)


def _emulator_pin(change: GuestEmulatorPin) -> Iterator[Edit]:
    yield _live(at("emulatorpin", change.guest), change)
    yield _definition(change)


def _iothread_pin(change: GuestIothreadPin) -> Iterator[Edit]:
    yield _live(at("iothreadpin", change.guest, int(change.iothread)), change)
    yield _definition(change)


def _next_start(change: GuestChange) -> Iterator[Edit]:
    yield _definition(change)


def _definition(change: GuestChange) -> Edit:
    return Edit(path=at("domain", change.guest), make=domain_edit(change), optional=True)


def _container(change: ContainerUpdate) -> Iterator[Edit]:
    if change.engine not in ENGINES:
        raise InputError(f"container {change.container}: {change.engine} changes none that runs")
    about = (change.engine, change.container)
    lists: tuple[tuple[str, str | None, Form], ...] = (
        ("cpuset-cpus", _text(change.cpuset), "list"),
        ("cpuset-mems", ",".join(map(str, change.node_ids or ())), "list"),
        ("memory", _memory(change.memory_bytes), "text"),
    )
    for tool, value, form in lists:
        if value:
            yield Edit(path=at(tool, *about), form=form, make=to(value))


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def _memory(size_bytes: int | None) -> str | None:
    """Return the memory and the memory with swap, as Docker counts them."""
    return None if size_bytes is None else f"{int(size_bytes)} {int(size_bytes)}"


def _ovs(change: OvsOtherConfig) -> Iterator[Edit]:
    require(_MODULE, change.key, "key of other_config")
    if change.value is not None:
        require(_PLAIN, change.value, f"value of other_config:{change.key}")
    path = at("other_config", change.key)
    yield Edit(path=path, make=to(ABSENT if change.value is None else change.value))


def _window_check(change: OvsTcpWindowCheck) -> Iterator[Edit]:
    require(_FOLDER, change.folder, "run folder of Open vSwitch")
    require(_DATAPATH, change.datapath, "datapath")
    path = at("tcp-window-check", change.folder, change.datapath)
    yield Edit(path=path, make=to("enabled" if change.enabled else "disabled"))


def _file(change: FileEdit) -> Iterator[Edit]:
    require(CONFIGURATION, change.path, "file")

    def make(found: str) -> str:
        if content(found) not in (change.before, change.after):
            raise InputError(f"{change.path}: is not as it was when this edit was made")
        return of_content(change.after)

    yield Edit(path=at("file", change.path), make=make)


_EDITS: dict[type, Callable[[Any], Iterator[Edit]]] = {
    NicChannels: _channels,
    ServiceState: _service,
    ModuleParameter: _module,
    KernelArgument: _argument,
    GuestVcpuPin: _vcpu_pin,
    GuestEmulatorPin: _emulator_pin,
    GuestIothreadPin: _iothread_pin,
    GuestMemoryPolicy: _next_start,
    GuestMemoryBacking: _next_start,
    GuestTopologyEdit: _next_start,
    ContainerUpdate: _container,
    OvsOtherConfig: _ovs,
    OvsTcpWindowCheck: _window_check,
    FileEdit: _file,
}
