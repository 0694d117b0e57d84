"""The XML of a libvirt domain as fields of a `Guest`.

Fields are declared by the XPath of what they hold.

Source: https://libvirt.org/formatdomain.html; ``cacheinfo``, ``auto_topology`` and
``kvm-vtimer-status`` are openEuler's (https://gitcode.com/boostkit/boostvirt and cloud-virtual).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from virtboost.model import xml
from virtboost.model.cpuset import CpuSet
from virtboost.model.guest import GuestCell, GuestDisk, GuestNic, GuestTopology
from virtboost.model.xml import Element, elements
from virtboost.scan.texts import cpu_list, natural, node_list
from virtboost.scan.xpath import number, present, size_bytes, value
from virtboost.transport.redact import secret_name

Fields = dict[str, Any]

Convert = Callable[[Element, str], Any]


def _cpus(element: Element, path: str) -> CpuSet | None:
    return cpu_list(value(element, path)) or None


def _nodes(element: Element, path: str) -> tuple[int, ...] | None:
    return node_list(value(element, path))


def _values(element: Element, path: str) -> tuple[str, ...]:
    return tuple(str(found) for found in xml.found(element, path))


_GUEST: dict[str, tuple[Convert, str]] = {
    "arch": (value, "os/type/@arch"),
    "machine": (value, "os/type/@machine"),
    "accelerated": (present, "self::*[@type='kvm']"),
    "cpuset": (_cpus, "vcpu/@cpuset"),
    "emulator_pins": (_cpus, "cputune/emulatorpin/@cpuset"),
    "current_memory_bytes": (size_bytes, "currentMemory"),
    "ksm_excluded": (present, "memoryBacking/nosharepages"),
    "memory_locked": (present, "memoryBacking/locked"),
    "memory_mode": (value, "numatune/memory/@mode"),
    "node_ids": (_nodes, "numatune/memory/@nodeset"),
    "placement": (value, "(vcpu|numatune/memory)/@placement[.='auto']"),
    "cpu_mode": (value, "cpu/@mode"),
    "cpu_model": (value, "cpu/model"),
    "cache_mode": (value, "cpu/cache/@mode"),
    "scsi_controllers": (_values, "devices/controller[@type='scsi']/@model"),
    "video": (_values, "devices/video/model/@type"),
    "balloon": (value, "devices/memballoon/@model"),
    "gic_version": (value, "features/gic/@version"),
    "cachetune": (present, "cputune/cachetune|cputune/memorytune"),
}
"""The fields that hold what is at one place."""

_QEMU = "*[namespace-uri()='http://libvirt.org/schemas/domain/qemu/1.0' and local-name()='{}']"

_HOST_FUNCTIONS = (
    "devices/hostdev[@type='pci']/source/address"
    "|devices/interface[@type='hostdev']/source/address"
    "|devices/disk[@type='nvme']/source/address"
)


def parse(text: str, *, page_size_bytes: int | None) -> Fields | None:
    """Return the fields of a `Guest` that its XML tells; None where it is no domain.

    Args:
        text: What ``virsh dumpxml`` prints.
        page_size_bytes: The host's base page, which is no huge page; None: not told.
    """
    root = xml.parse_xml(text)
    if root is None or root.tag != "domain":
        return None
    name, vcpu_count, memory = value(root, "name"), number(root, "vcpu"), size_bytes(root, "memory")
    if name is None or vcpu_count is None or memory is None:
        return None
    pages = _pages(root, page_size_bytes)
    return {
        "name": name,
        "max_vcpu_count": vcpu_count,
        "memory_bytes": memory,
        **{field: convert(root, path) for field, (convert, path) in _GUEST.items()},
        **_vcpus(root, vcpu_count),
        **_iothreads(root),
        "page_sizes_bytes": tuple(sorted({size for size, _ in pages})),
        "memory_shared_access": _shared(root),
        "topology": _topology(root, vcpu_count),
        "cells": tuple(_cells(root, pages)),
        "caches": dict(_caches(root)),
        "disks": tuple(_disks(root)),
        "nics": tuple(_nics(root)),
        "pci_addresses": tuple(dict.fromkeys(_addresses(root, _HOST_FUNCTIONS))),
        "features": dict(_features(root)),
        "environment": dict(_environment(root)),
    }


def _vcpus(root: Element, maximum: int) -> Fields:
    """Return how many vCPUs are plugged in, and the pins of those."""
    plugged = set(_values(root, "vcpus/vcpu[@enabled='yes']/@id"))
    current = number(root, "vcpu/@current")
    count = maximum if current is None else current
    pins = dict(_pins(root, "cputune/vcpupin", "@vcpu"))
    return {
        "vcpu_count": count,
        "vcpu_pins": {
            vcpu: cpus
            for vcpu, cpus in sorted(pins.items())
            if (str(vcpu) in plugged if plugged else vcpu < count)
        },
    }


def _iothreads(root: Element) -> Fields:
    return {
        "iothread_count": number(root, "iothreads") or len(elements(root, "iothreadids/iothread")),
        "iothread_pins": dict(sorted(_pins(root, "cputune/iothreadpin", "@iothread"))),
    }


def _pins(root: Element, path: str, thread_path: str) -> Iterator[tuple[int, CpuSet]]:
    for pin in elements(root, path):
        thread, cpus = number(pin, thread_path), _cpus(pin, "@cpuset")
        if thread is not None and cpus:
            yield thread, cpus


Page = tuple[int, CpuSet | None]
"""Size of a huge page in bytes, 0 for the host's default, and the cells that it is for, None for
those that no other is for."""


def _pages(root: Element, base_bytes: int | None) -> tuple[Page, ...]:
    pages = elements(root, "memoryBacking/hugepages/page")
    if not pages:
        return ((0, None),) if present(root, "memoryBacking/hugepages") else ()
    sizes = ((size_bytes(page, "@size"), _cpus(page, "@nodeset")) for page in pages)
    return tuple((size, cells) for size, cells in sizes if size and size != base_bytes)


def _cells(root: Element, pages: tuple[Page, ...]) -> Iterator[GuestCell]:
    rules = {number(rule, "@cellid"): rule for rule in elements(root, "numatune/memnode")}
    for index, cell in enumerate(elements(root, "cpu/numa/cell")):
        cell_id = number(cell, "@id")
        cell_id = index if cell_id is None else cell_id
        rule = rules.get(cell_id)
        yield GuestCell(
            id=cell_id,
            vcpus=_cpus(cell, "@cpus") or CpuSet(),
            memory_bytes=size_bytes(cell, "@memory") or 0,
            node_ids=None if rule is None else node_list(value(rule, "@nodeset")),
            memory_mode=None if rule is None else value(rule, "@mode"),
            page_size_bytes=_page_of(cell_id, pages),
        )


def _page_of(cell_id: int, pages: tuple[Page, ...]) -> int | None:
    named = (size for size, cells in pages if cells is not None and cell_id in cells)
    others = (size for size, cells in pages if cells is None)
    return next(named, next(others, None))


def _shared(root: Element) -> bool:
    if present(root, "memoryBacking/access[@mode='shared']"):
        return True
    cells = elements(root, "cpu/numa/cell")
    return bool(cells) and all(value(cell, "@memAccess") == "shared" for cell in cells)


def _topology(root: Element, vcpu_count: int) -> GuestTopology | None:
    """Return ``<topology>``, overridden by ``-smp``: QEMU merges the options of several."""
    counts = dict.fromkeys(("dies", "clusters", "cores", "threads"), 1) | {"sockets": vcpu_count}
    told = {level: number(root, f"cpu/topology/@{level}") for level in counts}
    auto = present(root, "cpu/topology[@auto_topology='yes']")
    told |= {level: count for level, count in _smp(root) if level in counts}
    given = {level: count for level, count in told.items() if count}
    return GuestTopology(**counts | given, auto=auto) if given or auto else None


def _smp(root: Element) -> Iterator[tuple[str, int | None]]:
    arguments = _values(root, f"{_QEMU.format('commandline')}/{_QEMU.format('arg')}/@value")
    for option, text in pairwise(arguments):
        if option in ("-smp", "--smp"):
            for part in text.split(","):
                level, _, count = part.partition("=")
                yield level, natural(count)


def _caches(root: Element) -> Iterator[tuple[str, int]]:
    for cache in elements(root, "cpu/cacheinfo"):
        name, size = value(cache, "@cache"), number(cache, "@size")
        if name and size:
            yield name, size


def _disks(root: Element) -> Iterator[GuestDisk]:
    scsi = elements(root, "devices/controller[@type='scsi']")
    controllers = {number(controller, "@index"): controller for controller in scsi}
    for disk in elements(root, "devices/disk"):
        bus = value(disk, "target/@bus") or ""
        controller = controllers.get(number(disk, "address/@controller")) if bus == "scsi" else None
        driver = disk if controller is None else controller
        yield GuestDisk(
            target=value(disk, "target/@dev") or "",
            bus=bus,
            device=value(disk, "@device") or "disk",
            source=value(
                disk, "source/@*[contains(' file dev name dir ', concat(' ', name(), ' '))]"
            ),
            cache=value(disk, "driver/@cache"),
            io=value(disk, "driver/@io"),
            iothread=number(driver, "driver/@iothread|driver/iothreads/iothread/@id"),
            queues=number(driver, "driver/@queues"),
        )


def _nics(root: Element) -> Iterator[GuestNic]:
    for nic in elements(root, "devices/interface"):
        yield GuestNic(
            kind=value(nic, "@type") or "",
            model=value(nic, "model/@type"),
            target=value(nic, "target/@dev"),
            queues=number(nic, "driver/@queues"),
            vhost={"vhost": True, "qemu": False}.get(value(nic, "driver/@name") or ""),
            pci_address=next(_addresses(nic, "self::*[@type='hostdev']/source/address"), None),
        )


def _addresses(element: Element, path: str) -> Iterator[str]:
    """Yield PCI addresses as Linux writes them, ``0000:7d:00.1``."""
    for address in elements(element, path):
        domain, bus, slot, function = (
            number(address, f"@{part}") for part in ("domain", "bus", "slot", "function")
        )
        if bus is not None and slot is not None and function is not None:
            yield f"{domain or 0:04x}:{bus:02x}:{slot:02x}.{function:x}"


_STATES = {"yes": "on", "no": "off"}


def _features(root: Element) -> Iterator[tuple[str, str]]:
    for feature in elements(root, "features/*"):
        yield str(feature.tag), _state(feature)
    for feature in elements(root, "features/kvm/*|features/hyperv/*"):
        yield f"{value(feature, 'name(..)')}.{feature.tag}", _state(feature)


def _state(feature: Element) -> str:
    state = value(feature, "@state") or value(feature, "@enabled") or "on"
    return _STATES.get(state, state)


def _environment(root: Element) -> Iterator[tuple[str, str]]:
    for variable in elements(root, f"{_QEMU.format('commandline')}/{_QEMU.format('env')}"):
        name = value(variable, "@name")
        if name and not secret_name(name):
            yield name, value(variable, "@value") or ""
