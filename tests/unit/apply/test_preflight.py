"""What is refused before anything is read or written."""

import pytest

from virtboost.apply.preflight import preflight
from virtboost.errors import InputError
from virtboost.model.change import Change, GuestVcpuPin, Sysctl
from virtboost.model.cpuset import CpuSet
from virtboost.transport.local import LocalReader


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [GuestVcpuPin(guest="db", vcpu=0, cpus=CpuSet({4}))],
            "by hand: virsh vcpupin db 0 4 --live --config",
        ),
        (
            [Sysctl(name="vm.swappiness", value="1"), Sysctl(name="vm.swappiness", value="2")],
            "/proc/sys/vm/swappiness: two values, '1' and '2'",
        ),
        (
            [Sysctl(name="vm.no_such_thing", value="1")],
            "local: /proc/sys/vm/no_such_thing: is not there, or says nothing",
        ),
    ],
)
def test_refusal(changes: list[Change], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        preflight(LocalReader(), changes)
    assert problem in str(caught.value)


def test_what_is_found_is_told() -> None:
    (step,) = preflight(LocalReader(), [Sysctl(name="kernel.ostype", value="Linux")])
    assert (step.found.value, step.changes) == ("Linux", False)


def test_values_that_mean_the_same_are_no_change() -> None:
    (step,) = preflight(LocalReader(), [Sysctl(name="net.ipv4.ip_local_port_range", value="1 2")])
    assert step.changes
    same = " ".join(step.found.value.split())
    (again,) = preflight(LocalReader(), [Sysctl(name="net.ipv4.ip_local_port_range", value=same)])
    assert not again.changes
