"""A host and a report in which every free text is hostile."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from support.findings import HOSTILE
from virtboost.model.document import from_json, to_builtins

T = TypeVar("T")

_OF_A_FORM = {
    *("schema", "kind", "role", "state", "verdict", "severity", "item"),
    *("cpus", "online", "offline", "isolated", "nohz_full", "cpuset", "emulator_pins"),
    *("affinity", "effective_affinity", "vcpu_pins", "iothread_pins", "disabled_cpus"),
}
"""Fields that are no free text: enumerations and CPU sets, and the ids of items."""


def hostile(value: T, *, length: int = 0) -> T:
    """Return a host or a report with hostile text before each text, and ``length`` more after."""
    changed = _changed(to_builtins(value), f"{HOSTILE}%s{'x' * length}")
    return from_json(json.dumps(changed), type(value), "hostile")


def _changed(value: Any, form: str) -> Any:
    if isinstance(value, str):
        return form % value
    if isinstance(value, list | tuple):
        return [_changed(part, form) for part in value]
    if isinstance(value, dict):
        return {
            key: part if key in _OF_A_FORM else _changed(part, form) for key, part in value.items()
        }
    return value
