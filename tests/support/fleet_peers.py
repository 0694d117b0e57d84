"""The ways in which others choose a server, on the arrays and with the filters of the planner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from virtboost.model.fleet_plan import FleetPlan, FleetRequest, FleetServer
from virtboost.plan.fleet import Fleet
from virtboost.plan.fleet_batch import plan_of
from virtboost.plan.fleet_score import Flags, Flavor


class FirstFit(Fleet):
    """The first server, and the first of its nodes, that has room."""

    def _best(self, flavor: Flavor, feasible: Flags) -> tuple[int, tuple[int, ...]]:
        row, number = divmod(int(np.argmax(feasible)), feasible.shape[1])
        return row, self._sets.of(flavor.cells)[number]


class BestFit(Fleet):
    """The server that is fullest when the guest is there, in pCPUs and then in memory."""

    def _best(self, flavor: Flavor, feasible: Flags) -> tuple[int, tuple[int, ...]]:
        cpus, memory = self.free()
        left = cpus.sum(1) + memory.sum(1) / (1 << 50)
        cost = np.where(feasible, left[:, None], np.inf)
        row, number = divmod(int(np.argmin(cost)), cost.shape[1])
        return row, self._sets.of(flavor.cells)[number]


class VmAgent(Fleet):
    """Best fit by node, as of VMAgent: of the nodes that take it, those with fewest pCPUs left."""

    def _best(self, flavor: Flavor, feasible: Flags) -> tuple[int, tuple[int, ...]]:
        cpus, _ = self.free()
        cost = np.where(feasible, self._sets.sum(cpus, flavor.cells), np.inf)
        row, number = divmod(int(np.argmin(cost)), cost.shape[1])
        return row, self._sets.of(flavor.cells)[number]


def placed_by(kind: type[Fleet]) -> Callable[..., FleetPlan]:
    def place(fleet: Sequence[FleetServer], asked: Sequence[FleetRequest]) -> FleetPlan:
        state = kind(fleet)
        return plan_of(state, asked, [state.place(each) for each in asked])

    return place
