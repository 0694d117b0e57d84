"""What is to be done to one host, and why: from the findings of a check, or a placement."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from virtboost.model.change import Change
from virtboost.model.cpuset import CpuSet
from virtboost.model.placement import GuestPlacement, Unplaced


class Plan(Struct, frozen=True, kw_only=True):
    """Placements and the changes that carry them out; either may be empty."""

    schema: Literal["virtboost.plan/1"] = "virtboost.plan/1"
    hostname: str | None
    """The host that it was made for, by its own name; None: not told."""
    host_pcpus: CpuSet = field(default_factory=CpuSet)
    """pCPUs that are kept for the host: emulator and I/O threads, interrupts, its own programs."""
    shared_pcpus: CpuSet = field(default_factory=CpuSet)
    """pCPUs of the pool that guests without pCPUs of their own share."""
    free_pcpus: CpuSet = field(default_factory=CpuSet)
    """pCPUs that are left for more guests."""
    guests: tuple[GuestPlacement, ...] = ()
    changes: tuple[Change, ...] = ()
    """In the order in which they are carried out."""
    unplaced: tuple[Unplaced, ...] = ()
    objective: dict[str, float] = {}
    """Parts of the objective by name; smaller is better."""
    optimal: bool | None = None
    """Whether the placement is proved to be the best; None where nothing was placed."""
    gap: float | None = None
    """Relative distance to the proved bound, 0 to 1; None where it is optimal or has no bound."""
    notes: tuple[str, ...] = ()
    """What could not be known of the host, and what that means for the plan."""

    def of_kind(self, kind: Literal["guest", "container"]) -> tuple[GuestPlacement, ...]:
        """Return the placements of guests, or those of containers."""
        return tuple(placed for placed in self.guests if placed.kind == kind)
