"""Services of the host that tune it, or fight with tuning."""

from __future__ import annotations

from msgspec import Struct


class Service(Struct, frozen=True, kw_only=True):
    """A service such as irqbalance, tuned, numad or ksmtuned."""

    name: str
    active: bool
    """Whether it runs."""
    enabled: bool | None
    """Whether it starts at boot; None: not told."""
    detail: str | None = None
    """What matters of its configuration: tuned's profile, irqbalance's arguments; None: nothing."""
