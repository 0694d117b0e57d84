"""Which files a change sets: the kernel's own names for them, and nothing outside its folders."""

import pytest

from virtboost.emit.kernel import settings
from virtboost.emit.setting import Setting
from virtboost.errors import InputError, ParseError
from virtboost.model.change import (
    Change,
    Governor,
    HugepagePoolSize,
    IrqAffinity,
    KernelFile,
    Ksm,
    NicSteering,
    Sysctl,
    TransparentHugepages,
)
from virtboost.model.cpuset import CpuSet
from virtboost.model.document import from_json
from virtboost.model.plan import Plan

CPUS = CpuSet({0, 1, 33})


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        (Sysctl(name="vm.swappiness", value="1"), "/proc/sys/vm/swappiness", "1"),
        (IrqAffinity(irq=34, cpus=CPUS), "/proc/irq/34/smp_affinity_list", "0-1,33"),
        (NicSteering(interface="eth0", queue="rx-1", cpus=CPUS), "/sys/class/net/eth0/queues/rx-1/rps_cpus", "2,00000003"),
        (NicSteering(interface="eth0", queue="tx-1", cpus=CPUS), "/sys/class/net/eth0/queues/tx-1/xps_cpus", "2,00000003"),
        (HugepagePoolSize(node_id=3, size_bytes=512 << 20, pages=8), "/sys/devices/system/node/node3/hugepages/hugepages-524288kB/nr_hugepages", "8"),
        (TransparentHugepages(setting="enabled", value="never"), "/sys/kernel/mm/transparent_hugepage/enabled", "never"),
        (Ksm(setting="run", value=0), "/sys/kernel/mm/ksm/run", "0"),
        (Governor(cpus=CpuSet({5}), governor="performance"), "/sys/devices/system/cpu/cpu5/cpufreq/scaling_governor", "performance"),
        (KernelFile(path="/sys/block/sda/queue/scheduler", value="none"), "/sys/block/sda/queue/scheduler", "none"),
    ],
)  # fmt: skip
def test_file_of_a_change(change: Change, path: str, value: str) -> None:
    """Paths are those of Documentation/ABI and Documentation/admin-guide of Linux."""
    (found,) = settings(change)
    assert (found.path, found.value) == (path, value)


@pytest.mark.parametrize(
    "change",
    [
        KernelFile(path="/etc/passwd", value="x"),
        KernelFile(path="/sys/../etc/passwd", value="x"),
        KernelFile(path="/sysfs/a", value="x"),
        KernelFile(path="/proc/sysrq-trigger", value="c"),
        KernelFile(path="/sys/a b", value="x"),
        KernelFile(path="/sys/$(id)", value="x"),
        KernelFile(path="/sys/a", value="x\ny"),
        KernelFile(path="/sys/a", value=""),
        Sysctl(name="vm/../../../etc/passwd", value="x"),
        Sysctl(name="swappiness", value="x"),
        NicSteering(interface="../../x", queue="rx-0", cpus=CPUS),
        NicSteering(interface="eth0", queue="rx-0/../x", cpus=CPUS),
    ],
)
def test_nothing_else_is_written(change: Change) -> None:
    with pytest.raises(InputError) as caught:
        settings(change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "found", "wanted", "same"),
    [
        ("choice", "always [madvise] never", "madvise", True),
        ("choice", "always [madvise] never", "never", False),
        ("list", "0,1,33", "0-1,33", True),
        ("mask", "2,00000003", "00000000,00000002,00000003", True),
        ("words", "10\t20\t30", "10 20 30", True),
        ("text", "64", "128", False),
        ("list", "not a list", "0", False),
    ],
)
def test_a_value_is_compared_by_what_it_means(
    form: str, found: str, wanted: str, *, same: bool
) -> None:
    setting = Setting(path="/sys/a", value=wanted, form=form)  # type: ignore[arg-type]
    assert setting.same(found, wanted) is same


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": "virtboost.plan/1", "hostname": null, "changes": [{"kind": "format-disk"}]}',
        '{"schema": "virtboost.plan/0", "hostname": null}',
        '{"schema": "virtboost.plan/1", "hostname": null, "changes": [{"kind": "sysctl", "name": "a.b"}]}',
        '{"schema": "virtboost.plan/1", "hostname": null, "changes": [{"kind": "ksm", "setting": "walk", "value": 1}]}',
        "not json",
    ],
)
def test_a_plan_that_is_none(text: str) -> None:
    with pytest.raises(ParseError):
        from_json(text, Plan, "plan.json")
