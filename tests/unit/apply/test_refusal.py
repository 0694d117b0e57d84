"""Values that a host would take and be the worse for are refused before anything is written.

The host is a folder of files as they were on a server with 2 nodes; the numbers are worked out by
hand from them.
"""

from pathlib import Path

import pytest

from virtboost.apply.preflight import preflight
from virtboost.errors import InputError
from virtboost.model.change import (
    Change,
    Governor,
    HugepagePoolSize,
    IrqAffinity,
    NicSteering,
    TransparentHugepages,
)
from virtboost.model.cpuset import CpuSet
from virtboost.transport.recorded import RecordedReader

NODE = "sys/devices/system/node/node1"
POOL = f"{NODE}/hugepages/hugepages-2048kB"
FREQ = "sys/devices/system/cpu/cpu0/cpufreq"

FILES = {
    "sys/devices/system/cpu/online": "0-7,9\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "proc/irq/40/smp_affinity_list": "0-7\n",
    "sys/class/net/eth0/queues/rx-0/rps_cpus": "0000\n",
    "proc/sys/vm/min_free_kbytes": "102400\n",
    f"{NODE}/meminfo": (
        "Node 1 MemTotal:       8388608 kB\n"
        "Node 1 MemFree:        1048576 kB\n"
        "Node 1 Active(file):    204800 kB\n"
        "Node 1 Inactive(file):  102400 kB\n"
        "Node 1 SReclaimable:     51200 kB\n"
    ),
    f"{POOL}/nr_hugepages": "100\n",
    f"{POOL}/free_hugepages": "60\n",
    f"{FREQ}/scaling_governor": "powersave\n",
    f"{FREQ}/scaling_available_governors": "performance powersave\n",
}


@pytest.fixture
def host(tmp_path: Path) -> RecordedReader:
    for path, text in FILES.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return RecordedReader(tmp_path)


def pool(pages: int) -> HugepagePoolSize:
    return HugepagePoolSize(node_id=1, size_bytes=2 << 20, pages=pages)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        # 1048576 + 204800 + 102400 + 51200 - 102400 KiB are 1304576 KiB: 637 pages of 2048 KiB.
        (pool(738), "node 1: 1.2 GiB of huge pages are wanted, and 1.2 GiB can be taken"),
        (pool(39), "nr_hugepages: 40 of its pages are in use"),
        (IrqAffinity(irq=40, cpus=CpuSet({7, 8})), "smp_affinity_list: CPUs 8 are not online"),
        (
            NicSteering(interface="eth0", queue="rx-0", cpus=CpuSet({9, 10, 11})),
            "rps_cpus: CPUs 10-11 are not online",
        ),
        (
            TransparentHugepages(setting="enabled", value="sometimes"),
            "enabled: 'sometimes' is none of always, madvise, never",
        ),
        (
            Governor(cpus=CpuSet({0}), governor="ondemand"),
            "scaling_governor: 'ondemand' is none of performance, powersave",
        ),
    ],
)
def test_refused(host: RecordedReader, change: Change, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        preflight(host, [change])
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        pool(737),
        pool(40),
        IrqAffinity(irq=40, cpus=CpuSet({7, 9})),
        TransparentHugepages(setting="enabled", value="never"),
        Governor(cpus=CpuSet({0}), governor="performance"),
    ],
)
def test_taken(host: RecordedReader, change: Change) -> None:
    (step,) = preflight(host, [change])
    assert step.changes
