"""Sets of CPUs in the two forms that Linux writes: cpulists (``0-3,8``) and cpumasks (``f,00ff``).

The only place that parses or formats either form.

Source: ``lib/bitmap-str.c`` of Linux (``bitmap_parselist``, ``bitmap_parse``); libvirt's ``^N``
exclusion is in https://libvirt.org/formatdomain.html#cpu-allocation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

MAX_CPU_ID = 65535
"""The largest id accepted.  Linux's own limit is 8191 (``NR_CPUS``); more is rubbish."""

_ITEM = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6})(?::([0-9]{1,6})/([0-9]{1,6}))?)?")


class CpuSet:
    """An immutable set of CPU ids, ordered and hashable.

    ``&``, ``|``, ``-`` and ``<=`` are those of a set; ``str()`` is the cpulist.
    """

    __slots__ = ("_bits",)
    _bits: int

    def __init__(self, cpus: Iterable[int] = ()) -> None:
        """Hold ``cpus``.

        Raises:
            ValueError: An id is negative or larger than ``MAX_CPU_ID``.
        """
        bits = 0
        for cpu in cpus:
            _require_id(cpu)
            bits |= 1 << cpu
        self._bits = bits

    @classmethod
    def parse(cls, text: str) -> CpuSet:
        """Read a cpulist: ``0-3,8``, ``0-31:2/8`` (2 of each 8) or libvirt's ``0-7,^3``.

        Raises:
            ValueError: The text is not a cpulist.
        """
        return _parse_list(text.strip())

    @classmethod
    def parse_mask(cls, text: str) -> CpuSet:
        """Read a cpumask: hexadecimal words of 32 bits, most significant first, ``ff,ffffffff``.

        Raises:
            ValueError: The text is not a cpumask.
        """
        return _parse_mask(text.strip())

    @classmethod
    def _of_bits(cls, bits: int) -> CpuSet:
        cpus = object.__new__(cls)
        cpus._bits = bits
        return cpus

    def to_mask(self) -> str:
        """Return the cpumask as the kernel prints it for this many words: ``f,ffffffff``."""
        digits = f"{self._bits:x}"
        head = len(digits) % 8 or 8
        words = [digits[:head], *(digits[i : i + 8] for i in range(head, len(digits), 8))]
        return ",".join(words)

    @property
    def first(self) -> int:
        """The smallest id.

        Raises:
            ValueError: The set is empty.
        """
        if not self._bits:
            raise ValueError("an empty CPU set has no first CPU")
        return (self._bits & -self._bits).bit_length() - 1

    def isdisjoint(self, other: CpuSet) -> bool:
        """Tell whether no CPU is in both."""
        return not self._bits & other._bits

    def __and__(self, other: CpuSet) -> CpuSet:
        return CpuSet._of_bits(self._bits & other._bits)

    def __or__(self, other: CpuSet) -> CpuSet:
        return CpuSet._of_bits(self._bits | other._bits)

    def __sub__(self, other: CpuSet) -> CpuSet:
        return CpuSet._of_bits(self._bits & ~other._bits)

    def __le__(self, other: CpuSet) -> bool:
        return not self._bits & ~other._bits

    def __lt__(self, other: CpuSet) -> bool:
        return self._bits != other._bits and self <= other

    def __contains__(self, cpu: object) -> bool:
        return isinstance(cpu, int) and cpu >= 0 and bool(self._bits >> cpu & 1)

    def __iter__(self) -> Iterator[int]:
        bits = self._bits
        while bits:
            low = bits & -bits
            yield low.bit_length() - 1
            bits ^= low

    def __len__(self) -> int:
        return self._bits.bit_count()

    def __bool__(self) -> bool:
        return self._bits != 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CpuSet) and self._bits == other._bits

    def __hash__(self) -> int:
        return hash(self._bits)

    def __str__(self) -> str:
        return _format_list(self._bits)

    def __repr__(self) -> str:
        return f"CpuSet.parse({str(self)!r})"


def union(sets: Iterable[CpuSet]) -> CpuSet:
    """Return every CPU that is in at least one of ``sets``."""
    bits = 0
    for cpus in sets:
        bits |= cpus._bits
    return CpuSet._of_bits(bits)


@lru_cache(maxsize=4096)
def _format_list(bits: int) -> str:
    runs: list[str] = []
    start = 0
    while bits >> start:
        start += ((bits >> start) & -(bits >> start)).bit_length() - 1
        rest = ~(bits >> start)
        length = (rest & -rest).bit_length() - 1
        runs.append(str(start) if length == 1 else f"{start}-{start + length - 1}")
        start += length
    return ",".join(runs)


@lru_cache(maxsize=4096)
def _parse_list(text: str) -> CpuSet:
    bits = 0
    for item in text.split(",") if text else ():
        excluded = item.strip().startswith("^")
        chosen = _parse_item(item.strip().removeprefix("^"), text)
        bits = bits & ~chosen if excluded else bits | chosen
    return CpuSet._of_bits(bits)


def _parse_item(item: str, text: str) -> int:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError(f"{text[:80]!r} is not a list of CPUs such as 0-3,8")
    first = int(match[1])
    last = int(match[2] or first)
    _require_id(last)
    if last < first:
        raise ValueError(f"{item!r} in a list of CPUs counts down")
    if match[3] is None:
        return ((1 << (last - first + 1)) - 1) << first
    used, group = int(match[3]), int(match[4])
    if not 0 < used <= group:
        raise ValueError(f"{item!r} in a list of CPUs takes {used} of each {group}")
    return sum(1 << cpu for cpu in range(first, last + 1) if (cpu - first) % group < used)


@lru_cache(maxsize=4096)
def _parse_mask(text: str) -> CpuSet:
    words = text.split(",")
    if not all(re.fullmatch(r"[0-9a-fA-F]{1,8}", word) for word in words):
        raise ValueError(f"{text[:80]!r} is not a CPU mask such as ff,ffffffff")
    if len(words) * 32 > MAX_CPU_ID + 1:
        raise ValueError(f"a CPU mask of {len(words)} words is larger than any host")
    return CpuSet._of_bits(int("".join(word.rjust(8, "0") for word in words), 16))


def _require_id(cpu: int) -> None:
    if not 0 <= cpu <= MAX_CPU_ID:
        raise ValueError(f"CPU {cpu} is out of range (0 to {MAX_CPU_ID})")
