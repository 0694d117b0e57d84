"""The command line of QEMU for a machine of the lab."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.machine import Device, Machine

KUNPENG_920 = 0x481FD010
"""MIDR of a TaiShan v110 core (Linux, arch/arm64/include/asm/cputype.h)."""

_FIRST_BUS = 16
_BUSES = 16
"""Bus numbers of an expander bridge: its own, and those of the root ports below it."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """What a machine is started from."""

    kernel: Path
    initrd: Path
    firmware: Path | None
    """UEFI, without which QEMU's aarch64 machine has no ACPI; None on x86."""
    disks: Path
    """Folder with ``state.img``, which is kept, and what else the disks hold."""
    console: Path
    monitor: Path


def first_bus(node_id: int) -> int:
    """Return the bus number of the expander bridge of a node."""
    return _FIRST_BUS + _BUSES * node_id


def argv(machine: Machine, files: Files, port: int) -> list[str]:
    """Return the words that start a machine whose SSH server is at a port of 127.0.0.1."""
    return [
        f"qemu-system-{machine.arch}",
        *("-name", machine.name, "-nodefaults", "-display", "none"),
        *_PLATFORM[machine.arch],
        *("-accel", "tcg,thread=single"),
        *_cpus(machine),
        *_nodes(machine),
        *_boot(machine, files),
        *_devices(machine, files, port),
    ]


_PLATFORM = {
    "aarch64": (
        *("-machine", "virt,gic-version=3,iommu=none"),
        *("-cpu", f"cortex-a72,midr={KUNPENG_920}"),
    ),
    "x86_64": ("-machine", "q35", "-cpu", "Cascadelake-Server-noTSX"),
}

_ARGUMENTS = {
    "aarch64": "console=ttyAMA0 rodata=on maxcpus=1 quiet",
    "x86_64": "console=ttyS0 quiet",
}
"""The kernel's command line.

``rodata=on`` maps memory in large blocks, and CPUs come online in init, when the kernel can let
them idle: 96 CPUs that tick while one boots take minutes.
"""


def _cpus(machine: Machine) -> Sequence[str]:
    inside = (
        f"clusters={machine.dies * machine.clusters}"
        if machine.arch == "aarch64"
        else f"dies={machine.dies}"
    )
    shape = f"sockets={machine.sockets},{inside},cores={machine.cores},threads={machine.threads}"
    return "-smp", f"{machine.cpus},{shape}"


def _nodes(machine: Machine) -> Iterator[str]:
    total = machine.node_memory_mib * machine.nodes
    yield from ("-m", f"{total}M")
    for node in range(machine.nodes):
        first = node * machine.node_cpus
        memory = f"memory-backend-ram,id=memory{node},size={machine.node_memory_mib}M"
        cpus = f"{first}-{first + machine.node_cpus - 1}"
        yield from ("-object", memory)
        yield from ("-numa", f"node,nodeid={node},cpus={cpus},memdev=memory{node}")
    for source, row in enumerate(machine.distances):
        for target, distance in enumerate(row):
            yield from ("-numa", f"dist,src={source},dst={target},val={distance}")


def _boot(machine: Machine, files: Files) -> Iterator[str]:
    if files.firmware is not None:
        yield from ("-bios", str(files.firmware))
    yield from ("-kernel", str(files.kernel), "-initrd", str(files.initrd))
    yield from ("-append", _ARGUMENTS[machine.arch])
    yield from ("-serial", f"file:{files.console}")
    yield from ("-qmp", f"unix:{files.monitor},server=on,wait=off")


def _devices(machine: Machine, files: Files, port: int) -> Iterator[str]:
    for node in sorted({device.node_id for device in machine.devices}):
        expander = f"pxb-pcie,id=node{node},bus=pcie.0,bus_nr={first_bus(node)},numa_node={node}"
        yield from ("-device", expander)
    for number, device in enumerate(machine.devices):
        port_of = f"pcie-root-port,id=port{number},bus=node{device.node_id},chassis={number + 1}"
        yield from ("-device", port_of)
        yield from _DEVICES[device.kind](device, number, files, port)
    yield from ("-device", "virtio-blk-pci,bus=pcie.0,drive=state,serial=state")
    yield from ("-drive", f"id=state,if=none,format=raw,file={files.disks / 'state.img'}")


def _nic(_: Device, number: int, __: Files, port: int) -> Iterator[str]:
    forward = f",hostfwd=tcp:127.0.0.1:{port}-:22" if number == 0 else ""
    yield from ("-netdev", f"user,id=net{number},restrict=on{forward}")
    mac = f"52:54:00:00:00:{number:02x}"
    yield from ("-device", f"virtio-net-pci,bus=port{number},netdev=net{number},mac={mac}")


def _disk(_: Device, number: int, files: Files, __: int) -> Iterator[str]:
    yield from _drive(number, files)
    yield from ("-device", f"virtio-blk-pci,bus=port{number},drive=disk{number},serial=d{number}")


def _nvme(device: Device, number: int, files: Files, __: int) -> Iterator[str]:
    """Yield an NVMe disk; each virtual function takes queues and interrupts of its own."""
    yield from _drive(number, files)
    yield from ("-device", f"nvme-subsys,id=subsystem{number}")
    queues = f"max_ioqpairs={2 * device.vfs + 2},msix_qsize={2 * device.vfs + 2}"
    virtual = (
        f",sriov_max_vfs={device.vfs},sriov_vq_flexible={2 * device.vfs}"
        f",sriov_vi_flexible={device.vfs}"
        if device.vfs
        else ""
    )
    controller = f"nvme,id=nvme{number},bus=port{number},subsys=subsystem{number},serial=n{number}"
    yield from ("-device", f"{controller},{queues}{virtual}")
    yield from ("-device", f"nvme-ns,drive=disk{number},bus=nvme{number}")


def _drive(number: int, files: Files) -> tuple[str, str]:
    file = files.disks / f"disk{number}.img"
    return "-drive", f"id=disk{number},if=none,format=raw,file={file}"


_DEVICES = {"nic": _nic, "disk": _disk, "nvme": _nvme}
