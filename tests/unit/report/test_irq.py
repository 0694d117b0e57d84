"""Where interrupts are taken."""

import pytest
from msgspec import structs

from support.rich_host import rich_host
from virtboost.model.cpuset import CpuSet
from virtboost.report.irq import amount, by_node, goes_to, interfaces_by_cpu, taken

HOST = rich_host()


def test_counts_add_up_per_cpu() -> None:
    assert taken(HOST)[0] == 40_000_000
    assert taken(HOST)[101] == 9_000_000
    assert 33 not in taken(HOST)


def test_interfaces_stand_at_the_cpus_of_their_interrupts() -> None:
    found = interfaces_by_cpu(HOST)
    assert found[15] == ("eth0",)
    assert found[80] == ("eth1",)
    assert 96 not in found  # the interrupts of an NVMe disk


def test_an_interrupt_that_may_go_anywhere_is_nowhere() -> None:
    anywhere = structs.replace(HOST.irq[0], effective_affinity=None, affinity=HOST.topology.online)
    host = structs.replace(HOST, irq=(anywhere,))
    assert interfaces_by_cpu(host) == {}
    assert by_node(host.irq, host.topology) == {None: 1}


def test_an_interrupt_whose_affinity_is_not_told_is_left_out() -> None:
    untold = structs.replace(HOST.irq[0], effective_affinity=None, affinity=None)
    assert by_node((untold,), HOST.topology) == {}


def test_the_effective_affinity_counts() -> None:
    irq = structs.replace(HOST.irq[0], affinity=CpuSet(range(8)), effective_affinity=CpuSet([3]))
    assert goes_to(irq) == CpuSet([3])
    assert goes_to(structs.replace(irq, effective_affinity=CpuSet())) == CpuSet(range(8))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12k"), (9.4e6, "9.4M"), (2e12, "2000G")],
)
def test_amounts_are_short(count: int, text: str) -> None:
    assert amount(count) == text
