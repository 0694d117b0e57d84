"""Server, BIOS and its settings."""

from __future__ import annotations

from msgspec import Struct

Setting = str | int | float | bool | None
"""Value of a BIOS attribute; None where the BMC tells that it has no value."""

BIOS_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "memory_refresh_rate": ("DdrRefreshRate", "MemRefreshRate"),
    "power_policy": ("CustomPowerPolicy", "PowerPolicy", "SysProfile", "PowerRegulator"),
    "smmu": ("EnableSMMU", "IommuSupport", "IntelProcVtd", "ProcAmdIoVt"),
    "cpu_prefetch": ("CPUPrefetchConfig", "ProcHwPrefetcher", "HwPrefetcher"),
    "numa": ("NUMAEn",),
    "one_numa_per_socket": ("OneNumaEnable",),
    "die_interleaving": ("DieInterleaving",),
    "gic_version": ("Gicv4Version",),
    "sriov": ("PCIeSRIOVSupport", "SriovGlobalEnable", "Sriov"),
}
"""Our name of a setting -> its Redfish attributes: Kunpeng's, then Dell's, then HPE's.

Huawei publishes no table of Kunpeng's attributes.  The names are those that Huawei's BIOSTools
print on a Kunpeng 920 and on a new one (github guozhicong/SystemsPerformance, bios_diff.sh, with
the defaults of both); the iBMC's log of BIOS values has the same, and Huawei's uREST sets
``CustomPowerPolicy`` through Redfish.  The BIOS menu says ``Custom Refresh Rate`` for
``DdrRefreshRate`` (32ms, Auto), ``Support SMMU`` for ``EnableSMMU``, ``One Numa Per Socket`` for
``OneNumaEnable``, ``GIC Version`` for ``Gicv4Version`` (4.0, 4.1).  ``PowerPolicy`` and
``Gicv4Version`` are the new 920's.  What Kunpeng 950 calls its settings is not published.

Dell: attributes of iDRAC's server configuration profiles; ``IommuSupport`` with AMD's CPUs.
HPE: *Bios resource definitions of iLO 5* (servermanagementportal.ext.hpe.com); ``IntelProcVtd`` and
``ProcAmdIoVt`` by the maker of the CPU.
"""

_VIRTUAL = (
    *("KVM", "OpenStack", "KubeVirt", "Amazon EC2", "QEMU", "VMware", "VMW", "innotek GmbH"),
    *("VirtualBox", "Oracle Corporation", "Xen", "Bochs", "Parallels", "BHYVE", "Hyper-V"),
    *("Apple Virtualization", "Google Compute Engine", "EFI Development Kit II", "EDK II"),
)
"""How DMI of a virtual machine begins: the table of systemd (src/basic/virt.c), and the firmware
that guests of QEMU start with whatever their cloud calls the machine (OVMF)."""


class MemoryModule(Struct, frozen=True, kw_only=True):
    """One slot of memory (SMBIOS type 17); None is what the firmware does not tell."""

    slot: str
    """Locator and bank in the words of the board's maker: ``DIMM_A1, NODE 0 CHANNEL 0``."""
    size_bytes: int
    """0 for an empty slot."""
    type: str | None = None
    """``DDR4``; None for an empty slot."""
    speed_mtps: int | None = None
    """What the module can do, in megatransfers per second."""
    configured_speed_mtps: int | None = None
    """What it is set to."""


class Firmware(Struct, frozen=True, kw_only=True):
    """DMI, None where the maker filled nothing in, and BIOS settings where a BMC told them."""

    vendor: str | None = None
    """Maker of the server."""
    product: str | None = None
    """Model of the server."""
    board: str | None = None
    """Model of the board."""
    bios_vendor: str | None = None
    """Maker of the BIOS."""
    bios_version: str | None = None
    """As its maker writes it."""
    bios_date: str | None = None
    """``MM/DD/YYYY``."""
    memory_modules: tuple[MemoryModule, ...] = ()
    """Empty where it is not readable (it needs root and dmidecode)."""
    bios_settings: dict[str, Setting] | None = None
    """BIOS attributes by their Redfish names; None where no BMC was asked."""

    def setting(self, name: str) -> Setting:
        """Return a BIOS setting by a name of ``BIOS_ATTRIBUTES``, in its maker's words.

        None where no BMC was asked, or this maker's BIOS has no such setting.

        Raises:
            KeyError: There is no such name.
        """
        told = self.bios_settings or {}
        found = (told[attribute] for attribute in BIOS_ATTRIBUTES[name] if attribute in told)
        return next(found, None)

    @property
    def virtual(self) -> bool | None:
        """Whether this is a virtual machine; None where the firmware tells nothing."""
        told = [name for name in (self.vendor, self.product, self.bios_vendor) if name]
        return any(name.startswith(_VIRTUAL) for name in told) if told else None
