"""Items on PCI devices: the IOMMU for passing them through, and the speed of their links."""

from __future__ import annotations

from collections.abc import Sequence

from virtboost.catalogue.commands import bios, with_arguments, without_arguments
from virtboost.catalogue.irq import gic_v4_on
from virtboost.catalogue.item import (
    HOST,
    NO_FIGURE,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Subjects,
    Unknown,
    Wrong,
)
from virtboost.catalogue.sources import INTERRUPT_GUIDE, KERNEL_PARAMETERS
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import Change, KernelArgument
from virtboost.model.host import Host
from virtboost.model.pci import PciDevice
from virtboost.model.wording import listed

FAST_CLASSES = ("02", "0108", "0b40", "0c04", "12")
"""Network, NVMe, coprocessors, Fibre Channel, accelerators: what uses its link all the time.

Graphics (03) is left out: such cards lower their link while they idle.
"""

_VIRTIO = "1af4"
"""Vendor of virtio devices; their links are drawn, not wired."""


def _iommu(host: Host, _: Host, wanted: Wanted) -> Outcome:
    needs = [f"guest {guest.name}" for guest in host.guests if guest.pci_addresses]
    if gic_v4_on(host):
        needs.append("GICv4.1")
    if not needs:
        gap = host.gap("guests")
        why = NotApplicable("no guest has a device passed through, and GICv4.1 is not on")
        return why if gap is None else Unknown(f"{gap.what} ({gap.path}: {gap.reason})")
    if not host.pci:
        return Unknown("the PCI devices")
    grouped = sum(device.iommu_group is not None for device in host.pci)
    if grouped:
        return Ok(f"{grouped} PCI devices in IOMMU groups")
    told = host.firmware.setting("smmu")
    return Wrong(
        found="no PCI device is in an IOMMU group"
        + ("" if told is None else f"; the BIOS says {told}"),
        wanted="SMMU on" if host.arch == "aarch64" else "IOMMU on",
        reason=f"{listed(needs)} cannot work without it",
        changes=_switch_on(host),
    )


def _switch_on(host: Host) -> tuple[Change, ...]:
    asked = host.kernel.arguments("intel_iommu")
    if host.cpu.vendor != "GenuineIntel" or host.kernel.command_line is None or "on" in asked:
        return ()
    return (KernelArgument(name="intel_iommu", value="on"),)


def _slot(device: PciDevice) -> str:
    return device.address.rpartition(".")[0]


def _fast_devices(host: Host) -> Sequence[tuple[str, PciDevice]]:
    """Select the first function of each card that has a link of its own."""
    found: dict[str, PciDevice] = {}
    for device in sorted(host.pci, key=lambda each: each.address):
        real = device.physical_function is None and device.vendor_id != _VIRTIO
        if real and device.class_code.startswith(FAST_CLASSES) and device.max_link_width:
            found.setdefault(_slot(device), device)
    return [(device.address, device) for device in found.values()]


def _link(host: Host, device: PciDevice, wanted: Wanted) -> Outcome:
    speed, width = device.link_speed_gtps, device.link_width
    if not speed or not width:
        return Unknown(f"the link of {device.address} as it is now")
    best_speed, best_width = _best(host, device)
    found, best = _text(speed, width), _text(best_speed, best_width)
    if speed < best_speed or width < best_width:
        return Wrong(
            found=found,
            wanted=best,
            reason=f"{_name(host, device)} and its slot both can do {best}: it trained lower",
        )
    port = _port_bps(host, device)
    if port > _bps(speed, width):
        return Wrong(
            found=found,
            wanted=f"a slot for {port / 1e9:g} Gb/s",
            reason=f"{_name(host, device)} has a port of {port / 1e9:g} Gb/s, and the slot carries "
            f"{_bps(speed, width) / 1e9:.0f} Gb/s",
        )
    return Ok(found)


def _best(host: Host, device: PciDevice) -> tuple[float, int]:
    """Return the speed and width that a device and the port above it can both do."""
    parent = host.pci_device(device.parent)
    speeds, widths = [device.max_link_speed_gtps], [device.max_link_width]
    if parent is not None:
        speeds.append(parent.max_link_speed_gtps)
        widths.append(parent.max_link_width)
    return min(filter(None, speeds), default=0.0), min(filter(None, widths), default=0)


def _text(speed: float, width: int) -> str:
    return f"{speed:g} GT/s x{width}"


def _bps(speed: float, width: int) -> float:
    """Return what a link carries one way: 8b/10b up to 5 GT/s, 128b/130b above (PCI Express)."""
    return speed * 1e9 * width * (0.8 if speed <= 5 else 128 / 130)


def _port_bps(host: Host, device: PciDevice) -> int:
    """Return the speed of the fastest network port of a card; 0 for others."""
    slot = _slot(device)
    ports = (nic for nic in host.net if (nic.pci_address or "").rpartition(".")[0] == slot)
    return max((nic.speed_bps or 0 for nic in ports), default=0)


def _name(host: Host, device: PciDevice) -> str:
    names = [nic.name for nic in host.net if nic.pci_address == device.address]
    return listed(names) if names else f"{device.address} ({device.driver or 'no driver'})"


ITEMS = (
    Item(
        id="pci.iommu",
        title="The IOMMU is on where devices are passed through",
        layer="bios",
        platforms=("kvm", "openstack", "ovirt", "ovs"),
        severity="critical",
        takes_effect="reboot",
        risk="the host's own drivers may become slower unless their DMA goes past the IOMMU "
        "(iommu.passthrough=1, iommu=pt)",
        effect=NO_FIGURE,
        why=(
            "VFIO, vLPI and vSGI of GICv4.1, KAE and network functions in guests all need the "
            "SMMU. Tuning guides for bare metal switch Support SMMU off, which is right only on a "
            "host that passes nothing through: look for such advice where this is found."
        ),
        sources=(INTERRUPT_GUIDE, KERNEL_PARAMETERS),
        by_hand=(
            bios("Kunpeng: Advanced > MISC Config > Support SMMU", "Enabled")
            + "\n"
            + bios("x86: VT-d or AMD-Vi (IOMMU)", "Enabled")
            + "\n# Intel: and on the kernel command line\n"
            + with_arguments("intel_iommu=on")
        ),
        undo_by_hand="# set the BIOS item back\n" + without_arguments("intel_iommu"),
        rule="R3",
        subjects=HOST,
        judge=_iommu,
    ),
    Item(
        id="pci.link",
        title="PCIe links run as fast and as wide as card and slot can",
        layer="host",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"),
        severity="warning",
        takes_effect="reboot",
        risk="the host is opened",
        effect=NO_FIGURE,
        why=(
            "A link that trains with fewer lanes or at a lower speed works and says nothing; "
            "bandwidth is halved with each step. A card in a slot narrower than itself is a "
            "finding only where a network port is faster than the slot. Graphics cards lower "
            "their links while idle and are not looked at, nor is what a virtual machine shows."
        ),
        sources=(
            "Linux, sysfs-bus-pci: https://www.kernel.org/doc/Documentation/ABI/testing/"
            "sysfs-bus-pci",
            "PCI Express Base Specification, link training and encoding",
        ),
        by_hand=(
            "lspci -vv -s ADDRESS  # LnkCap and LnkSta\n"
            "# reseat the card, or move it to another slot; look for a speed limit in the BIOS"
        ),
        undo_by_hand="# put the card back",
        subjects=Subjects(
            kind="device",
            select=_fast_devices,
            none="no network card, NVMe disk or accelerator has a PCIe link",
            gap="PCI devices",
        ),
        judge=_link,
    ),
)
