"""A placement as oVirt has it: the vCPU pinning and the virtual NUMA nodes of a VM.

Source: ovirt-engine-api-model, types ``CpuTune``, ``VcpuPin``, ``VirtualNumaNode``.
"""

from __future__ import annotations

from lxml import etree

from virtboost.model.placement import CellPlacement, GuestPlacement
from virtboost.model.xml import Element


def pinning(placement: GuestPlacement) -> str:
    """Return the CPU pinning as the portal's field has it: ``0#4_1#5``."""
    return "_".join(f"{pin.vcpu}#{pin.pcpus}" for pin in placement.vcpus)


def vm(placement: GuestPlacement) -> str:
    """Return the body of ``PUT /vms/ID``, XML: memory, CPU topology and pins."""
    root = etree.Element("vm")
    etree.SubElement(root, "name").text = placement.name
    etree.SubElement(root, "memory").text = str(placement.memory_bytes)
    cpu = etree.SubElement(root, "cpu")
    told = placement.topology
    if told is not None:
        topology = etree.SubElement(cpu, "topology")
        etree.SubElement(topology, "cores").text = str(told.cores_per_socket)
        etree.SubElement(topology, "sockets").text = str(told.sockets)
        etree.SubElement(topology, "threads").text = str(told.threads)
    pins = etree.SubElement(etree.SubElement(cpu, "cpu_tune"), "vcpu_pins")
    for pin in placement.vcpus:
        element = etree.SubElement(pins, "vcpu_pin")
        etree.SubElement(element, "cpu_set").text = str(pin.pcpus)
        etree.SubElement(element, "vcpu").text = str(pin.vcpu)
    return _text(root)


def numa_nodes(placement: GuestPlacement) -> str:
    """Return the bodies of ``POST /vms/ID/numanodes``, XML, a virtual node after the other.

    oVirt wants the memory of a node in MiB.
    """
    return "".join(_text(_numa_node(cell)) for cell in placement.cells)


def _numa_node(cell: CellPlacement) -> Element:
    node = etree.Element("vm_numa_node")
    etree.SubElement(node, "index").text = str(cell.cell)
    etree.SubElement(node, "memory").text = str(cell.memory_bytes >> 20)
    etree.SubElement(node, "numa_tune_mode").text = "strict"
    cores = etree.SubElement(etree.SubElement(node, "cpu"), "cores")
    for vcpu in cell.vcpus:
        etree.SubElement(etree.SubElement(cores, "core"), "index").text = str(vcpu)
    pins = etree.SubElement(node, "numa_node_pins")
    etree.SubElement(etree.SubElement(pins, "numa_node_pin"), "index").text = str(cell.node_id)
    return node


def _text(root: Element) -> str:
    etree.indent(root)
    return f"{etree.tostring(root, encoding='unicode')}\n"
