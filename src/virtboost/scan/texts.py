"""Read the small texts of sysfs: numbers, sizes, CPU sets; what is not one is None."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from virtboost.model.cpuset import MAX_CPU_ID, CpuSet
from virtboost.transport.source import Output

_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})")

_LARGEST = (1 << 63) - 1
"""No counter or size of Linux that a scan reads is larger; JSON readers stop here too."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def integer(text: str | None) -> int | None:
    """Read a decimal or ``0x`` number of at most 63 bits."""
    word = (text or "").strip()
    if not _NUMBER.fullmatch(word):
        return None
    return _bounded(int(word, 16 if "x" in word.lower() else 10))


def natural(text: str | None) -> int | None:
    """Read a number that cannot be negative: a size, a count, an id."""
    number = integer(text)
    return None if number is None or number < 0 else number


def times(number: int | None, unit: int) -> int | None:
    """Return ``number`` units, such as 512-byte sectors, in the base unit."""
    return None if number is None else _bounded(number * unit)


def size_bytes(text: str | None) -> int | None:
    """Read a size such as ``32768K`` (KiB), in bytes."""
    number = integer((text or "").rstrip("KMGkmg"))
    unit = _UNITS.get((text or "").lstrip("+-0123456789").upper())
    return None if unit is None else times(number, unit)


def _bounded(number: int) -> int | None:
    return number if -_LARGEST <= number <= _LARGEST else None


def cpus_numbered(numbers: Iterable[str]) -> CpuSet:
    """Return the CPUs with these numbers, without what no kernel would number so."""
    return CpuSet(int(number) for number in numbers if int(number) <= MAX_CPU_ID)


def cpu_mask(text: str | None) -> CpuSet | None:
    """Read a cpumask."""
    try:
        return None if not text else CpuSet.parse_mask(text)
    except ValueError:
        return None


def cpu_list(text: str | None) -> CpuSet | None:
    """Read a cpulist; the empty text is the empty set."""
    try:
        return None if text is None else CpuSet.parse(text)
    except ValueError:
        return None


def node_list(text: str | None) -> tuple[int, ...] | None:
    """Read a list of NUMA nodes such as ``0-1,4``; None where it is empty."""
    nodes = cpu_list(text)
    return tuple(nodes) if nodes else None


def node_id(text: str | None) -> int | None:
    """Read ``numa_node``; -1 means not told."""
    return natural(text)


def chosen(text: str | None) -> str | None:
    """Read the choice in brackets of ``always [madvise] never``; a lone word is the choice."""
    if not text:
        return None
    words = text.split()
    marked = [word[1:-1] for word in words if word.startswith("[") and word.endswith("]")]
    return marked[0] if marked else (words[0] if len(words) == 1 else None)


def pairs(text: str | None, separator: str = ":") -> Iterator[tuple[str, str]]:
    """Yield key and value of each ``key: value`` line."""
    for line in (text or "").splitlines():
        key, found, value = line.partition(separator)
        if found:
            yield key.strip(), value.strip()


def kib(fields: Mapping[str, str], name: str) -> int | None:
    """Read a ``NAME: 123 kB`` field of meminfo, in bytes."""
    return times(integer(fields.get(name, "").split(" ")[0]), 1 << 10)


def problem(output: Output) -> str:
    """Return why a program failed: the last line that it wrote to its standard error."""
    lines = [line.strip() for line in output.stderr.splitlines() if line.strip()]
    if not lines:
        return f"it ended with status {output.status} and no message"
    return re.sub(r"^[\w-]+: (?=\w)", "", lines[-1])
