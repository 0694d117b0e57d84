"""What daemons do, one thing after the other, each on a CPU of its own or all on a few."""

from __future__ import annotations

import heapq
from array import array


class Work:
    """Jobs of daemons, by their places; all times in nanoseconds."""

    def __init__(self, size: int, cores: int) -> None:
        """Let ``size`` daemons have nothing to do.

        Args:
            size: How many daemons.
            cores: That they share; 0: each has its own.
        """
        self.free = [0] * size
        """When a daemon has said all that it was asked to."""
        self.idle = [0] * size
        """When a node has taken in all that it heard."""
        self._cores = [0] * cores
        self.who, self.came, self.done, self.took = (array("q") for _ in range(4))
        """Of all jobs: whose, when they came, were done, how long they took."""

    def say(self, place: int, at: int, took: int) -> int:
        """Do what a daemon is asked to after what it was asked before; return when it is done."""
        done = self._begun(max(at, self.free[place]), took) + took
        self.free[place] = done
        self._note(place, at, done, took)
        return done

    def learn(self, place: int, at: int, took: int) -> int:
        """Take in what a node hears after all that it had to say and heard before."""
        done = self._begun(max(at, self.idle[place], self.free[place]), took) + took
        self.idle[place] = done
        self._note(place, at, done, took)
        return done

    def begins(self, place: int, at: int) -> int:
        """Return when a daemon begins what it is asked to at a time."""
        return max(at, self.free[place], self.idle[place], *self._cores[:1])

    def _begun(self, at: int, took: int) -> int:
        """Return when a core is free, and take it: the first that is, in the order of jobs.

        One that waits for its daemon keeps its core waiting, which a kernel does better.
        """
        if not self._cores:
            return at
        begun = max(at, self._cores[0])
        heapq.heapreplace(self._cores, begun + took)
        return begun

    def _note(self, place: int, at: int, done: int, took: int) -> None:
        self.who.append(place)
        self.came.append(at)
        self.done.append(done)
        self.took.append(took)
