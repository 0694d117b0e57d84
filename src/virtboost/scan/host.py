"""One host, whole: every module's sources in one read, every module's parse in one model."""

from __future__ import annotations

from collections.abc import Sequence

from virtboost.model.host import Host
from virtboost.scan import (
    agent,
    block,
    container,
    cpu,
    firmware,
    guest,
    irq,
    kernel,
    libvirt,
    memory,
    net,
    numa,
    ovs,
    pci,
    service,
    topology,
)
from virtboost.scan.gaps import Gaps
from virtboost.transport.source import Capture, Files, Reader, Source

SOURCES: tuple[Source, ...] = (
    *topology.SOURCES,
    *numa.SOURCES,
    *cpu.SOURCES,
    *memory.SOURCES,
    *kernel.SOURCES,
    *firmware.SOURCES,
    *service.SOURCES,
    *pci.SOURCES,
    *net.SOURCES,
    *irq.SOURCES,
    *block.SOURCES,
    *libvirt.SOURCES,
    *guest.SOURCES,
    *container.SOURCES,
    *ovs.SOURCES,
    *agent.SOURCES,
)

KUNPENG_920 = "Kunpeng 920"


def scan(reader: Reader, extra: Sequence[Files] = ()) -> Host:
    """Read a host.

    Args:
        reader: Where from.
        extra: Files that items of the site look at; their texts are in ``Host.files``.

    Raises:
        TransportError: The host could not be read.
        InputError: The recording could not be used.
    """
    return parse(reader.read((*SOURCES, *extra)), extra)


def parse(capture: Capture, extra: Sequence[Files] = ()) -> Host:
    """Turn what was read into the model."""
    gaps = Gaps()
    for failure in capture.failures:
        gaps.add("file", failure.path, failure.reason)
    identity = cpu.parse_identity(capture, gaps)
    arch = kernel.parse_arch(capture, arm=identity.implementer is not None)
    nodes = numa.parse(capture, gaps)
    server = firmware.parse(capture, gaps)
    devices = pci.parse(capture, gaps, nodes)
    interfaces = net.parse(capture, gaps, devices)
    places = topology.parse(
        capture,
        gaps,
        nodes=nodes,
        kunpeng_920=identity.generation == KUNPENG_920 and server.virtual is False,
    )
    engines, containers = container.parse(capture, gaps, topology=places)
    ram = memory.parse(capture, gaps, arch=arch)
    return Host(
        hostname=kernel.parse_hostname(capture),
        arch=arch,
        cpu=identity,
        topology=places,
        memory=ram,
        power=cpu.parse_power(capture),
        kernel=kernel.parse(capture, gaps),
        firmware=server,
        services=service.parse(capture, gaps),
        pci=devices,
        net=interfaces,
        irq=irq.parse(capture, gaps, devices=devices, interfaces=interfaces),
        block=block.parse(capture, gaps, devices),
        libvirt=libvirt.parse(capture, gaps),
        guests=guest.parse(
            capture, gaps, online=places.online, page_size_bytes=ram.page_size_bytes
        ),
        engines=engines,
        containers=containers,
        ovs=ovs.parse(capture, gaps),
        agents=agent.parse(capture, gaps),
        files=_site_files(capture, extra),
        gaps=gaps.all(),
    )


def _site_files(capture: Capture, extra: Sequence[Files]) -> dict[str, str]:
    return {
        f"{directory}/{name}": text
        for source in extra
        for directory, texts in capture.entries(source).items()
        for name, text in texts.items()
    }
