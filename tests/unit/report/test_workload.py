"""Who may use which pCPU, by the guests of a host made for it."""

import pytest
from msgspec import structs

from support.rich_host import guest, rich_host
from virtboost.model.cpuset import CpuSet
from virtboost.model.guest import GuestCell
from virtboost.report.workload import Workload, painted, tag, users, workloads

HOST = rich_host()

FOUND = {workload.name: workload for workload in workloads(HOST)}


def alone(**fields: object) -> Workload:
    given = guest("one", -1, 4, 4, **fields)
    return workloads(structs.replace(HOST, guests=(given,), containers=()))[0]


def test_tags_follow_the_first_cpu_and_what_floats_comes_last() -> None:
    placed = [workload for workload in FOUND.values() if not workload.floats]
    assert [workload.tag for workload in FOUND.values()] == [tag(n) for n in range(len(FOUND))]
    assert FOUND["db1"].tag == "A"
    assert {w.name for w in FOUND.values() if w.floats} == {"desktop", "build", "agent"}
    assert max(w.tag for w in placed) < min(w.tag for w in FOUND.values() if w.floats)


def test_a_guest_that_is_off_is_not_drawn() -> None:
    assert "old" not in FOUND


@pytest.mark.parametrize(("index", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ")])
def test_tags_never_end(index: int, name: str) -> None:
    assert tag(index) == name


def test_colours_come_again_striped() -> None:
    assert [(w.colour, w.striped) for w in FOUND.values()][7:9] == [(7, False), (0, True)]


def test_a_guest_free_on_a_node_is_written_at_the_node() -> None:
    assert FOUND["ci-runner"].roams == (1,)
    assert FOUND["batch"].roams == (3,)


def test_a_guest_pinned_one_to_one_on_a_whole_node_is_painted() -> None:
    pins = {vcpu: CpuSet([vcpu]) for vcpu in range(32)}
    full = alone(vcpu_count=32, max_vcpu_count=32, vcpu_pins=pins)
    assert full.roams == ()
    assert full.cpus == CpuSet(range(32))


def test_one_vcpu_without_a_pin_makes_a_guest_float() -> None:
    assert alone(vcpu_pins={0: CpuSet([1]), 1: CpuSet([2]), 2: CpuSet([3])}).floats


def test_emulator_and_io_threads_are_painted_apart() -> None:
    db1 = FOUND["db1"]
    assert (str(db1.cpus), str(db1.helpers)) == ("8-23", "4-6")
    assert db1.duties[4] == "emulator"
    assert db1.duties[6] == "I/O thread 1"
    assert db1.duties[9] == "vCPU 1"


def test_overlap_is_painted_twice() -> None:
    on_102 = [workload.name for pcpu, workload in painted(FOUND.values()) if pcpu == 102]
    assert on_102 == ["nginx", "redis"]


def test_offline_cpus_are_not_painted() -> None:
    pinned = alone(vcpu_pins={vcpu: CpuSet.parse("126-129") for vcpu in range(4)})
    assert str(pinned.cpus) == "126-127"


def test_memory_by_rule_of_the_guest_or_of_its_cells() -> None:
    cell = GuestCell(id=0, vcpus=CpuSet(range(4)), memory_bytes=1, node_ids=(2,))
    assert alone(cells=(cell,)).node_ids == (2,)
    assert [workload.name for workload in users(tuple(FOUND.values()), 1)] == ["web1", "web2"]
