"""Nodes that route: what BGP's daemons hold, and what is in kernels by them."""

from __future__ import annotations

from collections.abc import Sequence

from virtboost.net.emulate.bgpd import Bgpd
from virtboost.net.emulate.bird import Bird
from virtboost.net.emulate.daemon import Daemon
from virtboost.net.emulate.plane import Plane
from virtboost.net.emulate.watch import Watch


class Routed(Plane):
    """BIRD on nodes; BIRD or FRR's bgpd as reflectors."""

    settling: tuple[str, ...] = ("sessions", "rib_paths")

    def cast(self) -> Sequence[Daemon]:
        """Return the daemons, by place."""
        kinds: dict[str, type[Daemon]] = {"bird": Bird, "frr": Bgpd}
        return [
            kinds[speaker.daemon](place, speaker)
            for place, speaker in enumerate(self.scene.speakers)
        ]

    def watching(self) -> Watch:
        """Return what tells when every node has every route."""
        everywhere = {block for node in self.nodes.values() for block in node.blocks}
        return Watch({place: everywhere - {*node.blocks} for place, node in self.nodes.items()})

    def updates(self) -> int:
        """Return the routes that BIRDs were told of, over all sessions."""
        return sum(each.updates() for each in self.daemons if isinstance(each, Bird))

    def counted(self) -> dict[str, list[float]]:
        """Return the counts, of each daemon or node."""
        of_nodes = [bird.established() for bird in self._birds()]
        of_reflectors = [each.established() for each in self._reflectors()]
        return {
            "sessions": [(sum(of_nodes) + sum(of_reflectors)) / 2],
            "sessions_per_node": [*of_nodes],
            "sessions_per_reflector": [*of_reflectors],
            "rib_paths": [bird.paths(self.scene.pools) for bird in self._birds()],
        }

    def weighed(self) -> dict[str, list[float]]:
        """Return routes and memory."""
        return {
            "fib_routes": [bird.routes(self.scene.pools) for bird in self._birds()],
            "bird_memory": [bird.memory_bytes() for bird in self._birds()],
            "reflector_memory": [each.memory_bytes() for each in self._reflectors()],
        }

    def _birds(self) -> list[Bird]:
        """Return those of nodes."""
        return [
            each for each in self.daemons if isinstance(each, Bird) and not each.speaker.reflector
        ]

    def _reflectors(self) -> list[Daemon]:
        return [each for each in self.daemons if each.speaker.reflector]
