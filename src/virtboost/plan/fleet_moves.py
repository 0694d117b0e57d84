"""A fleet whose guests may move: what a batch does at the end, and a replan."""

from __future__ import annotations

import math
from itertools import takewhile

import numpy as np

from virtboost.plan import fleet_score
from virtboost.plan.fleet import Fleet, Held, flavor_of, group_of
from virtboost.plan.fleet_score import Counts, Flags

UNUSABLE = 0.3
"""Slots that a pCPU costs on a node where nothing fits any more, where that counts."""

WORTH_A_MOVE_PCPUS = 1.0
"""How much less must be left to no use for a guest to move."""


class MovableFleet(Fleet):
    """Servers, and guests that move to where they leave less to no use."""

    def empty(self, server: int, most: float = math.inf) -> bool:
        """Move every guest of a server to others that hold some; all of them, or none.

        A guest with affinity goes to a server of its group only.

        Args:
            server: Its number.
            most: How many more pCPUs may be stranded for it; no server is emptied for more.
        """
        most += self._stranded()
        held = [each for each in self._held.values() if each.server == server]
        others = self._others(server)
        for each in held:
            self.release(each.request.name)
        ordered = sorted(held, key=_size, reverse=True)
        moved = list(takewhile(lambda each: self._moves(each, others), ordered))
        if len(moved) == len(held) and self._stranded() <= most:
            return True
        for each in moved:
            self.release(each.request.name)
        for each in held:
            self._back(each)
        return False

    def relieve(self) -> bool:
        """Move guests off nodes where nothing fits any more, if less is left to no use then.

        One guest at a time, from where most is left to no use, and to other servers that hold some.

        Returns:
            Whether any moved.
        """
        if not self._held:
            return False
        first, moved = self._unusable(), False
        for held in sorted(
            self._held.values(),
            key=lambda each: (-first[each.server, each.nodes].sum(), *_size(each)),
        ):
            here = (held.server, held.nodes)
            if fleet_score.unusable(self._cpus[here], self._memory[here], self._asked).any():
                moved |= self._relieved(held)
        return moved

    def gather(self) -> bool:
        """Move guests with affinity to a server of their group that has room; tell whether any."""
        moved = False
        for held in list(self._held.values()):
            group = self._groups.get(group_of(held.request), [])
            alone = sum(row == held.server for row, _ in group) == 1 < len(group)
            if held.request.strategy != "affinity" or not alone:
                continue
            self.release(held.request.name)
            if self._moves(held, self.used):
                moved = True
            else:
                self._back(held)
        return moved

    def _relieved(self, held: Held) -> bool:
        most = self._no_use() - WORTH_A_MOVE_PCPUS
        others = self._others(held.server)
        self.release(held.request.name)
        if self._moves(held, others):
            if self._no_use() <= most:
                return True
            self.release(held.request.name)
        self._back(held)
        return False

    def _no_use(self) -> float:
        return self._stranded() + float(self._unusable().sum())

    def _back(self, held: Held) -> None:
        self._put(held.request, flavor_of(held.request), held.server, held.nodes)

    def _others(self, server: int) -> Flags:
        others = self.used
        others[server] = False
        return others

    def _stranded(self) -> float:
        used = self.used
        node = fleet_score.stranded(self._cpus[used], self._memory[used], self._asked)
        return float(node.sum())

    def _unusable(self) -> Counts:
        """Return what is left to no use by server and node; nothing on servers without guests."""
        node = fleet_score.unusable(self._cpus, self._memory, self._asked)
        return np.where(self.used[:, None], node, 0)

    def _moves(self, held: Held, among: Flags) -> bool:
        """Place a guest that was taken away, where there is room; with affinity, by its group."""
        request, flavor = held.request, flavor_of(held.request)
        feasible = self._rooms(flavor) & (self._allowed(request) & among)[:, None]
        if request.strategy == "affinity":
            feasible &= self._with_group(request)[:, None]
        if not feasible.any():
            return False
        self._put(request, flavor, *self._best(flavor, feasible))
        return True


def _size(held: Held) -> tuple[int, int, int]:
    """Return what makes a guest hard to place: two nodes first, then memory."""
    return held.request.cells, held.request.memory_bytes, held.request.vcpus
