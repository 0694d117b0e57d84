"""What a user says of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

Window = Literal["strict", "liberal"]


class Settings(Struct, frozen=True, kw_only=True):
    """Of one agent."""

    ovs: Path
    """The run folder of Open vSwitch."""
    ports: tuple[str, ...]
    """Devices that may be redirected from and to."""
    observe: bool = False
    """Learn and compare; redirect nothing."""
    window: Window = "strict"
    """Whether the window check of conntrack may be turned off, which entries of TCP need."""
    max_entries: int = 100_000
    socket: Path
    """Where it answers ``flow status``."""
    metrics: tuple[str, int] | None = None
    """Address and port for Prometheus; None: it has none."""
    lease_ns: int = 500_000_000
    """How long entries are carried out after everything that they depend on was read last."""
