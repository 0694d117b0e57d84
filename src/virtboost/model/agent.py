"""Agents of a cluster manager on this host, by their configuration files."""

from __future__ import annotations

from msgspec import Struct


class Agent(Struct, frozen=True, kw_only=True):
    """The part of a cluster manager that runs on a host."""

    name: str
    """``nova-compute``, ``kubelet``, ``vdsm``."""
    files: tuple[str, ...]
    """The configuration files that were read."""
    options: dict[str, str]
    """Options by ``section.key`` (nova, vdsm) or by key and command-line flag (kubelet); a later
    file wins.  Secrets are not there."""
