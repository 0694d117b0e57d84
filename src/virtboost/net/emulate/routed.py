"""Nodes that route: what BGP's daemons hold, and what is in kernels by them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from virtboost.net.emulate.bird import Bird
from virtboost.net.emulate.frr import Frr
from virtboost.net.emulate.plane import Plane
from virtboost.net.emulate.router import Router
from virtboost.net.emulate.speaker import Software
from virtboost.net.emulate.watch import Watch

KINDS: Mapping[Software, type[Router]] = {"bird": Bird, "frr": Frr}

REFLECTORS_MEMORY = {"bird": "reflector_memory", "frr": "frr_reflector_memory"}
"""By key of ``outcome.TITLES``."""


class Routed(Plane):
    """BIRD or FRR on nodes, and as reflectors."""

    settling: tuple[str, ...] = ("sessions", "rib_paths")
    _routers: Sequence[Router]

    def cast(self) -> Sequence[Router]:
        """Return the daemons, by place."""
        self._routers = [
            KINDS[speaker.daemon](place, speaker)
            for place, speaker in enumerate(self.scene.speakers)
        ]
        return self._routers

    def watching(self) -> Watch:
        """Return what tells when every node has every route."""
        everywhere = {block for node in self.nodes.values() for block in node.blocks}
        wanted = {place: everywhere - {*node.blocks} for place, node in self.nodes.items()}
        return Watch(wanted, self._of_nodes()[0].protocol)

    def updates(self) -> int:
        """Return the routes that daemons were told of, over all sessions."""
        return sum(each.updates() for each in self._routers)

    def counted(self) -> dict[str, list[float]]:
        """Return the counts, of each daemon or node."""
        of_nodes = [each.established() for each in self._of_nodes()]
        of_reflectors = [each.established() for each in self._reflectors()]
        return {
            "sessions": [(sum(of_nodes) + sum(of_reflectors)) / 2],
            "sessions_per_node": [*of_nodes],
            "sessions_per_reflector": [*of_reflectors],
            "rib_paths": [each.paths(self.scene.pools) for each in self._of_nodes()],
        }

    def weighed(self) -> dict[str, list[float]]:
        """Return routes and memory."""
        found: dict[str, list[float]] = defaultdict(list)
        for each in self._of_nodes():
            found["fib_routes"].append(each.routes(self.scene.pools))
            found[f"{each.speaker.daemon}_memory"].append(each.memory_bytes())
        for each in self._reflectors():
            found[REFLECTORS_MEMORY[each.speaker.daemon]].append(each.memory_bytes())
        return found

    def _of_nodes(self) -> list[Router]:
        return [each for each in self._routers if each.speaker.blocks]

    def _reflectors(self) -> list[Router]:
        return [each for each in self._routers if each.speaker.reflector]
