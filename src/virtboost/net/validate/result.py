"""What came of a validation."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.net.validate.calibration import Calibration
from virtboost.net.validate.compare import Comparison


class Validation(Struct, frozen=True, kw_only=True):
    """Predictions held against a network that was held out, and costs of this machine."""

    schema: Literal["virtboost.net-validation/1"] = "virtboost.net-validation/1"
    design: str
    described_nodes: int
    sizes: tuple[int, ...]
    hold_out: int
    repeats: int
    comparisons: tuple[Comparison, ...]
    rejected: tuple[str, ...]
    """Runs that were not valid, and run again."""
    problems: tuple[str, ...]
    """Of valid runs: what was not as planned."""
    calibration: Calibration
    """What this validation told, and nothing of those before."""

    @property
    def good(self) -> bool:
        """Whether every goal is reached and every run as planned."""
        return not self.problems and all(each.met for each in self.comparisons)

    @property
    def exact(self) -> bool:
        """Whether all is there that follows by counting."""
        return all(each.met for each in self.comparisons if each.kind == "exact")

    @property
    def stretch(self) -> float:
        """Return how many times larger the described network is than the largest that was run."""
        return self.described_nodes / self.hold_out
