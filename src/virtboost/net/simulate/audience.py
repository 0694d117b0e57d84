"""What the clients of reflectors hear, and when their kernels have it: many at once.

Clients of a group hear the same rows of the same reflectors, each at its turn.  So their queues are
arrays with a line for each client, some clients at a time, and no client or route is an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtboost.net.simulate.reflector import Reflector
from virtboost.net.simulate.speakers import Places
from virtboost.net.simulate.talk import Talk
from virtboost.net.simulate.ticks import SECOND, Nanoseconds

CELLS = 4_000_000
"""Of an array at once: clients by what they hear."""

NEVER = np.iinfo(np.int64).max


class Heard(NamedTuple):
    """What some clients heard: all fields but the last by client."""

    clients: Places
    complete: Nanoseconds
    """When the last new route was in the kernel."""
    origins: Places
    """From how many daemons it has routes."""
    paths: Places
    """How many paths to them, one of each reflector: messages too."""
    took: Nanoseconds
    """CPU to take them in."""
    queue: Nanoseconds
    """The longest that a message waited."""
    storms: Places
    """Messages to all of them by second."""


class Saying(NamedTuple):
    """What clients had to say themselves, a line for each: its start, and its handshakes."""

    came: Nanoseconds
    done: Nanoseconds


def heard(talk: Talk) -> Iterator[Heard]:
    """Yield what all clients heard of daemons that have come to an end, from their start."""
    found = talk.found
    if not found.groups:
        return
    saying = _saying(talk)
    for group in range(found.groups):
        masters = [talk.reflectors[place] for place in found.masters(group)]
        clients = found.clients(group)
        step = max(1, CELLS // (found.pair * found.size))
        for begin in range(0, len(clients), step):
            yield _hear(talk, masters, clients[begin : begin + step], saying)


def _hear(talk: Talk, masters: list[Reflector], clients: Places, saying: Saying) -> Heard:
    at = np.stack([arrivals(talk, master, clients) for master in masters])
    at, new = _in_order(at, _firsts(at))
    real = at < NEVER
    began = np.where(real, _not_before(at, saying, clients - talk.found.reflectors), 0)
    took = np.where(real, talk.costs.take + new * talk.costs.install, 0)
    spent = np.cumsum(took, axis=1)
    done = np.maximum.accumulate(began - (spent - took), axis=1) + spent
    last = new.shape[1] - 1 - np.argmax(new[:, ::-1], axis=1)
    return Heard(
        clients=clients,
        complete=np.where(new.any(axis=1), done[np.arange(len(clients)), last], 0),
        origins=new.sum(axis=1),
        paths=real.sum(axis=1),
        took=spent[:, -1],
        queue=np.where(real, done - took - began, 0).max(axis=1),
        storms=np.bincount(at[real] // SECOND),
    )


def _in_order(at: Nanoseconds, new: NDArray[np.bool_]) -> tuple[Nanoseconds, NDArray[np.bool_]]:
    """Return what comes to each client in its order: of the same time by reflector, then origin.

    Time, column and whether it is new are one number while it is sorted, which takes a fourth of
    the time that sorting places does.
    """
    masters, lines, count = at.shape
    width = (masters * count - 1).bit_length()
    base = at.min()
    columns = np.arange(masters * count).reshape(masters, 1, count)
    keys = ((at - base) << width | columns) << 1 | new
    keys[at == NEVER] = NEVER
    keys = keys.transpose(1, 0, 2).reshape(lines, -1)
    keys.sort(axis=1)
    new = (keys & 1).astype(bool) & (keys < NEVER)
    return np.where(keys < NEVER, (keys >> (width + 1)) + base, NEVER), new


def arrivals(talk: Talk, master: Reflector, clients: Places) -> Nanoseconds:
    """Return when a reflector's route of each daemon comes to each client; NEVER: it does not.

    What it knew when their session came up comes at once, what it learns later at the client's
    turn.
    """
    costs, count = talk.costs, talk.found.size
    begun, skips, number = (np.full(count, -1, dtype=np.int64) for _ in range(3))
    origins = np.array(master.origins)
    begun[origins], skips[origins] = np.array(master.at), np.array(master.skips)
    number[origins] = np.arange(len(origins))
    ranks = np.array([master.ranks[client] for client in clients.tolist()])
    dumps = np.array([master.dumps[client] for client in clients.tolist()])
    turns = np.where(skips < 0, ranks[:, 1:], ranks[:, :1] - (skips < ranks[:, :1]))
    found = begun + costs.link + (turns + 1) * costs.tell
    found = np.where(number < dumps[:, 1:2], dumps[:, :1], found)
    found[:, number < 0] = NEVER
    found[np.arange(len(clients)), clients] = NEVER
    return found


def _firsts(at: Nanoseconds) -> NDArray[np.bool_]:
    """Return which message of each daemon's routes is the first that a client hears."""
    first = at.min(axis=0)
    new: NDArray[np.bool_] = (at == first) & (first < NEVER)
    for later in range(1, len(at)):
        new[later] &= ~new[:later].any(axis=0)
    return new


def _saying(talk: Talk) -> Saying:
    """Return what each client had to say: as much as each other."""
    who = np.array(talk.work.who)
    own = np.flatnonzero(who >= talk.found.reflectors)
    own = own[np.argsort(who[own], kind="stable")]
    lines = talk.found.size - talk.found.reflectors
    return Saying(
        came=np.array(talk.work.came)[own].reshape(lines, -1),
        done=np.array(talk.work.done)[own].reshape(lines, -1),
    )


def _not_before(at: Nanoseconds, saying: Saying, lines: Places) -> Nanoseconds:
    """Return when each message can be taken in, for what the client has to say itself."""
    found = at.copy()
    early = np.flatnonzero(at.min(axis=0) < saying.done[lines].max())
    for came, done in zip(saying.came[lines].T, saying.done[lines].T, strict=True):
        some = found[:, early]
        asked = at[:, early] >= came[:, None]
        found[:, early] = np.where(asked, np.maximum(some, done[:, None]), some)
    return found
