"""Values that XPaths find in the XML of a host."""

from __future__ import annotations

from virtboost.model.xml import Element
from virtboost.scan.texts import natural, times

_UNITS = {
    "b": 1,
    "bytes": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGTPE", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGTPE", 1)},
    **{letter: 1024**power for power, letter in enumerate("KMGTPE", 1)},
    "k": 1024,
}
"""Units of a size (https://libvirt.org/formatdomain.html#memory-allocation)."""


def value(element: Element, path: str) -> str | None:
    """Return the first text or attribute that an XPath finds, stripped; None where it is empty."""
    return str(element.xpath(f"string({path})")).strip() or None


def present(element: Element, path: str) -> bool:
    """Tell whether an XPath finds anything."""
    return bool(element.xpath(f"boolean({path})"))


def number(element: Element, path: str) -> int | None:
    """Return the number that an XPath finds; None where there is none, or a negative one."""
    return natural(value(element, path))


def size_bytes(element: Element, path: str) -> int | None:
    """Return a size in bytes: the number at ``path`` in its ``unit``, KiB where none is told.

    ``path`` is an element with the number as its text, or one of its attributes, ``page/@size``.
    """
    owner = path.rpartition("/@")[0] if "@" in path else path
    unit = _UNITS.get(value(element, f"{owner or '.'}/@unit") or "KiB")
    return None if unit is None else times(number(element, path), unit)
