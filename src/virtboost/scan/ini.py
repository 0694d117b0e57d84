"""Configuration files of OpenStack and VDSM: sections of ``option = value``.

Source: ``iniparser.py`` of https://opendev.org/openstack/oslo.config, whose rules these are: a line
that begins with white space goes on with the value before; a comment has a line of its own; what is
behind the value on its line is the value's.
"""

from __future__ import annotations

from collections.abc import Iterator


class Malformed(ValueError):
    """A line is neither a section nor an option; its number, from 1, is ``line``."""

    def __init__(self, line: int) -> None:
        """Say that ``line`` cannot be read."""
        self.line = line
        super().__init__(f"line {line} is neither a section nor an option")


def parse_ini(text: str) -> Iterator[tuple[str, str]]:
    """Yield ``section.option`` and value of each option, repeated ones as often as they are there.

    Raises:
        Malformed: What is before the line has been yielded.
    """
    section, key, lines = "DEFAULT", "", list[str]()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip()
        if line.startswith((" ", "\t")):
            if not key:
                raise Malformed(number)
            lines.append(line.lstrip())
            continue
        if key:
            yield f"{section}.{key}", "\n".join(lines)
            key = ""
        if line.startswith("["):
            if not line.endswith("]") or len(line) == 2:
                raise Malformed(number)
            section = line[1:-1]
        elif line and not line.startswith(("#", ";")):
            key, value = _option(line)
            lines = [value]
            if not key:
                raise Malformed(number)
    if key:
        yield f"{section}.{key}", "\n".join(lines)


def _option(line: str) -> tuple[str, str]:
    """Split at the first ``=`` or ``:``; a value in quotes loses them."""
    separators = [place for place in (line.find("="), line.find(":")) if place >= 0]
    if not separators:
        return "", ""
    key, value = line[: min(separators)], line[min(separators) + 1 :].strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return key.strip(), value
