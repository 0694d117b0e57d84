"""Nodes of Open vSwitch: when their controllers are done, and what their switches hold."""

from __future__ import annotations

import selectors
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from virtboost.net.emulate.plane import Plane
from virtboost.net.emulate.speaker import node_mac
from virtboost.net.emulate.switch import Switch

S = TypeVar("S", bound=Switch)


class Programmed:
    """The nodes whose controller is not done."""

    def __init__(self, switches: Sequence[Switch]) -> None:
        """Watch some switches, that need not have been started."""
        self._switches = switches
        self.complete_at: dict[int, float] = {}
        self.changed_at = 0.0
        """Until all are done, always now: scripts wait for nothing longer than a client does."""
        self.gone_at: dict[tuple[int, str], float] = {}
        """Empty: nobody takes out what leads to a node that is gone."""

    @property
    def missing(self) -> dict[int, set[str]]:
        """What each node lacks."""
        return {
            each.place: set() if each.controller_fd is None else {"rules"}
            for each in self._switches
        }

    @property
    def complete(self) -> bool:
        """Whether every controller is done."""
        return not any(self.missing.values())

    def forget(self) -> None:
        """Begin anew with what came."""
        self.complete_at.clear()

    def wait(self, seconds: float) -> None:
        """Take note of what is done; wait until something is, for so long at most."""
        self.changed_at = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for each in self._switches:
                if each.controller_fd is not None:
                    selector.register(each.controller_fd, selectors.EVENT_READ, each)
            done = [key.data for key, _ in selector.select(seconds)]
        with ThreadPoolExecutor(len(done) or 1) as pool:
            for switch, at in zip(done, pool.map(_programmed_at, done), strict=True):
                self.complete_at[switch.place] = at


def _programmed_at(switch: Switch) -> float:
    """Take note of a controller that is done, which waits for its switch; tell when that was."""
    switch.programmed()
    return time.monotonic()


class Switched(Plane):
    """An Open vSwitch on each node, with tunnels to all others."""

    settling: tuple[str, ...] = ("megaflows", "tunnels_per_node")
    _switches: Sequence[Switch]

    def cast(self) -> Sequence[Switch]:
        """Return the switches, by place."""
        self._switches = self.joined(Switch)
        return self._switches

    def joined(self, kind: type[S]) -> list[S]:
        """Return a switch for each node, which knows the others."""
        known = [(each.address, node_mac(place)) for place, each in self.nodes.items()]
        switches = [kind(place, each) for place, each in self.nodes.items()]
        for each in switches:
            each.fabric = [node for node in known if node[0] != each.speaker.address]
        return switches

    def watching(self) -> Programmed:
        """Return what tells when every controller is done."""
        return Programmed(self._switches)

    def counted(self) -> dict[str, list[float]]:
        """Return the counts of each switch, with a packet from every node to every other."""
        self.ends.reach()
        flows = [each.megaflows() for each in self._switches]
        return {
            "tunnels_per_node": [tunnels for _, tunnels in flows],
            "openflow_rules": [each.rules() for each in self._switches],
            "megaflows": [count for count, _ in flows],
            "learned_addresses": [each.learned() for each in self._switches],
        }

    def weighed(self) -> dict[str, list[float]]:
        """Return memory."""
        return {"switch_memory": [each.memory_bytes() for each in self._switches]}
