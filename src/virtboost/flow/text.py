"""The punctuation of Open vSwitch's dumps: names with arguments in parentheses, between commas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from msgspec import Struct

from virtboost.errors import ParseError

T = TypeVar("T")

DEEPEST = 8
"""Parentheses within parentheses; ``sample(actions(userspace(sFlow(...))))`` has four."""


def _nested(depth: int) -> str:
    inside = "[^()]*"
    for _ in range(depth):
        inside = rf"[^()]*(?:\({inside}\)[^()]*)*"
    return inside


ITEM = re.compile(rf"([^(),\s=]+)(?:\(({_nested(DEEPEST)})\))?(,\s*|$)")
"""``name`` or ``name(argument)``, and what is between it and the next."""


class Place(Struct, frozen=True, gc=False):
    """Where a text stands in a dump."""

    source: str
    """A file, a command or a host."""
    line: int
    """From 1."""
    column: int = 1
    """From 1."""

    def __str__(self) -> str:
        """Return it as compilers do."""
        return f"{self.source}:{self.line}:{self.column}"

    def error(self, problem: str, offset: int = 0) -> ParseError:
        """Return an error that points at a place, ``offset`` characters on."""
        return ParseError(f"{self.source}:{self.line}:{self.column + offset}", problem)


class Malformed(ValueError):
    """A text is not of its form at an offset."""

    def __init__(self, problem: str, offset: int = 0) -> None:
        """Say what is wrong, and how many characters from the start."""
        self.problem = problem
        self.offset = offset
        super().__init__(problem)


def read_lines(
    lines: Iterable[str],
    source: str,
    read: Callable[[str, Place], T | None],
    broken: list[ParseError] | None,
) -> Iterator[T]:
    """Yield what the lines of a dump are, one at a time.

    Args:
        lines: The dump.
        source: Where it comes from.
        read: Reads one; None: it is nothing; ``Malformed``: it is not what it should be.
        broken: Gets the errors of such lines, which are left out; None: the first ends the reading.

    Raises:
        ParseError: A line cannot be read, with line and column.
    """
    for number, line in enumerate(lines, 1):
        place = Place(source, number)
        try:
            found = read(line, place)
        except Malformed as error:
            wrong = place.error(error.problem, max(error.offset, 0))
            if broken is None:
                raise wrong from None
            broken.append(wrong)
            continue
        if found is not None:
            yield found


def items(text: str, start: int = 0, end: int | None = None) -> Iterator[re.Match[str]]:
    """Yield the items of a list; groups 1 and 2 are name and argument, None where there is none.

    Raises:
        Malformed: A parenthesis is missing, or something stands where an item should.
    """
    end = len(text) if end is None else end
    at = start
    match_item = ITEM.match
    while at < end:
        found = match_item(text, at, end)
        if found is None:
            raise not_an_item(text, at, end)
        yield found
        at = found.end()


def not_an_item(text: str, at: int, end: int) -> Malformed:
    """Return the error of a list that does not go on at an offset."""
    return Malformed(f"not an item of a list: {text[at : min(at + 30, end)]!r}", at)


def pairs(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield key, value and offset of ``a=1,b=c(d=2),e``; ``e`` has no value."""
    at = depth = 0
    for offset, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 0:
            yield _pair(text[at:offset], at)
            at = offset + 1
    if depth:
        raise Malformed("a parenthesis is missing", at)
    if text:
        yield _pair(text[at:], at)


def _pair(text: str, at: int) -> tuple[str, str, int]:
    bracket = text.find("(")
    equals = text.find("=", 0, bracket if bracket >= 0 else len(text))
    if bracket >= 0 and (equals < 0 or bracket < equals):
        return text[:bracket].strip(), text[bracket + 1 : -1], at
    key, _, value = text.partition("=")
    if bracket >= 0 and value.startswith("("):
        value = value[1:-1]
    return key.strip(), value, at
