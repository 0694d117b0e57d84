"""A placement as flags of ``docker run`` and as keys of a compose file.

Source: https://docs.docker.com/reference/cli/docker/container/run/, and the Compose Specification
(``cpuset``, ``mem_limit``).  Compose has no key for the memory's nodes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

import yaml

from virtboost.model.cpuset import CpuSet
from virtboost.model.placement import GuestPlacement

WITHOUT_NODES = (
    "# compose has no key for NUMA nodes: pages come from the node where a thread first touches "
    "them,\n# which is the one of its cpuset as long as that node has free memory\n"
)


def run_command(placement: GuestPlacement) -> str:
    """Return ``docker run`` with the flags of a placement; the image is its owner's to name."""
    memory = str(placement.memory_bytes)
    words = ["docker", "run", "--detach", "--name", placement.name]
    words += ["--cpuset-cpus", str(placement.pcpus)]
    words += ["--cpuset-mems", str(CpuSet(placement.node_ids))]
    words += ["--memory", memory, "--memory-swap", memory]
    return f"{shlex.join(words)} IMAGE"


def compose_file(placements: Iterable[GuestPlacement]) -> str:
    """Return a compose file with the keys of each container's placement."""
    services = {
        placement.name: {
            "cpuset": str(placement.pcpus),
            "mem_limit": placement.memory_bytes,
            "memswap_limit": placement.memory_bytes,
        }
        for placement in placements
    }
    return WITHOUT_NODES + yaml.safe_dump({"services": services}, sort_keys=False)
