"""Nodes that learn of each other from a datastore: kernel VXLAN devices, routes by Felix's part."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from virtboost.net.emulate import felix
from virtboost.net.emulate.daemon import Daemon, shown
from virtboost.net.emulate.etcd import Etcd
from virtboost.net.emulate.plane import Plane
from virtboost.net.emulate.space import name
from virtboost.net.emulate.speaker import DATASTORE
from virtboost.net.emulate.vxlan import EVENTS
from virtboost.net.emulate.watch import Watch

FORWARDED = re.compile(r"dst (\S+) .*permanent")


class Follower(Daemon):
    """The part of Felix, in a node's namespace; the kernel goes on when it is killed."""

    title = "felix"
    argv = (sys.executable, "-m", felix.__name__)

    def established(self) -> int:
        """Return how many routes it has in the kernel."""
        return self._listed("route", "show", "proto", f"{felix.PROTOCOL}").count("\n")

    def routes(self) -> int:
        """Return how many routes to blocks are in the node's kernel, its own among them."""
        own = self._listed("route", "show", "type", "blackhole")
        return self.established() + own.count("\n")

    def neighbours(self) -> int:
        """Return how many the node has, without the datastore."""
        told = self._listed("neigh", "show", "nud", "permanent")
        return told.count("\n") - told.count(f"{DATASTORE} ")

    def _listed(self, *what: str) -> str:
        return shown("ip", "-n", name(self.place), "-o", *what)

    def forwarding(self) -> list[str]:
        """Return where the entries of its VXLAN device lead."""
        told = shown("bridge", "-n", name(self.place), "fdb", "show", "dev", felix.DEVICE)
        return FORWARDED.findall(told)


class Stored(Plane):
    """A VXLAN device on each node, and etcd that all watch."""

    settling = ("fdb_entries", "neighbours", "watchers")

    def cast(self) -> Sequence[Follower]:
        """Return the part of Felix of each node, by place; etcd runs already."""
        self._etcd = Etcd()
        self._followers = [Follower(place, each) for place, each in self.nodes.items()]
        return self._followers

    def watching(self) -> Watch:
        """Return what tells when every node has every route."""
        everywhere = {block for node in self.nodes.values() for block in node.blocks}
        wanted = {place: everywhere - {*node.blocks} for place, node in self.nodes.items()}
        return Watch(wanted, felix.PROTOCOL)

    def central_cpu_s(self) -> float:
        """Return the CPU seconds of etcd."""
        return self._etcd.cpu_s()

    def counted(self) -> dict[str, list[float]]:
        """Return the counts of each node, and of etcd."""
        entries = [each.forwarding() for each in self._followers]
        return {
            "tunnels_per_node": [len({*each}) for each in entries],
            "fdb_entries": [len(each) for each in entries],
            "neighbours": [each.neighbours() for each in self._followers],
            "fib_routes": [each.routes() for each in self._followers],
            "watchers": [self._etcd.watchers()],
        }

    def weighed(self) -> dict[str, list[float]]:
        """Return what etcd sends of pods that come, and the CPU that this takes it.

        As many keys that nobody watches tell what writing them takes.
        """
        unwatched_s, _ = self._written("/unwatched/")
        cpu_s, events = self._written("/calico/workloads/")
        sending_s = max(0.0, cpu_s - unwatched_s)
        return {"watch_events": [events], "watch_cpu": [sending_s / max(1, events)]}

    def _written(self, prefix: str) -> tuple[float, int]:
        cpu_s, events = self._etcd.cpu_s(), self._etcd.events()
        self._etcd.put(prefix, EVENTS)
        sent = self._etcd.events() - events
        return self._etcd.cpu_s() - cpu_s, sent
