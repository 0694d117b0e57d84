"""What the kinds of stages differ in: daemons, when all is up, and what is counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from virtboost.net.emulate.daemon import Daemon
from virtboost.net.emulate.ends import Ends
from virtboost.net.emulate.scene import Scene


class Watching(Protocol):
    """What nodes lack until all is up, and again after a fault."""

    complete_at: dict[int, float]
    """When a node that lacks nothing had the last of it, by place."""
    changed_at: float
    """When something came or went last."""
    gone_at: dict[tuple[int, str], float]
    """When a node lost a route first since ``forget``."""

    @property
    def missing(self) -> Mapping[int, set[str]]:
        """What each node lacks."""

    @property
    def complete(self) -> bool:
        """Whether no node lacks anything."""

    def forget(self) -> None:
        """Begin anew with what came and went."""

    def wait(self, seconds: float) -> None:
        """Take what there is; wait until there is something, for so long at most."""


class Plane(ABC):
    """A data plane in the namespaces of a scene."""

    settling: tuple[str, ...]
    """Counts that may still grow when all is up, by key of ``outcome.TITLES``."""

    def __init__(self, scene: Scene) -> None:
        """Have daemons, that do not run yet, and ends."""
        self.scene = scene
        self.nodes = {place: each for place, each in enumerate(scene.speakers) if each.blocks}
        self.ends = Ends(self.nodes)
        self.daemons = self.cast()
        self.watch = self.watching()

    def cpu_s(self) -> float:
        """Return the CPU seconds of the daemons of speakers."""
        return sum(each.cpu_s() for each in self.daemons)

    def central_cpu_s(self) -> float:
        """Return the CPU seconds of daemons that all nodes share; 0: there are none."""
        return 0.0

    def updates(self) -> int:
        """Return the routes that daemons were told of; 0: not by BGP."""
        return 0

    def check(self) -> None:
        """See to it that all daemons run.

        Raises:
            DaemonError: One ended.
        """
        for each in self.daemons:
            each.check()

    @abstractmethod
    def cast(self) -> Sequence[Daemon]:
        """Return the daemons, by place."""

    @abstractmethod
    def watching(self) -> Watching:
        """Return what tells when all is up."""

    @abstractmethod
    def counted(self) -> dict[str, list[float]]:
        """Return the counts, of each daemon or node."""

    @abstractmethod
    def weighed(self) -> dict[str, list[float]]:
        """Return memory and what else is asked for once."""
