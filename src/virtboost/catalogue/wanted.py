"""Wanted values that a site may change: ``never``, ``<= 10``, ``madvise | never``."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

_COMPARISON = re.compile(r"(<=|>=|<|>|!=|=)\s*(.+)")

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")

_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda found, limit: found <= limit,
    ">=": lambda found, limit: found >= limit,
    "<": lambda found, limit: found < limit,
    ">": lambda found, limit: found > limit,
}


class Wanted(Struct, frozen=True):
    """A wanted value, as text; ``accepts`` tells whether a found value meets it."""

    text: str

    def accepts(self, found: str) -> bool:
        """Tell whether ``found`` is as wanted; a text where a number is wanted is not."""
        comparison = _COMPARISON.fullmatch(self.text)
        if comparison is None:
            return found in self.choices
        operator, operand = comparison.groups()
        if operator in _NUMBERS:
            return _NUMBER.fullmatch(found) is not None and _NUMBERS[operator](
                float(found), float(operand)
            )
        return (found == operand) == (operator == "=")

    @property
    def value(self) -> str | None:
        """The one value to set; None where the text is a bound, ``<= 10``."""
        comparison = _COMPARISON.fullmatch(self.text)
        return self.choices[0] if comparison is None or comparison[1] == "=" else None

    @property
    def choices(self) -> tuple[str, ...]:
        """The values to choose from; the first is the one to set."""
        return tuple(choice.strip() for choice in self.text.removeprefix("=").split("|"))


def parse_wanted(text: str) -> Wanted:
    """Read ``value``, ``a | b`` or a comparison.

    Raises:
        ValueError: A comparison of size is not with a number, or the text is empty.
    """
    text = text.strip()
    comparison = _COMPARISON.fullmatch(text)
    if not text:
        raise ValueError("a wanted value is missing")
    if comparison and comparison[1] in _NUMBERS:
        try:
            float(comparison[2])
        except ValueError:
            raise ValueError(f"{text!r} compares with {comparison[2]!r}, not a number") from None
    return Wanted(text)


def whole_number(text: str | None) -> int | None:
    """Read an option that must be a whole number; None where it is missing or is none."""
    text = (text or "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


FROM_HOST = Wanted("")
"""What the judge of an item gets whose wanted value follows from the host."""
