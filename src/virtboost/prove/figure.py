"""The figure that a metric finds in what a workload printed."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from reprlib import repr as shortened
from typing import Any

from virtboost.prove.spec import Metric

_DOCUMENT = re.compile(r"^[{\[]", re.MULTILINE)


class NoFigure(Exception):
    """There is no figure; one line says why."""


def figure(metric: Metric, stdout: str) -> float:
    """Return the figure of a metric that has a ``pattern`` or a ``json`` path.

    Args:
        metric: One without ``probe``.
        stdout: All that the workload printed.

    Raises:
        NoFigure: Nothing is found, or what is found is no finite number.
    """
    found = _at(metric, stdout) if metric.json else _matched(metric.pattern, stdout)
    try:
        number = float(found)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise NoFigure(f"its figure is no number: {shortened(found)}")
    return number


def _matched(pattern: str, stdout: str) -> str:
    last = deque(re.finditer(pattern, stdout), 1)
    found: str | None = last[0][1] if last else None
    if found is None:
        raise NoFigure("no figure in its output")
    return found


def _at(metric: Metric, stdout: str) -> int | float:
    import jmespath  # noqa: PLC0415 (most metrics have a pattern)
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415

    try:
        found = jmespath.search(metric.json, _document(stdout))
    except JMESPathError as error:
        first = str(error).partition("\n")[0]
        raise NoFigure(f"{metric.name}: {metric.json}: {first}") from None
    if found is None:
        raise NoFigure(f"{metric.name}: nothing at {metric.json}")
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise NoFigure(f"its figure is no number: {shortened(found)}")
    return found


def _document(stdout: str) -> Any:
    """Return the first document that begins a line: programs warn before it."""
    for start in _DOCUMENT.finditer(stdout):
        try:
            return json.JSONDecoder().raw_decode(stdout, start.start())[0]
        except (ValueError, RecursionError):  # of numbers too long, too
            continue
    raise NoFigure("its output is not JSON")
