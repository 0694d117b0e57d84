"""Nodes that route by their rack's switches: what is in these, and how many ways there are."""

from __future__ import annotations

from virtboost.net.emulate.bird import Bird
from virtboost.net.emulate.routed import Routed


class Racked(Routed):
    """BIRD on nodes, on the switches of racks, and on the spines between them."""

    settling = ("sessions", "fabric_sessions", "rib_paths", "next_hops", "switch_next_hops")

    def counted(self) -> dict[str, list[float]]:
        """Return the counts, of each daemon or node."""
        of_nodes = [bird.established() for bird in self._birds()]
        return {
            "sessions": [sum(of_nodes)],
            "sessions_per_node": [*of_nodes],
            "fabric_sessions": [sum(bird.established() for bird in self._spines())],
            "rib_paths": [bird.paths(self.scene.pools) for bird in self._birds()],
            "next_hops": self._next_hops(self._birds()),
            "switch_next_hops": self._next_hops(self._routers()),
        }

    def weighed(self) -> dict[str, list[float]]:
        """Return routes and memory."""
        return {
            "fib_routes": [bird.routes(self.scene.pools) for bird in self._birds()],
            "switch_routes": [bird.routes(self.scene.pools) for bird in self._routers()],
            "bird_memory": [bird.memory_bytes() for bird in self._birds()],
        }

    def _next_hops(self, birds: list[Bird]) -> list[float]:
        """Return how many next hops each route has, but for those of a switch to its own rack."""
        found: list[float] = []
        for bird in birds:
            below = self._below(bird)
            ways = bird.next_hops(self.scene.pools)
            found += (count for block, count in ways.items() if block not in below)
        return found or [0]

    def _below(self, bird: Bird) -> set[str]:
        """Return the blocks of a switch's own rack; of a node, none."""
        own, nodes = bird.speaker, self.nodes.values()
        if own.blocks:
            return set()
        return {block for node in nodes if node.segment == own.segment for block in node.blocks}

    def _birds(self) -> list[Bird]:
        """Return those of nodes."""
        return [bird for bird in super()._birds() if bird.speaker.blocks]

    def _routers(self) -> list[Bird]:
        """Return those of spines and switches."""
        return [bird for bird in super()._birds() if not bird.speaker.blocks]

    def _spines(self) -> list[Bird]:
        return [bird for bird in self._routers() if not bird.speaker.uplink]
