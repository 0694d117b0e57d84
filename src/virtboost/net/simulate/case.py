"""What all scenarios of a run have in common."""

from __future__ import annotations

from typing import NamedTuple, get_args

import numpy as np

from virtboost.net.design import Design
from virtboost.net.failure import Detection
from virtboost.net.scale import Scale
from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.outcome import Scenario
from virtboost.net.simulate.speakers import Speakers, speakers
from virtboost.net.simulate.talk import Talk
from virtboost.net.simulate.ticks import Ticks, ticks
from virtboost.net.simulate.waking import Waking

SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)

BGP = ("mesh", "reflectors", "groups")
"""Routings whose speakers of BGP are all simulated."""


class Case(NamedTuple):
    """A design of a network, with what it costs."""

    design: Design
    scale: Scale
    block_pods: int
    """Addresses of a block."""
    costs: Costs
    conditions: Conditions
    detection: Detection | None
    """None: no BGP."""
    seed: int

    def rng(self, scenario: Scenario) -> np.random.Generator:
        """Return the scenario's own generator: what else is run does not matter."""
        return np.random.default_rng((self.seed, SCENARIOS.index(scenario)))

    def speakers(self) -> Speakers:
        """Return the daemons that speak BGP."""
        own = self.conditions.pods_on_reflectors
        return speakers(self.design, self.scale, pods_on_reflectors=own)

    def ticks(self, found: Speakers) -> Ticks:
        """Return what their jobs take."""
        return ticks(self.costs, self.conditions, found)

    def talk(self, scenario: Scenario, *, claims: int = 0, shared: bool = False) -> Talk:
        """Return daemons that have not begun.

        Args:
            scenario: Whose generator they take.
            claims: Blocks that they claim later; they tell of one at a time then.
            shared: Whether they share CPUs, if any do.
        """
        found = self.speakers()
        if claims:
            found = found._replace(blocks=1)
        costs = self.ticks(found)
        costs = costs if shared else costs._replace(cores=0)
        if costs.cores and costs.wake:
            return Waking(found, costs, self.rng(scenario))
        return Talk(found, costs, self.rng(scenario), claims=claims)
