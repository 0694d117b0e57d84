"""CPU lists and masks, beside plain Python sets and the examples of their documents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtboost.model.cpuset import MAX_CPU_ID, CpuSet, union

ids = st.integers(min_value=0, max_value=300)
sets = st.sets(ids)


def listed(cpus: set[int]) -> str:
    """Write a cpulist of single numbers: no range to get wrong."""
    return ",".join(str(cpu) for cpu in sorted(cpus))


def masked(cpus: set[int]) -> str:
    """Write a cpumask a word at a time."""
    count = max(cpus, default=0) // 32 + 1
    words = [sum(1 << cpu % 32 for cpu in cpus if cpu // 32 == word) for word in range(count)]
    return ",".join(f"{word:08x}" for word in reversed(words))


@given(sets)
def test_a_list_is_its_numbers(cpus: set[int]) -> None:
    assert set(CpuSet.parse(listed(cpus))) == cpus


@given(sets)
def test_a_list_comes_back_from_its_text(cpus: set[int]) -> None:
    text = str(CpuSet(cpus))
    assert set(CpuSet.parse(text)) == cpus
    ends = [int(end) for run in text.split(",") if run for end in run.split("-")]
    assert ends == sorted(set(ends)), "runs are in order, and none is a run of one"


@given(sets)
def test_a_mask_is_its_words(cpus: set[int]) -> None:
    assert set(CpuSet.parse_mask(masked(cpus))) == cpus
    assert set(CpuSet.parse_mask(CpuSet(cpus).to_mask())) == cpus


ranges = st.tuples(ids, st.integers(0, 40)).map(lambda pair: (pair[0], pair[0] + pair[1]))
strides = st.integers(1, 9).flatmap(lambda group: st.tuples(st.integers(1, group), st.just(group)))


@given(st.lists(st.tuples(ranges, st.one_of(st.none(), strides)), min_size=1))
def test_ranges_and_strides(
    items: list[tuple[tuple[int, int], tuple[int, int] | None]],
) -> None:
    texts, expected = [], set()
    for (first, last), stride in items:
        used, group = stride or (1, 1)
        texts.append(f"{first}-{last}" + (f":{used}/{group}" if stride else ""))
        expected |= {cpu for cpu in range(first, last + 1) if (cpu - first) % group < used}
    assert set(CpuSet.parse(",".join(texts))) == expected


@given(st.lists(st.tuples(st.booleans(), ids), max_size=20))
def test_libvirt_takes_a_cpu_out_again(items: list[tuple[bool, int]]) -> None:
    """Items count from left to right: ``^`` takes out what was put in before it."""
    expected: set[int] = set()
    for excluded, cpu in items:
        expected = expected - {cpu} if excluded else expected | {cpu}
    text = ",".join(f"{'^' if excluded else ''}{cpu}" for excluded, cpu in items)
    assert set(CpuSet.parse(text)) == expected


@given(sets, sets)
def test_algebra_is_that_of_sets(left: set[int], right: set[int]) -> None:
    a, b = CpuSet(left), CpuSet(right)
    assert set(a & b) == left & right
    assert set(a | b) == set(union([a, b])) == left | right
    assert set(a - b) == left - right
    assert (a <= b, a < b) == (left <= right, left < right)
    assert a.isdisjoint(b) == left.isdisjoint(right)
    assert (a == b) == (left == right)
    assert (hash(a) == hash(b)) or left != right
    assert (len(a), bool(a), list(a)) == (len(left), bool(left), sorted(left))
    assert all((cpu in a) == (cpu in left) for cpu in range(301))


@given(st.sets(ids, min_size=1))
def test_first(cpus: set[int]) -> None:
    assert CpuSet(cpus).first == min(cpus)


def test_first_of_none() -> None:
    with pytest.raises(ValueError, match="an empty CPU set has no first CPU"):
        _ = CpuSet().first


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("", set()),
        ("\n", set()),
        ("0", {0}),
        ("0-3,8\n", {0, 1, 2, 3, 8}),
        # The example of Documentation/admin-guide/kernel-parameters.rst, "cpu lists".
        ("100-2000:2/25", {cpu for cpu in range(100, 2001) if cpu % 25 < 2}),
        # https://libvirt.org/formatdomain.html#cpu-allocation
        ("1-4,^3,6", {1, 2, 4, 6}),
    ],
)
def test_lists_of_the_documents(text: str, cpus: set[int]) -> None:
    assert set(CpuSet.parse(text)) == cpus


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        # man 7 cpuset, "Mask format".
        ("00000001", {0}),
        ("40000000,00000000,00000000", {94}),
        ("00000001,00000000,00000000", {64}),
        ("000000ff,00000000", set(range(32, 40))),
        ("000e3862", {1, 5, 6, 11, 12, 13, 17, 18, 19}),
        ("00000001,00000001,00010117", {0, 1, 2, 4, 8, 16, 32, 64}),
        ("f", {0, 1, 2, 3}),
    ],
)
def test_masks_of_the_manual(text: str, cpus: set[int]) -> None:
    assert set(CpuSet.parse_mask(text)) == cpus


@pytest.mark.parametrize(
    "text",
    [
        *("-", "-1", "1-", "a", "0x1", "3-1", "1,,2", "1-2-3", "1 2", "1_0", "^", "(null)"),
        *("0-7:0/2", "0-7:3/2", "0-7:1/0", "0:1/2", "65536", "9999999", "0-65536", "\u0661"),
    ],
)
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match="CPU"):
        CpuSet.parse(text)


@pytest.mark.parametrize(
    "text", ["", "g", "0x1", "123456789", ",1", "1,", "-1", ",".join(["1"] * 2049), "1_0", "+1"]
)
def test_what_is_no_mask(text: str) -> None:
    with pytest.raises(ValueError, match="CPU mask"):
        CpuSet.parse_mask(text)


@pytest.mark.parametrize("cpu", [-1, MAX_CPU_ID + 1])
def test_a_number_that_no_cpu_has(cpu: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        CpuSet([cpu])


@given(st.text())
def test_any_text_is_a_set_or_an_error(text: str) -> None:
    for parse in (CpuSet.parse, CpuSet.parse_mask):
        try:
            assert isinstance(parse(text), CpuSet)
        except ValueError as error:
            assert "CPU" in str(error)
