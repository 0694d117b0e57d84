"""Network interfaces."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.model.cpuset import CpuSet


class Channels(Struct, frozen=True, kw_only=True):
    """Queues that ``ethtool -l`` tells, now and at most; 0 for a kind that the card has not."""

    combined: int
    combined_max: int
    rx: int
    rx_max: int
    tx: int
    tx_max: int


class NetInterface(Struct, frozen=True, kw_only=True):
    """A network interface of the host's own namespace."""

    name: str
    kind: Literal["physical", "virtual"]
    """``physical`` is behind a device (PCI, USB, virtio), ``virtual`` is made by software."""
    role: Literal["pf", "vf", "representor"] | None
    """Its part in SR-IOV; None for an interface without one."""
    driver: str | None
    """None for an interface without a device."""
    pci_address: str | None
    """The PCI function that it belongs to, for USB its controller; None for others."""
    node_id: int | None
    """NUMA node of its device; None: not told."""
    up: bool | None
    """Whether it has a carrier; None: not told."""
    speed_bps: int | None
    """Link speed; None while down or where there is none."""
    mtu: int | None
    """Largest packet, in bytes; None: not told."""
    master: str | None
    """The bridge, bond or switch that it belongs to; None without one."""
    rx_queue_count: int | None
    """Queues in use; None: not told."""
    tx_queue_count: int | None
    """Queues in use; None: not told."""
    channels: Channels | None
    """None without ethtool, where the driver has none, and for VFs and virtual interfaces."""
    offloads: dict[str, bool]
    """``ethtool -k``: ``hw-tc-offload``, ...; empty where ``channels`` is not asked for."""
    fixed_offloads: tuple[str, ...] = ()
    """Those of ``offloads`` that this driver cannot change."""
    rps_cpus: dict[str, CpuSet]
    """pCPUs that receive packet steering may use, by queue ``rx-0``; empty set: off."""
    xps_cpus: dict[str, CpuSet]
    """pCPUs that send through a queue, by queue ``tx-0``; empty set: off."""
