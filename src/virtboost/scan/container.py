"""Running containers of every engine, with what the kernel lets them use."""

from __future__ import annotations

from typing import Any

import msgspec

from virtboost.model.container import Container, ContainerEngine
from virtboost.model.cpuset import CpuSet
from virtboost.model.topology import Topology
from virtboost.scan import cgroup, containerd, docker
from virtboost.scan.gaps import Gaps
from virtboost.transport.source import Capture, Source

SOURCES: tuple[Source, ...] = (*docker.SOURCES, *containerd.SOURCES, *cgroup.SOURCES)


def parse(
    capture: Capture, gaps: Gaps, *, topology: Topology
) -> tuple[tuple[ContainerEngine, ...], tuple[Container, ...]]:
    """Return the engines, and the containers by name.

    A gap ``containers`` tells of an engine that is installed and does not answer.
    """
    told = dict((*containerd.parse(capture, gaps), *docker.parse(capture, gaps)))
    version = cgroup.parse_version(capture)
    engines = (
        *docker.parse_engines(capture, cgroup_version=version),
        *containerd.parse_engines(capture, told, cgroup_version=version),
    )
    groups = cgroup.parse(capture)
    containers = (
        _as_it_is(container, groups.get(container_id, {}), topology)
        for container_id, container in told.items()
    )
    return engines, tuple(sorted(containers, key=lambda c: (c.name, c.engine)))


def _as_it_is(container: Container, group: dict[str, Any], topology: Topology) -> Container:
    """Return a container as its control group says; what is not limited there is None."""
    nodes = {node.id for node in topology.numa_nodes if node.memory_bytes}
    fields = dict(group)
    if container.cpuset is None and topology.online <= fields.get("cpuset", CpuSet()):
        fields["cpuset"] = None
    if container.node_ids is None and nodes <= set(fields.get("node_ids", ())):
        fields["node_ids"] = None
    return msgspec.structs.replace(container, **fields)
