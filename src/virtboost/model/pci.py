"""PCI devices, their place and their SR-IOV functions."""

from __future__ import annotations

from msgspec import Struct


class PciDevice(Struct, frozen=True, kw_only=True):
    """A PCI function; None is what it does not have or does not tell."""

    address: str
    """``0000:7d:00.1``."""
    class_code: str
    """Six hexadecimal digits: ``020000`` is Ethernet, ``010802`` is NVMe, ``060400`` a bridge."""
    vendor_id: str
    """Four hexadecimal digits: ``19e5`` is Huawei."""
    device_id: str
    """Four hexadecimal digits."""
    driver: str | None
    """None where no driver is bound."""
    node_id: int | None
    """NUMA node; None where firmware does not tell (-1)."""
    parent: str | None
    """Address of the bridge above; None at a root complex."""
    link_speed_gtps: float | None
    """PCIe speed now, in gigatransfers per second."""
    link_width: int | None
    """PCIe lanes now."""
    max_link_speed_gtps: float | None
    """PCIe speed that the device can do."""
    max_link_width: int | None
    """PCIe lanes that the device has."""
    sriov_total_vfs: int | None
    """Virtual functions that the device can have; None where it has no SR-IOV."""
    sriov_num_vfs: int | None
    """Virtual functions that it has now."""
    physical_function: str | None
    """Address of the PF where this is a VF."""
    virtual_functions: tuple[str, ...]
    """Addresses of the VFs where this is a PF."""
    iommu_group: int | None
    """None without an IOMMU."""
