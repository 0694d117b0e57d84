"""PCI functions from ``/sys/bus/pci/devices``.

Source: Documentation/ABI/testing/sysfs-bus-pci of Linux; ``uevent`` is ``pci_uevent`` in
drivers/pci/pci-driver.c, the link attributes are in drivers/pci/pci-sysfs.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from virtboost.model.numa import NumaNode
from virtboost.model.pci import PciDevice
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import natural, node_id, pairs
from virtboost.transport.source import Capture, Files, Links

DEVICES = "/sys/bus/pci/devices"

PLACES = Links(DEVICES, ("*",))
"""Where each function is in the tree of devices: below its bridges."""

FUNCTIONS = Files(
    f"{DEVICES}/*",
    (
        "uevent",
        "numa_node",
        "current_link_speed",
        "current_link_width",
        "max_link_speed",
        "max_link_width",
        "sriov_totalvfs",
        "sriov_numvfs",
    ),
)
"""``uevent`` holds the class, the ids and the driver: one file in place of four."""

RELATIONS = Links(f"{DEVICES}/*", ("physfn", "iommu_group"))
"""``virtfnN`` is not read: it is ``physfn`` seen from the other end."""

SOURCES = (PLACES, FUNCTIONS, RELATIONS)

ADDRESS = r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-1][0-9a-f]\.[0-7]"
"""Domain (five digits behind Intel VMD), bus, device, function."""

_STEP = re.compile(rf"/({ADDRESS})(?=/|$)")
_ID = re.compile(r"([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})")
_CLASS = re.compile(r"[0-9A-Fa-f]{1,6}")
_SPEED = re.compile(r"(\d{1,3}(?:\.\d{1,2})?) GT/s")

_NO_WIDTH = (0, 255)
"""No link, and ``PCIE_LNK_WIDTH_UNKNOWN``."""


def parse(capture: Capture, gaps: Gaps, nodes: Sequence[NumaNode]) -> tuple[PciDevice, ...]:
    """Return the PCI functions, by address.

    Args:
        capture: What was read.
        gaps: What is not told goes here.
        nodes: The NUMA nodes of the host.
    """
    places = capture.entries(PLACES).get(DEVICES, {})
    if not places:
        gaps.add("PCI devices", DEVICES, "the kernel does not tell PCI devices")
    texts = dict(_by_address(capture, FUNCTIONS))
    relations = dict(_by_address(capture, RELATIONS))
    functions = _virtual_functions(relations)
    devices = (
        _device(address, place, texts.get(address, {}), relations.get(address, {}), functions)
        for address, place in places.items()
    )
    told = tuple(device for device in devices if device is not None)
    if len(told) < len(places):
        gaps.add("PCI devices", f"{DEVICES}/*/uevent", "no class and ids")
    if len(nodes) > 1 and told and all(device.node_id is None for device in told):
        gaps.add("nodes of PCI devices", f"{DEVICES}/*/numa_node", "the firmware does not tell")
    return tuple(sorted(told, key=lambda device: device.address))


def address_in(path: str) -> str | None:
    """Return the address of the PCI function nearest to a device, by the device's real path."""
    steps = _STEP.findall(path)
    return steps[-1] if steps else None


def _by_address(capture: Capture, source: Files | Links) -> list[tuple[str, dict[str, str]]]:
    return [(address, texts) for (address,), texts in capture.matches(source)]


def _virtual_functions(relations: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    functions: dict[str, list[str]] = {}
    for address in sorted(relations):
        physical = address_in(relations[address].get("physfn", ""))
        if physical is not None:
            functions.setdefault(physical, []).append(address)
    return functions


def _device(
    address: str,
    place: str,
    texts: Mapping[str, str],
    relations: Mapping[str, str],
    functions: Mapping[str, list[str]],
) -> PciDevice | None:
    event = dict(pairs(texts.get("uevent"), "="))
    ids = _ID.fullmatch(event.get("PCI_ID", ""))
    class_code = event.get("PCI_CLASS", "")
    if ids is None or not _CLASS.fullmatch(class_code) or not re.fullmatch(ADDRESS, address):
        return None
    return PciDevice(
        address=address,
        class_code=class_code.lower().zfill(6),
        vendor_id=ids[1].lower(),
        device_id=ids[2].lower(),
        driver=event.get("DRIVER"),
        node_id=node_id(texts.get("numa_node")),
        parent=address_in(place.rpartition("/")[0]),
        link_speed_gtps=_speed(texts.get("current_link_speed")),
        link_width=_width(texts.get("current_link_width")),
        max_link_speed_gtps=_speed(texts.get("max_link_speed")),
        max_link_width=_width(texts.get("max_link_width")),
        sriov_total_vfs=natural(texts.get("sriov_totalvfs")),
        sriov_num_vfs=natural(texts.get("sriov_numvfs")),
        physical_function=address_in(relations.get("physfn", "")),
        virtual_functions=tuple(functions.get(address, ())),
        iommu_group=natural(relations.get("iommu_group", "").rpartition("/")[2]),
    )


def _speed(text: str | None) -> float | None:
    """Read ``8 GT/s`` (before Linux 5.7 so) or ``8.0 GT/s PCIe``; ``Unknown`` is None."""
    match = _SPEED.match(text or "")
    return float(match[1]) if match else None


def _width(text: str | None) -> int | None:
    lanes = natural(text)
    return None if lanes in _NO_WIDTH else lanes
