"""The part of a libvirt domain's XML that tuning is about, cut out, edited and put back.

Everything else of a definition, devices and secrets among it, is never kept and never changed.

Source: https://libvirt.org/formatdomain.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxml import etree

from virtboost.errors import InputError
from virtboost.model.change import (
    GuestEmulatorPin,
    GuestIothreadPin,
    GuestMemoryBacking,
    GuestMemoryPolicy,
    GuestTopologyEdit,
    GuestVcpuPin,
)
from virtboost.model.xml import Element, elements, parse_xml

PARTS = ("memoryBacking", "cputune", "numatune", "cpu")

_TOPOLOGY = ("sockets", "dies", "clusters", "cores", "threads")

_ONE = ("dies", "clusters")
"""Levels that libvirt adds with a 1 where it knows them."""


def tuning(xml: str) -> str | None:
    """Return the parts of a domain's XML that tuning is about, in one form; None: not a domain."""
    domain = parse_xml(xml)
    if domain is None or domain.tag != "domain":
        return None
    part = etree.Element("tuning")
    part.extend(child for name in PARTS for child in elements(domain, name))
    return _text(part)


def with_tuning(xml: str, fragment: str) -> str:
    """Return a domain's XML with these parts in place of its own.

    Raises:
        InputError: The XML is not that of a domain.
    """
    domain = parse_xml(xml)
    if domain is None or domain.tag != "domain":
        raise InputError("libvirt's definition of the guest is not XML")
    for name in PARTS:
        for child in elements(domain, name):
            domain.remove(child)
    domain.extend(_part(fragment))
    return etree.tostring(domain, encoding="unicode")


def _text(part: Element) -> str:
    """Return a part in one form: no blanks, no empty elements, pins in order."""
    for element in part.iter():
        element.text = (element.text or "").strip() or None
        element.tail = None
    for element in elements(part, ".//topology"):
        for name in _ONE:
            if element.get(name) == "1":
                del element.attrib[name]
    for element in elements(part, "cputune"):
        element[:] = sorted(element, key=_place)
    for element in elements(part, "*[not(@*) and not(*) and not(text())]"):
        part.remove(element)
    part[:] = sorted(part, key=lambda child: PARTS.index(str(child.tag)))
    return etree.tostring(part, method="c14n").decode()


def _place(pin: Element) -> tuple[str, int]:
    number = pin.get("vcpu") or pin.get("iothread") or "0"
    return str(pin.tag), int(number) if number.isdecimal() else 0


def _part(fragment: str) -> Element:
    part = parse_xml(fragment)
    if part is None or part.tag != "tuning":
        raise InputError("the tuning part of a guest's definition is not XML")
    return part


def _edit(change: Callable[[Element], None]) -> Callable[[str], str]:
    def make(fragment: str) -> str:
        part = _part(fragment)
        change(part)
        return _text(part)

    return make


def _at(parent: Element, name: str, **key: object) -> Element:
    """Return a child with this name and these attributes; it is made where it is missing."""
    attributes = {each: str(value) for each, value in key.items()}
    for child in elements(parent, name):
        if all(child.get(each) == value for each, value in attributes.items()):
            return child
    return etree.SubElement(parent, name, attributes)


def _vcpu_pin(change: GuestVcpuPin, part: Element) -> None:
    _at(_at(part, "cputune"), "vcpupin", vcpu=change.vcpu).set("cpuset", str(change.cpus))


def _iothread_pin(change: GuestIothreadPin, part: Element) -> None:
    pin = _at(_at(part, "cputune"), "iothreadpin", iothread=change.iothread)
    pin.set("cpuset", str(change.cpus))


def _emulator_pin(change: GuestEmulatorPin, part: Element) -> None:
    _at(_at(part, "cputune"), "emulatorpin").set("cpuset", str(change.cpus))


def _memory_policy(change: GuestMemoryPolicy, part: Element) -> None:
    memory = _at(_at(part, "numatune"), "memory")
    memory.attrib.pop("placement", "")
    memory.set("mode", change.mode)
    memory.set("nodeset", ",".join(map(str, change.node_ids)))


def _memory_backing(change: GuestMemoryBacking, part: Element) -> None:
    pages = _at(_at(part, "memoryBacking"), "hugepages")
    pages[:] = []
    etree.SubElement(pages, "page", size=str(change.page_size_bytes >> 10), unit="KiB")


def _topology(change: GuestTopologyEdit, part: Element) -> None:
    topology = _at(_at(part, "cpu"), "topology")
    for level in _TOPOLOGY:
        topology.set(level, str(getattr(change, level)))


_EDITS: dict[type, Callable[[Any, Element], None]] = {
    GuestVcpuPin: _vcpu_pin,
    GuestIothreadPin: _iothread_pin,
    GuestEmulatorPin: _emulator_pin,
    GuestMemoryPolicy: _memory_policy,
    GuestMemoryBacking: _memory_backing,
    GuestTopologyEdit: _topology,
}

GuestChange = (
    GuestVcpuPin
    | GuestIothreadPin
    | GuestEmulatorPin
    | GuestMemoryPolicy
    | GuestMemoryBacking
    | GuestTopologyEdit
)


def domain_edit(change: GuestChange) -> Callable[[str], str]:
    """Return what a change makes of the tuning part of a guest's definition."""
    return _edit(lambda part: _EDITS[type(change)](change, part))
