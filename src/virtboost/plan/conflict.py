"""Wishes to be near and apart that cannot all hold, however empty the host: the smallest set."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from virtboost.errors import InputError
from virtboost.plan.assignment import compatible
from virtboost.plan.demand import Demand, fits_alone
from virtboost.plan.fit import Fit
from virtboost.plan.supply import Supply


def refuse_contradictions(supply: Supply, demands: Sequence[Demand]) -> None:
    """Refuse wishes that contradict each other.

    A guest counts with its fewest cells: nobody means to tear one apart so that a second may be
    near it while a third, near it too, is apart from the second.

    Raises:
        InputError: With every wish of a smallest contradiction.
    """
    ways = [_fewest(supply, demand) for demand in demands]
    for index, demand in enumerate(demands):
        for other in (other for other in demand.near if other > index):
            if not _possible(ways[index], ways[other], near=True):
                _refuse(demands, [index, other], "affinity", "they have no node in common")
        for other in (other for other in demand.apart if other > index):
            if not _possible(ways[index], ways[other], near=False):
                _refuse(demands, [index, other], "anti_affinity", "both must be on the same node")
            chain = _chain(demands, index, other)
            if chain and not _reachable(ways, chain):
                _refuse(demands, chain, "affinity", _apart(demands, index, other))


def _fewest(supply: Supply, demand: Demand) -> tuple[Fit, ...]:
    """Return the ways to lie with the fewest cells, on a host that has nothing else to hold."""
    fitting = [fit for fit in demand.fits if fits_alone(supply, demand, fit)]
    least = min((len(fit.cells) for fit in fitting), default=0)
    return tuple(fit for fit in fitting if len(fit.cells) == least)


def _possible(ones: Sequence[Fit], others: Sequence[Fit], *, near: bool) -> bool:
    if not ones or not others:
        return True
    return any(compatible(one, other, near=near) for one in ones for other in others)


def _chain(demands: Sequence[Demand], start: int, end: int) -> list[int]:
    """Return the shortest chain of wishes to be near from one demand to another; empty: none."""
    before: dict[int, int] = {start: start}
    waiting = deque([start])
    while waiting:
        index = waiting.popleft()
        if index == end:
            chain = [end]
            while chain[-1] != start:
                chain.append(before[chain[-1]])
            return chain[::-1]
        for other in demands[index].near:
            if other not in before:
                before[other] = index
                waiting.append(other)
    return []


def _reachable(ways: Sequence[tuple[Fit, ...]], chain: Sequence[int]) -> bool:
    """Tell whether the ends of a chain can be apart while each is near the next."""
    for start in ways[chain[0]]:
        here: Sequence[Fit] = (start,)
        for index in chain[1:]:
            here = [fit for fit in ways[index] if _possible(here, (fit,), near=True)]
        if _possible((start,), here, near=False) and here:
            return True
    return not ways[chain[0]]


def _apart(demands: Sequence[Demand], one: int, other: int) -> str:
    return f"{demands[one].name} and {demands[other].name} must be apart (anti_affinity)"


def _refuse(demands: Sequence[Demand], chain: Sequence[int], wish: str, but: str) -> None:

    wishes = ", ".join(
        f"{demands[one].name} with {demands[other].name}" for one, other in pairwise(chain)
    )
    raise InputError(f"contradiction: {wishes} ({wish}), but {but}: take one of these away")
