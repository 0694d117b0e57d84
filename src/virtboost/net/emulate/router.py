"""A daemon that puts routes into its namespace's kernel."""

from __future__ import annotations

import json
from abc import abstractmethod

from virtboost.net.emulate.daemon import Daemon, shown
from virtboost.net.emulate.space import name


class Router(Daemon):
    """What speaks BGP for a node, a reflector, a switch or a spine."""

    protocol: int
    """Of its routes, as the kernel has it (``/etc/iproute2/rt_protos``)."""

    @abstractmethod
    def updates(self) -> int:
        """Return how many routes its peers told it of."""

    @abstractmethod
    def paths(self, pools: tuple[str, ...]) -> int:
        """Return how many paths to blocks of some pools it holds."""

    def routes(self, pools: tuple[str, ...]) -> int:
        """Return how many routes to blocks are in the node's kernel, its own among them."""
        return sum(
            shown("ip", "-n", name(self.place), "-o", "route", "show", "root", pool).count("\n")
            for pool in pools
        )

    def next_hops(self, pools: tuple[str, ...]) -> dict[str, int]:
        """Return how many next hops the routes have that it put into the kernel, by block."""
        asked = ("ip", "-n", name(self.place), "-j", "route", "show", "proto", f"{self.protocol}")
        told = [each for pool in pools for each in json.loads(shown(*asked, "root", pool) or "[]")]
        return {each["dst"]: len(each.get("nexthops", ())) or 1 for each in told}
