"""Nova's own NUMA fit over many servers, in Nova's own environment: JSON in, JSON out.

It is a program of its own, because Nova's packages are not the product's.  It reads

    {"servers": [[[cpus, memory_mib], ...], ...],
     "requests": [[vcpus, memory_mib, cells, strategy, group], ...]}

and writes, for each request, the number of its server and of the node of each cell, or null; and how
long all of it took.  Servers are asked in the order of the CPU and RAM weighers (both spread, as is
Nova's default), the first that ``numa_fit_instance_to_host`` accepts has the guest.  Of the
strategies Nova knows anti-affinity, which is a filter.
"""

import json
import os
import sys
import time
from collections import defaultdict
from typing import Any

os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "true")

import numpy as np
from nova import objects

objects.register_all()
from nova.virt import hardware  # noqa: E402 (after the objects that it uses)

BASE_PAGE_KIB = 4


def host_cell(number: int, cpus: int, memory_mib: int) -> Any:
    """Return a node whose CPUs are all for dedicated guests."""
    pages = objects.NUMAPagesTopology(
        size_kb=BASE_PAGE_KIB, total=memory_mib * 1024 // BASE_PAGE_KIB, used=0, reserved=0
    )
    first = number * 1000
    pcpus = set(range(first, first + cpus))
    return objects.NUMACell(
        id=number,
        cpuset=set(),
        pcpuset=pcpus,
        memory=memory_mib,
        cpu_usage=0,
        memory_usage=0,
        pinned_cpus=set(),
        siblings=[{cpu} for cpu in pcpus],
        mempages=[pages],
        socket=0,
    )


def instance(vcpus: int, memory_mib: int, cells: int) -> Any:
    share = vcpus // cells
    return objects.InstanceNUMATopology(
        emulator_threads_policy=None,
        cells=[
            objects.InstanceNUMACell(
                id=cell,
                cpuset=set(),
                pcpuset=set(range(cell * share, (cell + 1) * share)),
                memory=memory_mib // cells,
                cpu_policy="dedicated",
                cpu_thread_policy=None,
                pagesize=None,
            )
            for cell in range(cells)
        ],
    )


LIMITS = objects.NUMATopologyLimits(cpu_allocation_ratio=1.0, ram_allocation_ratio=1.0)


def spread(values: Any) -> Any:
    """Return a weigher's values between 0 and 1, as ``normalize`` of nova/weights.py does."""
    span = values.max() - values.min()
    return (values - values.min()) / span if span else np.zeros(len(values))


class Scheduler:
    def __init__(self, servers: list[list[list[int]]]) -> None:
        self.hosts = [
            objects.NUMATopology(cells=[host_cell(n, *node) for n, node in enumerate(nodes)])
            for nodes in servers
        ]
        self.free = np.array([np.sum(nodes, axis=0) for nodes in servers], float)
        self.groups: defaultdict[str, set[int]] = defaultdict(set)

    def place(
        self, vcpus: int, memory_mib: int, cells: int, strategy: str | None, group: str
    ) -> list[Any] | None:
        wanted = instance(vcpus, memory_mib, cells)
        apart = self.groups[group] if strategy == "anti-affinity" else set()
        enough: Any = (self.free >= (vcpus, memory_mib)).all(1)
        enough[list(apart)] = False
        rows = np.flatnonzero(enough)
        if not len(rows):
            return None
        weights = spread(self.free[rows, 0]) + spread(self.free[rows, 1])
        for row in rows[np.argsort(-weights, kind="stable")]:
            fitted = hardware.numa_fit_instance_to_host(self.hosts[row], wanted, None, LIMITS)
            if fitted is None:
                continue
            self.hosts[row] = hardware.numa_usage_from_instance_numa(self.hosts[row], fitted)
            self.free[row] -= (vcpus, memory_mib)
            if strategy == "anti-affinity":
                self.groups[group].add(int(row))
            return [int(row), [cell.id for cell in fitted.cells]]
        return None


def main() -> None:
    asked = json.load(sys.stdin)
    scheduler = Scheduler(asked["servers"])
    begin = time.perf_counter()
    placed = [scheduler.place(*request) for request in asked["requests"]]
    json.dump({"placed": placed, "seconds": time.perf_counter() - begin}, sys.stdout)


if __name__ == "__main__":
    main()
