"""Descriptions to begin with."""

from __future__ import annotations

from importlib.resources import files

from virtboost.errors import InputError

NAMES = ("small", "flat", "racks", "cloud", "tenants")


def template(name: str) -> str:
    """Return a description as YAML, with comments.

    Raises:
        InputError: There is none of that name.
    """
    if name not in NAMES:
        raise InputError(f"{name}: no such template; there are {', '.join(NAMES)}")
    return (files(__package__) / "templates" / f"{name}.yaml").read_text()
