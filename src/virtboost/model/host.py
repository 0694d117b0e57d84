"""A host: everything that one scan told."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.model.agent import Agent
from virtboost.model.block import BlockDevice
from virtboost.model.container import Container, ContainerEngine
from virtboost.model.cpu import Cpu, Power
from virtboost.model.firmware import Firmware
from virtboost.model.guest import Guest
from virtboost.model.irq import Irq
from virtboost.model.kernel import Kernel
from virtboost.model.libvirt import Libvirt
from virtboost.model.memory import Memory
from virtboost.model.net import NetInterface
from virtboost.model.ovs import Ovs
from virtboost.model.pci import PciDevice
from virtboost.model.service import Service
from virtboost.model.topology import Topology


class Gap(Struct, frozen=True, kw_only=True):
    """Something that could not be read or is not told."""

    what: str
    """The noun: ``clusters``, ``base page size``."""
    path: str
    """The file or program, with ``*`` where it is many."""
    reason: str
    """In the words of the kernel or of the program."""


class Host(Struct, frozen=True, kw_only=True):
    """A host as it is."""

    schema: Literal["virtboost.host/1"] = "virtboost.host/1"
    hostname: str | None
    """The host's own name; None: not told."""
    arch: str | None
    """``aarch64``, ``x86_64``: ``uname -m``; None: not told."""
    cpu: Cpu
    topology: Topology
    memory: Memory = Memory()
    power: Power = Power()
    kernel: Kernel = Kernel()
    firmware: Firmware = Firmware()
    pci: tuple[PciDevice, ...] = ()
    net: tuple[NetInterface, ...] = ()
    irq: tuple[Irq, ...] = ()
    block: tuple[BlockDevice, ...] = ()
    services: tuple[Service, ...] = ()
    libvirt: Libvirt | None = None
    """None where there is no libvirt."""
    guests: tuple[Guest, ...] = ()
    engines: tuple[ContainerEngine, ...] = ()
    containers: tuple[Container, ...] = ()
    ovs: Ovs | None = None
    """None where there is no Open vSwitch."""
    agents: tuple[Agent, ...] = ()
    files: dict[str, str] = {}
    """Files that items of the site look at, by path."""
    gaps: tuple[Gap, ...] = ()

    def pci_device(self, address: str | None) -> PciDevice | None:
        """Return the PCI function at ``address``."""
        return next((device for device in self.pci if device.address == address), None)

    def service(self, name: str) -> Service | None:
        """Return a service by name."""
        return next((service for service in self.services if service.name == name), None)

    def agent(self, name: str) -> Agent | None:
        """Return an agent by name."""
        return next((agent for agent in self.agents if agent.name == name), None)

    def gap(self, what: str) -> Gap | None:
        """Return the gap that tells why ``what`` is unknown."""
        return next((gap for gap in self.gaps if gap.what == what), None)

    @property
    def running_guests(self) -> tuple[Guest, ...]:
        """Guests that run or are paused."""
        return tuple(guest for guest in self.guests if guest.state in ("running", "paused"))
