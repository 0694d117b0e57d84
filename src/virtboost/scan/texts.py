"""Read the small texts of sysfs: numbers, sizes, CPU sets; what is not one is None."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from virtboost.model.cpuset import CpuSet

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def integer(text: str | None) -> int | None:
    """Read a decimal or ``0x`` number."""
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return int(text) if text is not None and text.isdecimal() and len(text) < 20 else None


def size_bytes(text: str | None) -> int | None:
    """Read a size such as ``32768K`` (KiB), in bytes."""
    if not text:
        return None
    unit = _UNITS.get(text[-1:].upper() if text[-1:].isalpha() else "")
    number = integer(text.rstrip("KMGkmg"))
    return None if unit is None or number is None else number * unit


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


def node_id(text: str | None) -> int | None:
    """Read ``numa_node``; -1 means not told."""
    number = integer(text)
    return None if number is None or number < 0 else number


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
    number = integer(fields.get(name, "").split(" ")[0])
    return None if number is None else number << 10
