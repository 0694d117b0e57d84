"""Quantities and lists in the words of a finding."""

from __future__ import annotations

from collections.abc import Iterable

LISTED = 4
"""How many names a sentence carries."""

_SUFFIXES = (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10))


def size(count_bytes: int | None) -> str:
    """Return a size in the largest binary unit that gives at least 1: ``503 GiB``."""
    if count_bytes is None:
        return "?"
    amount = float(count_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return (
        f"{amount:.0f} {unit}" if amount >= 10 or amount == int(amount) else f"{amount:.1f} {unit}"
    )


def argument_size(count_bytes: int) -> str:
    """Return a size as kernel arguments spell it: ``2M``."""
    for suffix, unit in _SUFFIXES:
        if count_bytes % unit == 0:
            return f"{count_bytes // unit}{suffix}"
    return str(count_bytes)


def listed(names: Iterable[str], limit: int = LISTED) -> str:
    """Return ``a, b, c, d and 12 more``."""
    all_names = list(names)
    shown = ", ".join(all_names[:limit])
    rest = len(all_names) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown
