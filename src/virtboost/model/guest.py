"""Guests of libvirt, as their XML and their live pins say."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.model.cpuset import CpuSet

GuestState = Literal["running", "paused", "shut off", "other"]


MOST_VCPUS = 8192
"""More than any hypervisor gives to a guest; what an XML says is not bounded."""


class GuestTopology(Struct, frozen=True, kw_only=True):
    """CPU topology that a guest is told; 1 where the XML leaves a level out."""

    sockets: int
    dies: int = 1
    clusters: int = 1
    cores: int = 1
    threads: int = 1
    auto: bool = False
    """``auto_topology='yes'`` of Kunpeng's libvirt: derived from the pins."""

    @property
    def cores_per_socket(self) -> int:
        """Cores of a socket for who knows neither dies nor clusters."""
        return self.dies * self.clusters * self.cores


class GuestCell(Struct, frozen=True, kw_only=True):
    """A NUMA node that a guest sees."""

    id: int
    vcpus: CpuSet
    """vCPU ids."""
    memory_bytes: int
    node_ids: tuple[int, ...] | None = None
    """Host NUMA nodes that it may use (``memnode``); None: no rule of its own."""
    memory_mode: str | None = None
    """``strict``, ``preferred``, ``interleave``, ``restrictive``; None: no rule of its own."""
    page_size_bytes: int | None = None
    """Size of the huge pages that back it; 0: the host's default size; None: base pages."""


class GuestDisk(Struct, frozen=True, kw_only=True):
    """A disk of a guest."""

    target: str
    """``vda``."""
    bus: str
    """``virtio`` (virtio-blk), ``scsi``, ``sata``, ..."""
    device: str = "disk"
    """``disk``, ``cdrom``, ``lun``, ``floppy``."""
    source: str | None = None
    """File, block device or network name; None: an empty drive."""
    cache: str | None = None
    """``none``, ``writeback``, ...; None: QEMU's default."""
    io: str | None = None
    """``native``, ``threads``, ``io_uring``; None: QEMU's default."""
    iothread: int | None = None
    """I/O thread that serves it, or its SCSI controller; the first where several do; None: the
    emulator thread."""
    queues: int | None = None
    """Queues of it, or of its SCSI controller; None: QEMU's default."""


class GuestNic(Struct, frozen=True, kw_only=True):
    """A network interface of a guest."""

    kind: str
    """``bridge``, ``network``, ``vhostuser``, ``hostdev``, ..."""
    model: str | None = None
    """``virtio``, ``e1000``; None for a device passed through."""
    target: str | None = None
    """Interface of the host, such as ``vnet0``; None where it is not there."""
    queues: int | None = None
    """Queue pairs; None: one."""
    vhost: bool | None = None
    """Whether the host's kernel moves its packets; None: not told."""
    pci_address: str | None = None
    """The host's PCI function behind ``hostdev``; None for others."""


class Guest(Struct, frozen=True, kw_only=True):
    """A libvirt guest."""

    name: str
    state: GuestState
    """As ``virsh domstate`` says; ``other`` is in between, such as ``in shutdown``."""
    persistent: bool | None = None
    """Whether a definition of it outlives it; None: not told."""
    pending: tuple[str, ...] = ()
    """Fields of this model that its persistent definition has otherwise: a restart sets them."""
    arch: str | None = None
    """``aarch64``, ``x86_64``; None: not in the XML."""
    machine: str | None = None
    """``virt-6.2``, ``pc-q35-7.2``; None: not in the XML."""
    accelerated: bool
    """Whether KVM runs it (``domain type='kvm'``) and not an interpreter."""
    vcpu_count: int
    """vCPUs that it has now."""
    max_vcpu_count: int
    cpuset: CpuSet | None = None
    """``<vcpu cpuset=...>``: pCPUs for threads without a pin of their own; None: all."""
    vcpu_pins: dict[int, CpuSet]
    """pCPUs of each vCPU; a vCPU without a pin is not there.  Where it runs, what the kernel lets
    the thread use, whoever set it: libvirt, numad, a cgroup or taskset."""
    emulator_pins: CpuSet | None = None
    """pCPUs of the emulator threads; None: no pin of their own."""
    iothread_count: int = 0
    iothread_pins: dict[int, CpuSet] = {}
    """pCPUs of each I/O thread that has a pin."""
    memory_bytes: int
    """Memory that it has at start."""
    current_memory_bytes: int | None = None
    """``<currentMemory>``: what the balloon leaves of it; None: not told."""
    page_sizes_bytes: tuple[int, ...] = ()
    """Sizes of huge pages that back it; 0 means the host's default size; empty: base pages."""
    ksm_excluded: bool = False
    """``<nosharepages/>``: KSM leaves its memory alone."""
    memory_locked: bool = False
    """Whether its memory is never swapped (``<locked/>``)."""
    memory_shared_access: bool = False
    """``<access mode='shared'/>``, or each cell's ``memAccess``, which vhost-user needs."""
    memory_mode: str | None = None
    """``<numatune><memory mode>``; None: no rule."""
    node_ids: tuple[int, ...] | None = None
    """``<numatune><memory nodeset>``; None: no rule."""
    placement: str | None = None
    """``auto`` where numad places it; None: not in the XML."""
    topology: GuestTopology | None = None
    """As ``<topology>``, changed by a ``-smp`` of ``<qemu:commandline>``; None where neither is:
    each vCPU is a socket of its own."""
    cells: tuple[GuestCell, ...] = ()
    """Empty: one node that has everything."""
    cpu_mode: str | None = None
    """``host-passthrough``, ``host-model``, ``maximum``, ``custom``; None: QEMU's default."""
    cpu_model: str | None = None
    """Name of the CPU model; None: none is named."""
    cache_mode: str | None = None
    """``<cpu><cache mode>``: ``passthrough``, ``emulate``, ``disable``; None: default."""
    caches: dict[str, int] = {}
    """``<cacheinfo>`` of openEuler's libvirt: size in bytes by ``l1d``, ``l1i``, ``l2``, ``l3``."""
    disks: tuple[GuestDisk, ...] = ()
    nics: tuple[GuestNic, ...] = ()
    scsi_controllers: tuple[str, ...] = ()
    """Models of its SCSI controllers: ``virtio-scsi``."""
    pci_addresses: tuple[str, ...] = ()
    """Host PCI functions that are passed through."""
    video: tuple[str, ...] = ()
    """Models of its video devices."""
    balloon: str | None = None
    """Model of its balloon: ``virtio``, ``none``; None: not in the XML."""
    gic_version: str | None = None
    """``2``, ``3``, ``host``; None: not in the XML."""
    features: dict[str, str] = {}
    """Children of ``<features>`` and their ``state``, ``on`` where none is written; those of
    ``<kvm>`` and ``<hyperv>`` as ``kvm.hint-dedicated``; openEuler's ``kvm-vtimer-status``."""
    cachetune: bool = False
    """Whether it has ``<cachetune>`` or ``<memorytune>`` (resctrl, MPAM)."""
    environment: dict[str, str] = {}
    """Environment of its QEMU (``<qemu:env>``), secrets left out."""

    @property
    def pinned(self) -> bool:
        """Whether every vCPU has a pin."""
        return self.vcpu_count > 0 and len(self.vcpu_pins) >= self.vcpu_count

    @property
    def vcpu_ids(self) -> tuple[int, ...]:
        """Ids of its vCPUs; hot-plug may leave holes, which the pins tell."""
        if self.pinned:
            return tuple(sorted(self.vcpu_pins))
        return tuple(range(min(self.vcpu_count, MOST_VCPUS)))
