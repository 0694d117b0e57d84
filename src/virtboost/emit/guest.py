"""A placement as a libvirt domain: a whole new one, or a minimal edit of one that is there.

Source: https://libvirt.org/formatdomain.html
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from lxml import etree

from virtboost.emit.domain import tuning
from virtboost.errors import InputError
from virtboost.model.guest import GuestTopology
from virtboost.model.host import Host
from virtboost.model.placement import CellPlacement, GuestPlacement
from virtboost.model.xml import Element, elements, parse_xml

QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
"""Namespace of ``<qemu:commandline>``."""

CLUSTERS_SINCE = (10, 1)
"""libvirt 10.1.0, 2024-03-01: ``<topology clusters=...>``, https://libvirt.org/news.html."""

_ORDER = (
    "name",
    "uuid",
    "title",
    "description",
    "metadata",
    "memory",
    "currentMemory",
    "memoryBacking",
    "vcpu",
    "vcpus",
    "iothreads",
    "iothreadids",
    "cputune",
    "numatune",
    "resource",
    "os",
    "features",
    "cpu",
)
"""Children of a domain in the order in which libvirt writes them."""

_MACHINES = {"aarch64": "virt", "x86_64": "q35"}
_Features = tuple[tuple[str, dict[str, str]], ...]

_FEATURES: dict[str, _Features] = {"aarch64": (("acpi", {}), ("gic", {"version": "3"}))}
_PC_FEATURES: _Features = (("acpi", {}), ("apic", {}))


def new_domain(placement: GuestPlacement, host: Host) -> str:
    """Return the XML of a whole domain; disks and networks are for its owner to add."""
    arch = host.arch or "x86_64"
    accelerated = host.libvirt is None or host.libvirt.accelerated is not False
    domain = etree.Element("domain", {"type": "kvm" if accelerated else "qemu"})
    etree.SubElement(domain, "name").text = placement.name
    system = etree.SubElement(domain, "os")
    if arch == "aarch64":
        system.set("firmware", "efi")
    kind = {"arch": arch, "machine": _MACHINES.get(arch, "virt")}
    etree.SubElement(system, "type", kind).text = "hvm"
    features = etree.SubElement(domain, "features")
    for name, told in _FEATURES.get(arch, _PC_FEATURES):
        etree.SubElement(features, name, told)
    etree.SubElement(domain, "cpu", {"mode": "host-passthrough" if accelerated else "maximum"})
    devices = etree.SubElement(domain, "devices")
    etree.SubElement(devices, "console", {"type": "pty"})
    rng = etree.SubElement(devices, "rng", {"model": "virtio"})
    etree.SubElement(rng, "backend", {"model": "random"}).text = "/dev/urandom"
    _place(domain, placement, host)
    etree.indent(domain)
    return _written(domain)


def edited_domain(xml: str, placement: GuestPlacement, host: Host) -> str:
    """Return a domain's XML as the placement wants it, its other lines as they are.

    Raises:
        InputError: The XML is not that of a domain, or of another guest.
    """
    domain = parse_xml(xml)
    if domain is None or domain.tag != "domain":
        raise InputError(f"{placement.name}: its definition is not the XML of a domain")
    name = domain.findtext("name")
    if name != placement.name:
        raise InputError(f"the definition is of {name!r}, and not of {placement.name!r}")
    before = tuning(xml)
    _place(domain, placement, host)
    text = _written(domain)
    if before == tuning(text) and _counts(xml) == _counts(text):
        return xml
    return text


def domain_diff(xml: str, placement: GuestPlacement, host: Host) -> str:
    """Return what an edit changes, as ``diff -u`` writes it; empty: nothing."""
    after = edited_domain(xml, placement, host)
    name = f"{placement.name}.xml"
    before, now = xml.splitlines(), after.splitlines()
    found = difflib.unified_diff(before, now, f"a/{name}", f"b/{name}", lineterm="")
    return "".join(f"{line}\n" for line in found)


def _written(domain: Element) -> str:
    """Return XML with libvirt's quotes, so that a diff has only what differs."""
    text = etree.tostring(domain, encoding="unicode")
    quoted = re.sub(r"<[^<>]+>", lambda tag: re.sub(r'="([^"\']*)"', r"='\1'", tag[0]), text)
    return f"{quoted}\n"


def _counts(xml: str) -> list[str]:
    domain = parse_xml(xml)
    assert domain is not None
    wanted = ("memory", "vcpu", "iothreads", f"{{{QEMU}}}commandline")
    found = (domain.find(name) for name in wanted)
    return [etree.tostring(one, method="c14n").decode() for one in found if one is not None]


def _place(domain: Element, placement: GuestPlacement, host: Host) -> None:
    _memory(domain, placement.memory_bytes)
    _backing(domain, placement, host)
    _vcpu(domain, len(placement.vcpus))
    if placement.iothreads:
        threads = _child(domain, "iothreads")
        _say(threads, str(max(len(placement.iothreads), _number(threads.text))))
    _pins(domain, placement)
    _nodes(domain, placement)
    _cpu(domain, placement, host)


def _child(domain: Element, name: str) -> Element:
    """Return a child of the domain; a new one stands where libvirt would write it."""
    for child in elements(domain, name):
        return child
    child = etree.Element(name)
    place = _ORDER.index(name)
    before = [each for each in domain if each.tag in _ORDER and _ORDER.index(each.tag) < place]
    _insert(domain, domain.index(before[-1]) + 1 if before else 0, child)
    return child


def _insert(parent: Element, index: int, child: Element) -> None:
    """Insert a child in a line of its own, as deep as its neighbours."""
    if index:
        child.tail = parent[index - 1].tail
        parent[index - 1].tail = parent.text
    elif len(parent):
        child.tail = parent.text
    parent.insert(index, child)


def _fill(parent: Element, children: Iterable[Element], *old: str) -> None:
    """Put children in place of those with these names; the lines keep their depth."""
    wanted = list(children)
    had = [child for child in parent if child.tag in old]
    if _same(had, wanted):
        return
    first = parent.index(had[0]) if had else len(parent)
    for child in had:
        parent.remove(child)
    parent[first:first] = wanted
    above = parent.getparent()
    depth = (above.text if above is not None else None) or ""
    if "\n" in depth:
        etree.indent(parent, level=depth.rpartition("\n")[2].count("  "))


def _same(one: list[Element], other: list[Element]) -> bool:
    def form(child: Element) -> bytes:
        copy = parse_xml(etree.tostring(child, encoding="unicode", with_tail=False))
        assert copy is not None
        for each in copy.iter():
            each.text = (each.text or "").strip() or None
            each.tail = None
        return bytes(etree.tostring(copy, method="c14n"))

    return [form(child) for child in one] == [form(child) for child in other]


def _say(element: Element, text: str) -> None:
    if (element.text or "").strip() != text:
        element.text = text


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.strip().isdecimal() else 0


def _memory(domain: Element, memory_bytes: int) -> None:
    memory = _child(domain, "memory")
    if (memory.get("unit", "KiB"), memory.text) != ("KiB", str(memory_bytes >> 10)):
        for ballooned in elements(domain, "currentMemory"):
            domain.remove(ballooned)
    memory.set("unit", "KiB")
    _say(memory, str(memory_bytes >> 10))


def _backing(domain: Element, placement: GuestPlacement, host: Host) -> None:
    huge = [c for c in placement.cells if c.page_size_bytes in host.memory.hugepage_sizes_bytes]
    if not huge:
        for backing in elements(domain, "memoryBacking"):
            _fill(backing, (), "hugepages")
        return
    pages = etree.Element("hugepages")
    for size in sorted({cell.page_size_bytes for cell in huge}):
        cells = [str(cell.cell) for cell in huge if cell.page_size_bytes == size]
        page = etree.SubElement(pages, "page", {"size": str(size >> 10), "unit": "KiB"})
        if len(cells) < len(placement.cells):
            page.set("nodeset", ",".join(cells))
    _fill(_child(domain, "memoryBacking"), (pages,), "hugepages")


def _vcpu(domain: Element, count: int) -> None:
    vcpu = _child(domain, "vcpu")
    vcpu.set("placement", "static")
    if _number(vcpu.text) != count:
        vcpu.attrib.pop("current", "")
        for each in elements(domain, "vcpus"):
            domain.remove(each)
    _say(vcpu, str(count))


def _pins(domain: Element, placement: GuestPlacement) -> None:
    pins = [
        etree.Element("vcpupin", {"vcpu": str(pin.vcpu), "cpuset": str(pin.pcpus)})
        for pin in placement.vcpus
    ]
    if placement.emulator_pcpus:
        pins.append(etree.Element("emulatorpin", {"cpuset": str(placement.emulator_pcpus)}))
    pins += [
        etree.Element("iothreadpin", {"iothread": str(pin.id), "cpuset": str(pin.pcpus)})
        for pin in placement.iothreads
    ]
    _fill(_child(domain, "cputune"), pins, "vcpupin", "emulatorpin", "iothreadpin")


def _nodes(domain: Element, placement: GuestPlacement) -> None:
    nodes = ",".join(map(str, placement.node_ids))
    rules = [etree.Element("memory", {"mode": "strict", "nodeset": nodes})]
    rules += [
        etree.Element(
            "memnode", {"cellid": str(cell.cell), "mode": "strict", "nodeset": str(cell.node_id)}
        )
        for cell in placement.cells
    ]
    _fill(_child(domain, "numatune"), rules, "memory", "memnode")


def _cpu(domain: Element, placement: GuestPlacement, host: Host) -> None:
    cpu = _child(domain, "cpu")
    told = placement.topology
    if told is not None:
        says_clusters = _version(host) >= CLUSTERS_SINCE
        _fill(cpu, (_topology(told, clusters=says_clusters),), "topology")
        if told.clusters > 1 and not says_clusters:
            _smp(domain, told, len(placement.vcpus))
    kept = {cell.get("id"): dict(cell.attrib) for cell in elements(cpu, "numa/cell")}
    numa = etree.Element("numa")
    numa.extend(_cell(cell, kept.get(str(cell.cell), {})) for cell in placement.cells)
    _fill(cpu, (numa,), "numa")


def _topology(told: GuestTopology, *, clusters: bool) -> Element:
    levels = {"sockets": told.sockets, "dies": told.dies}
    if clusters:
        levels |= {"clusters": told.clusters, "cores": told.cores}
    else:
        levels["cores"] = told.cores * told.clusters
    levels["threads"] = told.threads
    return etree.Element("topology", {name: str(count) for name, count in levels.items()})


def _cell(cell: CellPlacement, kept: dict[str, str]) -> Element:
    told = {
        "id": str(cell.cell),
        "cpus": str(cell.vcpus),
        "memory": str(cell.memory_bytes >> 10),
        "unit": "KiB",
    }
    element = etree.Element("cell", kept | told)
    if len(cell.distances) > 1:
        distances = etree.SubElement(element, "distances")
        for other, distance in sorted(cell.distances.items()):
            etree.SubElement(distances, "sibling", {"id": str(other), "value": str(distance)})
    return element


def _version(host: Host) -> tuple[int, ...]:
    """Return libvirt's version on the host; one that is not told can say the least."""
    version = host.libvirt.version if host.libvirt is not None else None
    return tuple(int(part) for part in (version or "0").split(".") if part.isdecimal())


def _smp(domain: Element, told: GuestTopology, count: int) -> None:
    """Tell QEMU of clusters past a libvirt that has no word for them."""
    levels = f"sockets={told.sockets},clusters={told.clusters},cores={told.cores}"
    smp = f"{count},{levels},threads={told.threads}"
    line = domain.find(f"{{{QEMU}}}commandline")
    if line is None:
        line = etree.Element(f"{{{QEMU}}}commandline", nsmap={"qemu": QEMU})
        _insert(domain, len(domain), line)
    arguments = line.findall(f"{{{QEMU}}}arg")
    values = [each.get("value") for each in arguments]
    if "-smp" in values[:-1]:
        arguments[values.index("-smp") + 1].set("value", smp)
        return
    for value in ("-smp", smp):
        etree.SubElement(line, f"{{{QEMU}}}arg", {"value": value})
    if "\n" in (domain.text or ""):
        etree.indent(line, level=1)
