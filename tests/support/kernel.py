"""Settings of this machine's kernel that tests change, and how they were, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.daemon import exclusive
from virtboost.model.change import (
    Change,
    HugepagePoolSize,
    NicSteering,
    Sysctl,
    TransparentHugepages,
)
from virtboost.model.cpuset import CpuSet

SWAPPINESS = Path("/proc/sys/vm/swappiness")
DEFRAG = Path("/sys/kernel/mm/transparent_hugepage/defrag")
POOL = Path("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages")
STEERING = Path("/sys/class/net/lo/queues/rx-0/rps_cpus")

FILES = (SWAPPINESS, DEFRAG, POOL, STEERING)


def snapshot() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in FILES}


def changes() -> list[Change]:
    """Return a change of each file, of four kinds."""
    defrag = "never" if "[never]" not in DEFRAG.read_text() else "always"
    return [
        Sysctl(name="vm.swappiness", value=str(int(SWAPPINESS.read_text()) ^ 1)),
        TransparentHugepages(setting="defrag", value=defrag),
        HugepagePoolSize(node_id=0, size_bytes=2 << 20, pages=int(POOL.read_text()) + 2),
        NicSteering(interface="lo", queue="rx-0", cpus=CpuSet({0})),
    ]


@contextmanager
def untouched() -> Iterator[dict[Path, bytes]]:
    """Have the settings for oneself; whatever the test does, they are as before afterwards."""
    missing = [str(path) for path in FILES if not path.exists()]
    if missing:
        pytest.skip(f"this kernel has no {', '.join(missing)}")
    with exclusive("kernel"):
        before = snapshot()
        try:
            yield before
        finally:
            for path, content in before.items():
                text = content.decode()
                path.write_text(text.partition("[")[2].partition("]")[0] or text)
