"""What the jobs of daemons come to: CPU, queues, and the busiest second of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtboost.net.simulate.talk import Talk
from virtboost.net.simulate.ticks import SECOND, Nanoseconds


class Load(NamedTuple):
    """Of all daemons, by place, in nanoseconds."""

    cpu: Nanoseconds
    queue: Nanoseconds
    """The longest that something waited."""


class Jobs(NamedTuple):
    """Jobs by daemon, of each in the order in which they came."""

    who: NDArray[np.int64]
    came: Nanoseconds
    done: Nanoseconds
    took: Nanoseconds


def jobs(talk: Talk) -> Jobs:
    """Return all jobs of a run."""
    work = talk.work
    parts = [np.array(each) for each in (work.who, work.came, work.done, work.took)]
    order = np.argsort(parts[0], kind="stable")
    return Jobs(*(part[order] for part in parts))


def load(found: Jobs, count: int) -> Load:
    """Return what the jobs come to for each of ``count`` daemons."""
    cpu, queue = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    np.add.at(cpu, found.who, found.took)
    np.maximum.at(queue, found.who, found.done - found.took - found.came)
    return Load(cpu=cpu, queue=queue)


def busiest_cores(found: Jobs, places: Iterable[int]) -> float:
    """Return the CPU of the busiest daemon among some in its busiest second, in cores."""
    return max((_cores(_of(found, place)) for place in places), default=0.0)


def longest_queue(found: Jobs, places: Iterable[int]) -> int:
    """Return the most jobs that waited for one of some daemons, with the one in work."""
    return max((_waiting(_of(found, place)) for place in places), default=0)


def storm(arrivals: Nanoseconds, *more: NDArray[np.int64]) -> int:
    """Return the most messages of a second: those at some times, and those counted by second."""
    counted = [np.bincount(arrivals // SECOND), *more]
    whole = np.zeros(max(map(len, counted)), dtype=np.int64)
    for each in counted:
        whole[: len(each)] += each
    return int(whole.max(initial=0))


def _of(found: Jobs, place: int) -> Jobs:
    first, last = np.searchsorted(found.who, (place, place + 1))
    return Jobs(*(each[first:last] for each in found))


def _cores(own: Jobs) -> float:
    """Return the share of the busiest second; a job of more than a second keeps a core busy."""
    if not len(own.who):
        return 0.0
    begun = own.done - own.took
    second = begun // SECOND
    here = np.minimum(own.took, (second + 1) * SECOND - begun)
    spent = np.zeros(second.max() + 2, dtype=np.int64)
    np.add.at(spent, second, here)
    np.add.at(spent, second + 1, np.minimum(own.took - here, SECOND))
    return float(min(SECOND, spent.max()) / SECOND)


def _waiting(own: Jobs) -> int:
    """Return the longest queue: jobs come and are done in the same order."""
    came = np.sort(own.came)
    gone = np.searchsorted(np.sort(own.done), came, side="right")
    return int((np.arange(1, len(came) + 1) - gone).max(initial=0))
