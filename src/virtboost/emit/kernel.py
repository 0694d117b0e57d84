"""Which files of the kernel a change sets.

A table: a kind of change has a function here, or no file of the kernel carries it out.  Paths are
made from checked parts, so no plan can write anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from virtboost.catalogue.site import sysctl_path
from virtboost.emit.setting import Setting
from virtboost.errors import InputError
from virtboost.model.change import (
    Change,
    Governor,
    HugepagePoolSize,
    IrqAffinity,
    KernelFile,
    Ksm,
    NicSteering,
    Sysctl,
    TransparentHugepages,
)

_ROOTS = re.compile(r"/(?:sys|proc/sys|proc/irq)(?:/[\w.:@+,=-]+)+")
_SYSCTL = re.compile(r"[a-z][\w-]*(?:[./][\w:-]+)+")
_QUEUE = re.compile(r"(?:rx|tx)-\d{1,4}")
_VALUE = re.compile(r"[ -~]{1,4000}")
INTERFACE = re.compile(r"[\w.:@-]{1,15}")


def is_kernel_file(change: Change) -> bool:
    """Tell whether files of the kernel carry a change out."""
    return type(change) in _SETTINGS


def settings(change: Change) -> tuple[Setting, ...]:
    """Return the files that a change sets; for kinds of which `is_kernel_file` is true.

    Raises:
        InputError: A part of the change is not what it says it is.
    """
    found = tuple(_SETTINGS[type(change)](change))
    for setting in found:
        require(_ROOTS, setting.path, "path")
        require(_VALUE, setting.value, f"value of {setting.path}")
        if ".." in setting.path.split("/"):
            raise InputError(f"path {setting.path}: leads elsewhere")
    return found


def require(pattern: re.Pattern[str], text: str, what: str) -> None:
    """Raise an `InputError` where a text is not what it is to be."""
    if not pattern.fullmatch(text):
        raise InputError(f"{what} {text[:60]!r}: not one that apply writes")


def _kernel_file(change: KernelFile) -> Iterator[Setting]:
    yield Setting(path=change.path, value=change.value, form="choice")


def _sysctl(change: Sysctl) -> Iterator[Setting]:
    require(_SYSCTL, change.name, "sysctl")
    yield Setting(path=sysctl_path(change.name), value=change.value, form="words")


def _irq(change: IrqAffinity) -> Iterator[Setting]:
    path = f"/proc/irq/{int(change.irq)}/smp_affinity_list"
    yield Setting(path=path, value=str(change.cpus), form="list")


def _steering(change: NicSteering) -> Iterator[Setting]:
    require(INTERFACE, change.interface, "interface")
    require(_QUEUE, change.queue, "queue")
    file = "rps_cpus" if change.queue.startswith("rx") else "xps_cpus"
    path = f"/sys/class/net/{change.interface}/queues/{change.queue}/{file}"
    yield Setting(path=path, value=change.cpus.to_mask(), form="mask")


def _pool(change: HugepagePoolSize) -> Iterator[Setting]:
    node, size = int(change.node_id), int(change.size_bytes) >> 10
    folder = f"/sys/devices/system/node/node{node}/hugepages/hugepages-{size}kB"
    yield Setting(path=f"{folder}/nr_hugepages", value=str(int(change.pages)), form="text")


def _thp(change: TransparentHugepages) -> Iterator[Setting]:
    path = f"/sys/kernel/mm/transparent_hugepage/{change.setting}"
    yield Setting(path=path, value=change.value, form="choice")


def _ksm(change: Ksm) -> Iterator[Setting]:
    path = f"/sys/kernel/mm/ksm/{change.setting}"
    yield Setting(path=path, value=str(int(change.value)), form="text")


def _governor(change: Governor) -> Iterator[Setting]:
    for cpu in change.cpus:
        path = f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"
        yield Setting(path=path, value=change.governor, form="text")


_SETTINGS: dict[type, Callable[[Any], Iterator[Setting]]] = {
    KernelFile: _kernel_file,
    Sysctl: _sysctl,
    IrqAffinity: _irq,
    NicSteering: _steering,
    HugepagePoolSize: _pool,
    TransparentHugepages: _thp,
    Ksm: _ksm,
    Governor: _governor,
}
