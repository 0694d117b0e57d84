"""The files that make a change hold after a reboot: a table with a function for each kind.

What they set is set before guests and containers start: `systemd-sysctl`, `systemd-tmpfiles` and
`systemd-udev-trigger` are wanted by ``sysinit.target``, which other services wait for; wanted and
not required, so one that fails stops no boot (bootup(7), sysctl.d(5), tmpfiles.d(5), udev(7)).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from virtboost.emit.edit import at, of_content
from virtboost.emit.kernel import settings
from virtboost.emit.setting import Edit, Setting, to
from virtboost.model.change import (
    Change,
    Governor,
    HugepagePoolSize,
    IrqAffinity,
    KernelFile,
    Ksm,
    NicChannels,
    NicSteering,
    Sysctl,
    TransparentHugepages,
)

_BY = "# Written by virtboost apply --persist; virtboost undo removes it.\n"

_SYSCTLS = "/proc/sys/"


def persistent(change: Change) -> tuple[Edit, ...]:
    """Return the files that make a change hold after a reboot.

    Empty for what holds by itself, and for the affinity of interrupts: a boot numbers them anew.
    """
    make = _FILES.get(type(change))
    return () if make is None else tuple(make(change))


def forgotten(change: Change) -> bool:
    """Tell whether a change is gone after a reboot, whatever is written."""
    return isinstance(change, IrqAffinity) or (
        isinstance(change, KernelFile) and change.path.startswith("/proc/irq/")
    )


def _written(path: str, text: str) -> Edit:
    return Edit(path=at("file", path), make=to(of_content(_BY + text)))


def _slug(text: str) -> str:
    return re.sub(r"[^\w.@]+", "-", text.strip("/"))


def _sysctl(change: Sysctl) -> Iterator[Edit]:
    yield _sysctl_file(change.name, change.value)


def _sysctl_file(name: str, value: str) -> Edit:
    return _written(f"/etc/sysctl.d/99-virtboost-{_slug(name)}.conf", f"{name} = {value}\n")


def _kernel_file(change: KernelFile) -> Iterator[Edit]:
    if change.path.startswith(_SYSCTLS):
        yield _sysctl_file(change.path.removeprefix(_SYSCTLS), change.value)
    elif not forgotten(change):
        yield _tmpfiles(settings(change))


def _set(change: Change) -> Iterator[Edit]:
    yield _tmpfiles(settings(change))


def _tmpfiles(files: Sequence[Setting]) -> Edit:
    """Return the file with a line for each setting; one that is not there is passed over."""
    lines = [f"w! {each.path} - - - - {_escaped(each.value)}\n" for each in files]
    name = f"virtboost-{_slug(files[0].path)}.conf"
    return _written(f"/etc/tmpfiles.d/{name}", "".join(lines))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("%", "%%")


def _channels(change: NicChannels) -> Iterator[Edit]:
    program = f"/usr/sbin/ethtool -L {change.interface} combined {int(change.combined)}"
    yield _rule("98", change.interface, "channels", program)


def _steering(change: NicSteering) -> Iterator[Edit]:
    (file,) = settings(change)
    program = f"/bin/sh -c 'echo {file.value} >{file.path}'"
    yield _rule("99", change.interface, change.queue, program)


def _rule(order: str, interface: str, what: str, program: str) -> Edit:
    """Return the rule that runs a program when an interface appears, or gets its name.

    Programs run in the order of the files: queues are there before they are steered.
    """
    text = f'ACTION=="add|move", SUBSYSTEM=="net", KERNEL=="{interface}", RUN+="{program}"\n'
    return _written(f"/etc/udev/rules.d/{order}-virtboost-{_slug(interface)}-{what}.rules", text)


_FILES: dict[type, Callable[[Any], Iterator[Edit]]] = {
    Sysctl: _sysctl,
    KernelFile: _kernel_file,
    HugepagePoolSize: _set,
    TransparentHugepages: _set,
    Ksm: _set,
    Governor: _set,
    NicChannels: _channels,
    NicSteering: _steering,
}
