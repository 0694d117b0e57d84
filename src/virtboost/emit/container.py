"""A placement as flags of ``docker run`` and as keys of a compose file.

Source: https://docs.docker.com/reference/cli/docker/container/run/, and the Compose Specification
(``cpuset``, ``mem_limit``).  Compose has no key for the memory's nodes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

import yaml

from virtboost.model.cpuset import CpuSet, union
from virtboost.model.placement import GuestPlacement

WITHOUT_NODES = (
    "# compose has no key for NUMA nodes: pages come from the node where a thread first touches "
    "them,\n# which is the one of its cpuset as long as that node has free memory\n"
)


def run_command(placement: GuestPlacement) -> str:
    """Return ``docker run`` with the flags of a placement; the image is its owner's to name."""
    words = ["docker", "run", "--detach", "--name", placement.name, *run_flags(placement)]
    return f"{shlex.join(words)} IMAGE"


def run_flags(placement: GuestPlacement) -> list[str]:
    """Return the flags of ``docker run`` that carry out a placement."""
    memory = sum(cell.memory_bytes for cell in placement.cells)
    flags = ["--cpuset-cpus", str(_pcpus(placement))]
    flags += ["--cpuset-mems", str(CpuSet(cell.node_id for cell in placement.cells))]
    return [*flags, "--memory", str(memory), "--memory-swap", str(memory)]


def compose_file(placements: Iterable[GuestPlacement]) -> str:
    """Return a compose file with the keys of each container's placement."""
    services = {
        placement.name: {
            "cpuset": str(_pcpus(placement)),
            "mem_limit": sum(cell.memory_bytes for cell in placement.cells),
            "memswap_limit": sum(cell.memory_bytes for cell in placement.cells),
        }
        for placement in placements
    }
    return WITHOUT_NODES + yaml.safe_dump({"services": services}, sort_keys=False)


def _pcpus(placement: GuestPlacement) -> CpuSet:
    return union(vcpu.pcpus for vcpu in placement.vcpus)
