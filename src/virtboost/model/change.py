"""Changes to a host: what to set, never how it was.

The prior value is read when a change is carried out and goes into the journal.  Each class is one
kind; in JSON its name in lower case with hyphens is the field ``kind``.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from virtboost.model.cpuset import CpuSet


def _kind(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


class _Kind(Struct, frozen=True, kw_only=True, tag_field="kind", tag=_kind):
    reason: str = ""
    """Why, in one line: the finding or the placement that asks for it."""


class KernelFile(_Kind, frozen=True, kw_only=True):
    """Write a value to a file below ``/sys`` or ``/proc``."""

    path: str
    value: str


class Sysctl(_Kind, frozen=True, kw_only=True):
    """Set a sysctl."""

    name: str
    """Dotted: ``kernel.numa_balancing``."""
    value: str


class IrqAffinity(_Kind, frozen=True, kw_only=True):
    """Say on which pCPUs an interrupt may be taken."""

    irq: int
    cpus: CpuSet


class NicChannels(_Kind, frozen=True, kw_only=True):
    """Set the number of combined queues of a network interface (``ethtool -L``)."""

    interface: str
    combined: int


class NicSteering(_Kind, frozen=True, kw_only=True):
    """Set RPS (of ``rx-N``) or XPS (of ``tx-N``) of one queue."""

    interface: str
    queue: str
    cpus: CpuSet


class HugepagePoolSize(_Kind, frozen=True, kw_only=True):
    """Set the number of huge pages of one size on one NUMA node."""

    node_id: int
    size_bytes: int
    pages: int


class TransparentHugepages(_Kind, frozen=True, kw_only=True):
    """Set a policy of transparent huge pages."""

    setting: Literal["enabled", "defrag"]
    value: str


class Ksm(_Kind, frozen=True, kw_only=True):
    """Set a control of kernel samepage merging."""

    setting: Literal["run", "merge_across_nodes"]
    value: int


class Governor(_Kind, frozen=True, kw_only=True):
    """Set the cpufreq governor of pCPUs."""

    cpus: CpuSet
    governor: str


class ServiceState(_Kind, frozen=True, kw_only=True):
    """Start or stop a service, now and at boot."""

    name: str
    active: bool
    enabled: bool


class ModuleParameter(_Kind, frozen=True, kw_only=True):
    """Set a parameter of a kernel module: live if its file is writable, and for the next load."""

    module: str
    name: str
    value: str


class KernelArgument(_Kind, frozen=True, kw_only=True):
    """Set an argument of the kernel command line, for the next boot."""

    name: str
    value: str | None
    """``""`` for an argument without a value; None takes the argument away."""


class GuestVcpuPin(_Kind, frozen=True, kw_only=True):
    """Pin a vCPU of a guest."""

    guest: str
    vcpu: int
    cpus: CpuSet


class GuestEmulatorPin(_Kind, frozen=True, kw_only=True):
    """Pin the emulator threads of a guest."""

    guest: str
    cpus: CpuSet


class GuestIothreadPin(_Kind, frozen=True, kw_only=True):
    """Pin an I/O thread of a guest."""

    guest: str
    iothread: int
    cpus: CpuSet


class GuestMemoryPolicy(_Kind, frozen=True, kw_only=True):
    """Set from which NUMA nodes a guest takes its memory (``numatune``)."""

    guest: str
    mode: str
    node_ids: tuple[int, ...]


class GuestMemoryBacking(_Kind, frozen=True, kw_only=True):
    """Back a guest with huge pages, from its next start."""

    guest: str
    page_size_bytes: int


class GuestTopologyEdit(_Kind, frozen=True, kw_only=True):
    """Tell a guest another CPU topology, from its next start."""

    guest: str
    sockets: int
    dies: int
    clusters: int
    cores: int
    threads: int


class ContainerUpdate(_Kind, frozen=True, kw_only=True):
    """Change the limits of a running container; None leaves one as it is."""

    engine: str
    container: str
    cpuset: CpuSet | None = None
    node_ids: tuple[int, ...] | None = None
    memory_bytes: int | None = None


class OvsOtherConfig(_Kind, frozen=True, kw_only=True):
    """Set a key of ``Open_vSwitch:other_config``; None takes it away."""

    key: str
    value: str | None


class OvsTcpWindowCheck(_Kind, frozen=True, kw_only=True):
    """Have conntrack of an ovs-vswitchd hold segments of TCP against their window, or not."""

    folder: str
    """Its run folder: ``/run/openvswitch``."""
    datapath: str
    """``netdev@ovs-netdev``."""
    enabled: bool


class FileEdit(_Kind, frozen=True, kw_only=True):
    """Replace a configuration file, found with ``before`` in it, by ``after``."""

    path: str
    before: str | None
    """Content that the edit was made for; None: there is no such file."""
    after: str | None
    """New content; None takes the file away."""


Change = (
    KernelFile
    | Sysctl
    | IrqAffinity
    | NicChannels
    | NicSteering
    | HugepagePoolSize
    | TransparentHugepages
    | Ksm
    | Governor
    | ServiceState
    | ModuleParameter
    | KernelArgument
    | GuestVcpuPin
    | GuestEmulatorPin
    | GuestIothreadPin
    | GuestMemoryPolicy
    | GuestMemoryBacking
    | GuestTopologyEdit
    | ContainerUpdate
    | OvsOtherConfig
    | OvsTcpWindowCheck
    | FileEdit
)
