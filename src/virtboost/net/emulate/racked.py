"""Nodes that route by their rack's switches: what is in these, and how many ways there are."""

from __future__ import annotations

from collections.abc import Sequence

from virtboost.net.emulate.routed import Routed
from virtboost.net.emulate.router import Router


class Racked(Routed):
    """BIRD or FRR on nodes; the one or the other on switches of racks, and spines between them."""

    settling = ("sessions", "fabric_sessions", "rib_paths", "next_hops", "switch_next_hops")

    def counted(self) -> dict[str, list[float]]:
        """Return the counts, of each daemon or node."""
        of_nodes = [each.established() for each in self._of_nodes()]
        return {
            "sessions": [sum(of_nodes)],
            "sessions_per_node": [*of_nodes],
            "fabric_sessions": [sum(each.established() for each in self._spines())],
            "rib_paths": [each.paths(self.scene.pools) for each in self._of_nodes()],
            "next_hops": self._next_hops(self._of_nodes()),
            "switch_next_hops": self._next_hops(self._switches()),
        }

    def weighed(self) -> dict[str, list[float]]:
        """Return routes and memory."""
        routes = [each.routes(self.scene.pools) for each in self._switches()]
        return super().weighed() | {"switch_routes": [*routes]}

    def _next_hops(self, routers: Sequence[Router]) -> list[float]:
        """Return how many next hops each route has, but for those of a switch to its own rack."""
        found: list[float] = []
        for each in routers:
            below = self._below(each)
            ways = each.next_hops(self.scene.pools)
            found += (count for block, count in ways.items() if block not in below)
        return found or [0]

    def _below(self, router: Router) -> set[str]:
        """Return the blocks of a switch's own rack; of a node, none."""
        own, nodes = router.speaker, self.nodes.values()
        if own.blocks:
            return set()
        return {block for node in nodes if node.segment == own.segment for block in node.blocks}

    def _switches(self) -> list[Router]:
        """Return those of spines and switches."""
        return [each for each in self._routers if not each.speaker.blocks]

    def _spines(self) -> list[Router]:
        return [each for each in self._switches() if not each.speaker.uplink]
