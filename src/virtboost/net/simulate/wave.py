"""One route that comes or goes in a settled network: when each node's kernel has it, or not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from virtboost.net.simulate.audience import NEVER
from virtboost.net.simulate.reflector import Reflector
from virtboost.net.simulate.talk import Talk
from virtboost.net.simulate.ticks import Nanoseconds


def reached(talk: Talk, origin: int) -> Nanoseconds:
    """Return when each daemon of a network with reflectors has a route; NEVER: it does not.

    A node takes the first path that it hears; it has nothing else to do.
    """
    first = _heard(talk, origin, gone=False).min(axis=1)
    done = np.where(first < NEVER, first + talk.costs.take + talk.costs.install, NEVER)
    return _with_reflectors(talk, done, origin, gone=False)


def gone(talk: Talk, origin: int, missed: Mapping[int, int] | None = None) -> Nanoseconds:
    """Return when each daemon has no path to a route any more; NEVER: it still has one.

    Reflectors withdraw what they told; a node's route goes with the last of its paths.

    Args:
        talk: Daemons that have come to an end.
        origin: The daemon whose routes they are.
        missed: When its own clients noticed that it is gone, where it is a reflector.
    """
    told = _heard(talk, origin, gone=True)
    if missed is not None:
        column = (origin - talk.found.tops) % talk.found.pair
        told[list(missed), column] = list(missed.values())
    told.sort(axis=1)
    done = np.zeros(len(told), dtype=np.int64)
    for each in told.T:
        done = np.where(each < NEVER, np.maximum(each, done) + talk.costs.take, NEVER)
    done[done < NEVER] += talk.costs.install
    return _with_reflectors(talk, done, origin, gone=True)


def _with_reflectors(talk: Talk, done: Nanoseconds, origin: int, *, gone: bool) -> Nanoseconds:
    for reflector in talk.reflectors:
        row = _row(reflector, origin, gone=gone)
        done[reflector.place] = NEVER if row is None else reflector.at[row]
    return done


def _heard(talk: Talk, origin: int, *, gone: bool) -> Nanoseconds:
    """Return when each node hears of a route, by its master."""
    found = talk.found
    times = np.full((found.size, found.pair), NEVER)
    for reflector in talk.reflectors[found.tops :]:
        row = _row(reflector, origin, gone=gone)
        if row is not None:
            clients = found.clients(found.cluster(reflector.place))
            column = (reflector.place - found.tops) % found.pair
            times[clients, column] = _turns(talk, reflector, row, clients.tolist())
    return times


def _row(reflector: Reflector, origin: int, *, gone: bool) -> int | None:
    rows = zip(reflector.origins, reflector.gone, strict=True)
    return next((row for row, each in enumerate(rows) if each == (origin, gone)), None)


def _turns(talk: Talk, reflector: Reflector, row: int, clients: list[int]) -> Nanoseconds:
    """Return when a reflector's clients hear of one of its rows; its source does not."""
    costs, skip = talk.costs, reflector.skips[row]
    own = [reflector.ranks.get(client, (-1, -1)) for client in clients]
    ranks = np.array(own, dtype=np.int64).reshape(-1, 2)
    turns = ranks[:, 1] if skip < 0 else ranks[:, 0] - (skip < ranks[:, 0])
    at = reflector.at[row] + (turns + 1) * costs.tell + costs.link
    at[(ranks[:, 0] < 0) | (ranks[:, 0] == skip)] = NEVER
    return at
