"""What could not be read, gathered while the modules parse."""

from __future__ import annotations

import re

from virtboost.model.host import Gap


class Gaps:
    """Gaps, each kind once however many CPUs or devices it concerns."""

    def __init__(self) -> None:
        """Start with none."""
        self._gaps: dict[Gap, None] = {}

    def add(self, what: str, path: str, reason: str) -> None:
        """Record that ``what`` is not known from ``path``; numbers in the path become ``*``."""
        self._gaps[Gap(what=what, path=re.sub(r"\d+", "*", path), reason=reason)] = None

    def all(self) -> tuple[Gap, ...]:
        """Return every gap in the order of its first record."""
        return tuple(self._gaps)
