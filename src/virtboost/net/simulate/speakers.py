"""Who speaks BGP with whom: a mesh, reflectors, pairs of reflectors by groups, some above them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtboost.net import calico
from virtboost.net.design import Design
from virtboost.net.scale import Scale

Places = NDArray[np.int64]


class Speakers(NamedTuple):
    """Daemons by their places: reflectors above others first, then reflectors, then nodes."""

    size: int
    tops: int
    groups: int
    """0: a mesh."""
    pair: int
    """Reflectors of a group."""
    blocks: int
    """Of each daemon that has pods."""
    pods_on_reflectors: bool

    @property
    def reflectors(self) -> int:
        """Of all kinds."""
        return self.tops + self.groups * self.pair

    @property
    def origins(self) -> int:
        """Daemons that announce routes."""
        return self.size - (0 if self.pods_on_reflectors else self.reflectors)

    def announces(self, place: int) -> bool:
        """Tell whether a daemon has routes of its own."""
        return self.pods_on_reflectors or place >= self.reflectors

    def cluster(self, place: int) -> int:
        """Return the cluster of a reflector; -1 of another daemon."""
        if place >= self.reflectors:
            return -1
        return self.groups if place < self.tops else (place - self.tops) // self.pair

    def group(self, place: int) -> int:
        """Return the group whose client a node is."""
        return place % self.groups

    def masters(self, group: int) -> range:
        """Return the reflectors of a group."""
        first = self.tops + group * self.pair
        return range(first, first + self.pair)

    def clients(self, group: int) -> Places:
        """Return the nodes of a group."""
        nodes = np.arange(self.reflectors, self.size)
        chosen: Places = nodes[nodes % self.groups == group]
        return chosen

    def reflects_to(self, reflector: int, peer: int) -> bool:
        """Tell whether a peer of a reflector is its client."""
        return peer >= self.reflectors or reflector < self.tops <= peer

    def degrees(self) -> list[int]:
        """Return how many sessions each daemon has, by place."""
        if not self.groups:
            return [self.size - 1] * self.size
        below = self.groups * self.pair
        across = self.tops or below - 1
        sizes = [len(self.clients(group)) for group in range(self.groups)]
        return [
            *[self.tops - 1 + below] * self.tops,
            *(sizes[group] + across for group in range(self.groups) for _ in range(self.pair)),
            *[self.pair] * (self.size - self.reflectors),
        ]

    def peers(self, place: int) -> list[int]:
        """Return the peers of a daemon by their places."""
        if not self.groups:
            return [peer for peer in range(self.size) if peer != place]
        if place >= self.reflectors:
            return list(self.masters(self.group(place)))
        if place < self.tops:
            return [peer for peer in range(self.reflectors) if peer != place]
        above = [peer for peer in range(self.tops or self.reflectors) if peer != place]
        return [*above, *map(int, self.clients(self.cluster(place)))]

    def is_below(self, origin: int, place: int) -> bool:
        """Tell whether a reflector has an origin's routes from a client, or they are its own."""
        if origin == place:
            return True
        if place < self.tops:
            return origin >= self.tops
        return origin >= self.reflectors and self.group(origin) == self.cluster(place)

    def copies(self, origin: int, place: int) -> int:
        """Return how many paths a reflector has to an origin once all is up."""
        if place < self.tops:
            return self.pair if origin >= self.reflectors else 1
        if self.is_below(origin, place):
            return 1
        return self.tops or (self.pair if origin >= self.reflectors else 1)

    def sessions(self) -> tuple[Places, Places]:
        """Return both ends of all sessions: those that connect, and those that wait.

        Of two the later place connects: of a mesh the higher address, of a reflector its client.
        """
        if not self.groups:
            waits, connects = np.triu_indices(self.size, 1)
            return connects, waits
        nodes = np.arange(self.reflectors, self.size)
        first = self.tops + nodes % self.groups * self.pair
        pairs = np.array(sorted(self._between()), dtype=np.int64).reshape(-1, 2)
        connects = np.concatenate((pairs[:, 1], np.repeat(nodes, self.pair)))
        waits = (first[:, None] + np.arange(self.pair)).ravel()
        return connects, np.concatenate((pairs[:, 0], waits))

    def _between(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of reflectors that have a session."""
        below = range(self.tops, self.reflectors)
        if self.tops:
            yield from product(range(self.tops), below)
        yield from combinations(range(self.tops) if self.tops else below, 2)


def speakers(design: Design, scale: Scale, *, pods_on_reflectors: bool) -> Speakers:
    """Return the daemons of a design with BGP between nodes, as the plan counts them."""
    groups, pair, tops = 0, 0, 0
    if design.routing == "reflectors":
        groups, pair = 1, calico.flat_reflectors(scale)
    elif design.routing == "groups":
        found = calico.reflection(scale)
        groups, pair, tops = found.groups, calico.PAIR, found.top
    return Speakers(
        size=scale.nodes,
        tops=tops,
        groups=groups,
        pair=pair,
        blocks=scale.blocks_per_node,
        pods_on_reflectors=pods_on_reflectors,
    )
