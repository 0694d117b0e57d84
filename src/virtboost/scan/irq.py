"""Interrupts from ``/proc/interrupts`` and ``/proc/irq``.

Source: ``show_interrupts`` in kernel/irq/proc.c of Linux, Documentation/filesystems/proc.rst and
Documentation/core-api/irq/irq-affinity.rst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from virtboost.model.irq import Irq
from virtboost.model.net import NetInterface
from virtboost.model.pci import PciDevice
from virtboost.scan import net, pci
from virtboost.scan.gaps import Gaps
from virtboost.scan.texts import cpu_mask, node_id
from virtboost.transport.source import Capture, Files

INTERRUPTS = Files("/proc", ("interrupts",))

SETTINGS = Files("/proc/irq/[0-9]*", ("smp_affinity", "effective_affinity", "node"))

VECTORS = Files(f"{pci.DEVICES}/*/msi_irqs", ("[0-9]*",))
"""A file for each MSI or MSI-X vector of a PCI function, named as the interrupt's number."""

SOURCES = (INTERRUPTS, SETTINGS, VECTORS)

_CPU = re.compile(r"CPU(\d{1,5})")
_ROW = re.compile(r"\s*(\d{1,9}):\s*(.*)")
_COUNT = re.compile(r"\d{1,12}")

_HANDLING = re.compile(
    r"(\S+)(?:\s+\d+(?=[\s-]|$))?(?:\s+(?:Level|Edge)(?=[\s-]|$))?(?:\s*-\S+)?\s*(.*)"
)
"""Chip and handlers, and between them what does not matter here.

The number at the controller (not in Linux 3.10), ``Level`` or ``Edge`` on Arm, the flow handler on
x86: ``IR-PCI-MSI 524288-edge      eth0``, in Linux 3.10 ``IR-PCI-MSI-edge      eth0``.
"""

_ADDRESS = re.compile(rf"(?<![0-9a-f]){pci.ADDRESS}(?![0-9a-f])")
_DIRECT = re.compile(rf"/({pci.ADDRESS})(?:/(?:virtio\d+))?/net/[^/]+$")
_VIRTIO = re.compile(r"/(virtio\d+)/net/[^/]+$")
_BREAK = re.compile(r"[-_:@. ]|$")


def parse(
    capture: Capture,
    gaps: Gaps,
    *,
    devices: Sequence[PciDevice],
    interfaces: Sequence[NetInterface],
) -> tuple[Irq, ...]:
    """Return the numbered interrupts that have a handler or have been taken, by number.

    Args:
        capture: What was read.
        gaps: What is not told goes here.
        devices: The PCI functions of the host.
        interfaces: Its network interfaces.
    """
    header, *lines = (capture.text(INTERRUPTS, "interrupts") or "").split("\n")
    cpus = [int(number) for number in _CPU.findall(header)]
    if not cpus:
        gaps.add("interrupts", "/proc/interrupts", "not readable")
    settings = {int(n): texts for (n,), texts in capture.matches(SETTINGS) if n.isdecimal()}
    owners = _owners(capture, devices, interfaces)
    irqs: list[Irq] = []
    for match in filter(None, map(_ROW.match, lines if cpus else ())):
        number, words = int(match[1]), match[2].split(None, len(cpus))
        counts = _counts(cpus, words)
        if counts is None:
            gaps.add("interrupts", "/proc/interrupts", "a line has not a count for each CPU")
            continue
        what = words[-1] if len(words) > len(cpus) else ""
        irqs.append(_irq(number, counts, what, settings.get(number, {}), owners))
    if irqs and not settings:
        gaps.add("interrupt affinity", "/proc/irq", "not readable")
    return tuple(irqs)


class _Owners(Struct, frozen=True, kw_only=True):
    """What interrupts can belong to."""

    nodes: dict[str, int | None]
    """NUMA node of each PCI function."""
    vectors: dict[int, str]
    """PCI function of each MSI vector."""
    names: dict[str, NetInterface]
    """Interface by its name and by that of its virtio device."""
    alone: dict[str, NetInterface | None]
    """The interface of a PCI function; None for a function with several."""


def _owners(
    capture: Capture, devices: Sequence[PciDevice], interfaces: Sequence[NetInterface]
) -> _Owners:
    places = capture.entries(net.PLACES).get(net.INTERFACES, {})
    names: dict[str, NetInterface] = {}
    alone: dict[str, NetInterface | None] = {}
    for interface in interfaces:
        if interface.kind != "physical" or interface.role == "representor":
            continue
        place = places.get(interface.name, "")
        names[interface.name] = interface
        names.update((name, interface) for name in _VIRTIO.findall(place))
        for address in _DIRECT.findall(place):
            alone[address] = None if address in alone else interface
    return _Owners(
        nodes={device.address: device.node_id for device in devices},
        vectors={
            int(number): address
            for (address,), texts in capture.matches(VECTORS)
            for number in texts
            if number.isdecimal()
        },
        names=names,
        alone=alone,
    )


def _counts(cpus: Sequence[int], words: Sequence[str]) -> dict[int, int] | None:
    """Return the counts that are not zero, by pCPU; the columns are those of online pCPUs."""
    taken = {cpu: word for cpu, word in zip(cpus, words, strict=False) if word != "0"}
    if len(words) < len(cpus) or not all(map(_COUNT.fullmatch, taken.values())):
        return None
    return {cpu: int(word) for cpu, word in taken.items()}


def _irq(
    number: int, counts: dict[int, int], what: str, settings: Mapping[str, str], owners: _Owners
) -> Irq:
    match = _HANDLING.match(what)
    chip, name = match.groups() if match else ("None", "")
    address = _function(number, f"{name} {chip}", owners)
    interface = _named(name, owners.names) or owners.alone.get(address or "")
    return Irq(
        number=number,
        name=name,
        chip=None if chip in ("None", "-") else chip,
        count=sum(counts.values()),
        counts=counts,
        affinity=cpu_mask(settings.get("smp_affinity")),
        effective_affinity=cpu_mask(settings.get("effective_affinity")),
        # The kernel's own node of an interrupt that it spreads is that of its first CPU
        # (alloc_descs in kernel/irq/irqdesc.c), so the device's is asked first.
        node_id=owners.nodes[address] if address else node_id(settings.get("node")),
        pci_address=address,
        interface=interface.name if interface else None,
    )


def _function(number: int, text: str, owners: _Owners) -> str | None:
    """Return the PCI function: by its vectors, else by what its only handler or chip is called."""
    named = () if ", " in text else _ADDRESS.findall(text)
    told = (owners.vectors.get(number), *named)
    return next((address for address in told if address in owners.nodes), None)


def _named(name: str, names: Mapping[str, NetInterface]) -> NetInterface | None:
    """Return the interface that a handler names, alone or before its queue.

    ``eth0``, ``eth0-TxRx-3``, ``virtio2-input.0``, and behind the driver ``i40e-eth0-TxRx-3``.
    """
    for handler in name.split(", "):
        interface = _longest(handler, names)
        if interface is not None:
            return interface
        driver, _, rest = handler.partition("-")
        interface = _longest(rest, names)
        if interface is not None and interface.driver == driver:
            return interface
    return None


def _longest(text: str, names: Mapping[str, NetInterface]) -> NetInterface | None:
    ends = [match.start() for match in _BREAK.finditer(text)]
    return next((names[text[:end]] for end in reversed(ends) if text[:end] in names), None)
