"""What was measured for a validation."""

from __future__ import annotations

from msgspec import Struct

from virtboost.net.emulate.outcome import Emulation
from virtboost.net.failure import Detection
from virtboost.net.validate.rung import Run


class Cuts(Struct, frozen=True, kw_only=True):
    """How fast a cut link was noticed."""

    detection: Detection
    nodes: int
    noticed_s: tuple[float, ...]
    """By each node in each trial."""
    trials: int
    problems: tuple[str, ...]
    """Of the run: what was not as planned."""

    @property
    def missing(self) -> int:
        """How many nodes did not notice, over all trials."""
        return self.trials * (self.nodes - 1) - len(self.noticed_s)


class Findings(Struct, frozen=True, kw_only=True):
    """All that was measured."""

    emulations: tuple[Emulation, ...]
    """Valid ones."""
    cuts: tuple[Cuts, ...]
    climbed: tuple[Run, ...]
    rejected: tuple[str, ...]
    """Runs that were not valid, with the reason."""
