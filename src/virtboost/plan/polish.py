"""A placement made better by taking a few guests out and placing them anew, many times.

Source: ruin and recreate, Schrimpf et al., Journal of Computational Physics 159 (2000).  The choice
is random with a fixed seed: the same input gives the same output.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from virtboost.plan.assignment import Assignment
from virtboost.plan.demand import Demand
from virtboost.plan.greedy import Board
from virtboost.plan.score import objective, total
from virtboost.plan.supply import Supply

ROUNDS = 1000
"""How often a placement is taken apart and mended."""

WORK = 30_000
"""Guests placed in all rounds together: many guests have fewer rounds."""

PAIR_ROUNDS = 10
"""Rounds for each pair of guests that can be taken out: few guests have few orders to try."""

FEWEST, MOST = 2, 10
"""How many guests are taken out at once."""


def polished(supply: Supply, demands: Sequence[Demand], start: Assignment) -> Assignment:
    """Return a placement that costs no more than ``start``."""
    movable = [n for n, demand in enumerate(demands) if not demand.refusal and demand.pins is None]
    best, least = start, total(objective(supply, demands, start))
    chance = random.Random(0)
    for _ in range(_rounds(len(demands), len(movable))):
        out = _out(supply, best, movable, chance)
        found = _again(supply, demands, best, out)
        cost = total(objective(supply, demands, found))
        if cost <= least:
            best, least = found, cost
    return best


def _rounds(guests: int, movable: int) -> int:
    if movable < FEWEST:
        return 0
    return min(ROUNDS, WORK // guests, PAIR_ROUNDS * movable**2)


def _out(
    supply: Supply, assignment: Assignment, movable: Sequence[int], chance: random.Random
) -> list[int]:
    """Return who is taken out, in the order of coming back: some of two nodes, or of the host."""
    nodes = set(chance.sample(sorted(supply.nodes), min(2, len(supply.nodes))))
    anywhere = chance.random() < 0.5
    there = [
        index
        for index in movable
        if index in assignment.placed
        and (anywhere or not nodes.isdisjoint(assignment.placed[index].fit.node_ids))
    ]
    count = min(chance.randint(FEWEST, MOST), len(there))
    out = chance.sample(there, count) + [n for n in movable if n not in assignment.placed]
    chance.shuffle(out)
    return out


def _again(
    supply: Supply, demands: Sequence[Demand], assignment: Assignment, out: Sequence[int]
) -> Assignment:
    """Return a placement in which some guests were placed anew, in their order."""
    board = Board(supply, demands)
    for index, placed in assignment.placed.items():
        if index not in out:
            board.keep(index, placed, assignment.pool)
    for index in out:
        board.place(index)
    return board.assignment()
