"""What a workload that virtboost knows is: a script, its options and its figures."""

from __future__ import annotations

import difflib
import hashlib
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from importlib.resources import files

from msgspec import Struct

from virtboost.prove.spec import Metric

Value = str | int | float

_INCLUDED = re.compile(r'^#include "(.+)"\n', re.MULTILINE)


class Option(Struct, frozen=True, kw_only=True):
    """What a user may say of a workload; the script's variable of this name."""

    name: str
    meaning: str
    """In a line, with the unit."""
    kind: type[Value]
    default: Value = ""
    """Empty: not said, which ``meaning`` explains."""
    least: float = 0
    """Of a number."""
    choices: tuple[Value, ...] = ()
    """The only values; none: any."""
    words: bool = False
    """Whether it is the beginning of a command, split as a shell would."""

    def written(self, value: Value) -> str:
        """Return the value as the script gets it.

        Raises:
            ValueError: Not a value of this option.
        """
        if type(value) is not self.kind and not (self.kind is float and type(value) is int):
            raise ValueError(f"{self.name}: {_KINDS[self.kind]}, and not {value!r}")
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.name}: {_listed(self.choices)}, and not {value!r}")
        if not isinstance(value, str) and not self.least <= value < math.inf:
            raise ValueError(f"{self.name}: {self.least:g} or more, and not {value!r}")
        if "\0" in str(value):
            raise ValueError(f"{self.name}: a text without a null character")
        return shlex.join(self._split(str(value))) if self.words else str(value)

    def _split(self, value: str) -> list[str]:
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}: {value!r}") from None


_KINDS = {int: "a whole number", float: "a number", str: "a text"}


class Shipped(Struct, frozen=True, kw_only=True):
    """A workload that virtboost knows."""

    name: str
    meaning: str
    """What its figures show, in a line."""
    program: str
    """What must be there."""
    package: str
    """Debian package of the program."""
    options: tuple[Option, ...]
    metrics: tuple[Metric, ...]
    script: str
    """File of the package, after ``prelude.sh``."""
    fixed: Mapping[str, str] = {}
    """Further variables of the script."""
    kernel: str = ""
    """C source of the package, for ``kernel.sh``."""
    last: str = ""
    """What follows the script."""

    def command(self, options: Mapping[str, Value]) -> tuple[str, ...]:
        """Return program and arguments that run it anywhere with a POSIX shell.

        Raises:
            ValueError: An option that it has not, or a value that is none of the option's.
        """
        for name in options:
            if name not in (each.name for each in self.options):
                raise ValueError(unknown("option", name, (each.name for each in self.options)))
        variables = dict(self.fixed) | self._kernel()
        for each in self.options:
            given = options.get(each.name)
            variables[each.name] = str(each.default) if given is None else each.written(given)
        lines = (f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
        text = "".join((*lines, _text("prelude.sh"), _text(self.script), self.last))
        return ("sh", "-c", text, f"virtboost-{self.name}")

    def _kernel(self) -> dict[str, str]:
        if not self.kernel:
            return {}
        script = _text(self.script)
        source = _source(f"{self.kernel}.c")
        version = hashlib.sha256((script + source).encode()).hexdigest()[:16]
        return {"kernel": f"{self.kernel}-{version}", "source": source}


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return what is said of a name that is none of the known ones."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"no {what} {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def _listed(values: Iterable[Value]) -> str:
    return ", ".join(map(str, values))


def _text(name: str) -> str:
    return files("virtboost.prove.shipped").joinpath(name).read_text("utf-8")


def _source(name: str) -> str:
    """Return a C file of ``kernels`` with what it includes of that folder in its place."""
    text = files("virtboost.prove").joinpath("kernels", name).read_text("utf-8")
    return _INCLUDED.sub(lambda found: _source(found[1]), text)
