"""A setting of a host as one text: where it is, what it is to be, how two of its texts compare.

A setting is a file of the kernel, by its path, or what a tool of the host tells and sets: then its
path is that tool's name and what it is asked about, as in a shell: ``vcpupin 'my guest' 3``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from virtboost.model.cpuset import CpuSet

Form = Literal["text", "words", "choice", "list", "mask", "flag", "service"]
"""How a text is read: as it stands, as numbers between blanks, the word in brackets, a cpulist, a
cpumask, a parameter of a kernel module (``Y`` is 1), the two states of a service."""

_BRACKETS = re.compile(r"\[([^\]]*)\]")

_FLAGS = {"Y": "1", "y": "1", "N": "0", "n": "0"}


def _choice(text: str) -> str:
    chosen = _BRACKETS.search(text)
    return chosen[1] if chosen else text


_READ: dict[Form, Callable[[str], object]] = {
    "text": str,
    "words": str.split,
    "choice": _choice,
    "list": CpuSet.parse,
    "mask": CpuSet.parse_mask,
    "flag": lambda text: _FLAGS.get(text, text),
    "service": lambda text: [word in ("active", "enabled") for word in text.split()],
}

ABSENT = "absent"
"""The value of a setting that is not made: no such file, key or argument."""


class Setting(Struct, frozen=True, kw_only=True):
    """One setting and the value that it is to have."""

    path: str
    value: str
    form: Form

    def same(self, found: str | None, wanted: str) -> bool:
        """Tell whether a setting that says ``found`` has the value ``wanted``."""
        return found is not None and self.read(found) == self.read(wanted)

    def read(self, text: str) -> object:
        """Return what a text of this setting means, to be compared."""
        try:
            return _READ[self.form](text)
        except ValueError:
            return text

    def prior(self, found: str) -> str:
        """Return what to write to have ``found`` again."""
        return _choice(found) if self.form == "choice" else found


class Edit(Struct, frozen=True, kw_only=True):
    """What a change does to one setting; edits of one setting are made one after another."""

    path: str
    form: Form = "text"
    make: Callable[[str], str]
    """Turns the value that is found into the one that is wanted.

    Raises:
        InputError: It cannot be, on this host.
    """
    optional: bool = False
    """Whether the change goes without it where the host does not tell its value."""


def to(value: str) -> Callable[[str], str]:
    """Return the edit that sets a value whatever is found."""
    return lambda _: value
