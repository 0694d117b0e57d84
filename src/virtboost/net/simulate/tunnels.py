"""All nodes of a network of tunnels start at once, and are told of each other.

Open vSwitch's get rules, and nobody tells anything.  Calico's tell a datastore of themselves, which
tells all; OVN's tell the southbound database, which tells every ovn-controller and northd.  These
work their tables out anew each time; what comes meanwhile waits, and is taken at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec import structs

from virtboost.net.calico import typhas
from virtboost.net.simulate.case import Case
from virtboost.net.simulate.fanout import AGENTS
from virtboost.net.simulate.together import Together, Work

OfChanges = Callable[[int], Work]
"""Says what so many changes take; a change is a node that joins."""


class Parts(NamedTuple):
    """What daemons do."""

    node: Work
    """Of a node, until it joins."""
    tell: OfChanges | None = None
    """Of the datastore, to tell all who listen; None: there is none."""
    learn: OfChanges = lambda _: {}
    """Of a node that is told."""
    central: OfChanges = lambda _: {}
    """Of northd."""


class Began(NamedTuple):
    """What came of a start."""

    ready: list[float]
    """Seconds until each node has its rules or routes."""
    nodes: Work
    """How often each cost is in the CPU seconds of all nodes' daemons."""
    central: Work
    """The same of the daemons that nodes share."""
    cpu_s: float
    """Of all of these."""
    node_cpu_s: float
    """Of the busiest node."""
    central_cpu_s: float
    """Of the busiest of what they share."""


class Listener:
    """A process that takes what it hears, all that is there at once, and passes it on."""

    def __init__(self, shared: Together, who: int, work: OfChanges) -> None:
        """Hear nothing yet, and do nothing before it listens."""
        self._shared, self._who, self._work = shared, who, work
        self._waiting, self._free = 0, False
        self.audience: list[Listener] = []
        self.at = 0.0
        """When it had taken all that it heard."""

    def listen(self) -> None:
        """Begin with what is there."""
        self._free = True
        self.hear(0)

    def hear(self, changes: int) -> None:
        """Take so many changes, at once or after what it is at."""
        self._waiting += changes
        if self._free and self._waiting:
            self._free, taken, self._waiting = False, self._waiting, 0
            self._shared.begin(self._who, self._work(taken), lambda: self._took(taken))

    def _took(self, changes: int) -> None:
        self.at = self._shared.now
        for each in self.audience:
            each.hear(changes)
        self.listen()


class _Start:
    """Nodes, and what tells them of each other."""

    def __init__(self, case: Case) -> None:
        self.parts = _parts(case)
        costs = structs.asdict(case.costs)
        costs.pop("machine")
        self.shared = Together(costs, case.conditions.cores)
        self.nodes = range(case.scale.nodes)
        self.joined = [0.0 for _ in self.nodes]
        self.agents = [Listener(self.shared, place, self.parts.learn) for place in self.nodes]
        spawner, store, northd, *relays = range(
            len(self.nodes), len(self.nodes) + 3 + _relays(case)
        )
        self._spawner = spawner
        self.of_all = (store, northd, *relays)
        """Who of the processes is shared by nodes."""
        self.central = Listener(self.shared, northd, self.parts.central)
        self.store = Listener(self.shared, store, self.parts.tell or (lambda _: {}))
        self.store.audience = [self.central, *self._relayed(relays)]
        for each in self.store, *self.store.audience[: 1 + len(relays)]:
            each.listen()

    def _relayed(self, relays: list[int]) -> list[Listener]:
        """Return Typhas, each with its nodes; without Typhas the nodes."""
        if not relays:
            return self.agents
        return [
            self._relay(who, self.agents[turn :: len(relays)]) for turn, who in enumerate(relays)
        ]

    def _relay(self, who: int, agents: list[Listener]) -> Listener:
        told = AGENTS * len(agents)
        found = Listener(self.shared, who, lambda changes: {"watch_s": changes * told})
        found.audience = agents
        return found

    def spawn(self, place: int) -> None:
        """Start the nodes from one on, one after the other."""
        if place < len(self.nodes):
            self.shared.begin(self._spawner, {"spawn_s": 1}, lambda: self._spawned(place))

    def _spawned(self, place: int) -> None:
        self.shared.begin(place, self.parts.node, lambda: self._join(place))
        self.spawn(place + 1)

    def _join(self, place: int) -> None:
        self.joined[place] = self.shared.now
        if self.parts.tell is not None:
            self.agents[place].listen()
            self.store.hear(1)

    def work(self, places: Iterable[int]) -> Work:
        """Return how often each cost is in what some processes did."""
        found: Counter[str] = Counter()
        for place in places:
            found.update(self.shared.done[place])
        return found


def begin(case: Case) -> Began:
    """Start all nodes, and go on until all is told."""
    start = _Start(case)
    start.central.hear(1)
    start.spawn(0)
    start.shared.run()
    pairs = zip(start.joined, start.agents, strict=True)
    seconds = [start.shared.cpu_s(who) for who in (*start.nodes, *start.of_all)]
    return Began(
        ready=[max(at, agent.at, start.central.at) for at, agent in pairs],
        nodes=start.work(start.nodes),
        central=start.work(start.of_all),
        cpu_s=sum(seconds),
        node_cpu_s=max(seconds[: len(start.nodes)]),
        central_cpu_s=max(seconds[len(start.nodes) :]),
    )


def _relays(case: Case) -> int:
    there = case.conditions.typhas and "typhas" in case.design.forms
    return typhas(case.scale) if there else 0


def _parts(case: Case) -> Parts:
    scale, forms = case.scale, case.design.forms
    nodes, ports = scale.nodes, scale.pods_per_node
    if case.design.plane == "calico":
        listening = _relays(case) or nodes
        return Parts(
            node={"agent_s": 1},
            tell=lambda changes: {"watch_s": changes * listening},
            learn=lambda changes: {"remote_s": changes * (nodes - 1) / nodes},
        )
    rules = forms["openflow_rules"](scale).value
    switch = {"switch_s": 1.0, "rule_s": rules}
    if case.design.plane == "ovs":
        return Parts(node=switch)
    rows = forms["logical_flows"](scale).value
    switch |= {"chassis_s": 1, "port_s": ports}
    if case.design.name != "ovn-central":
        return Parts(node=switch | {"northd_row_s": rows, "controller_rule_s": rules})
    return Parts(
        node=switch,
        tell=lambda changes: {"row_s": changes * (rows + nodes * ports)},
        learn=lambda changes: {
            "controller_rule_s": rules,
            "tunnel_s": changes * (nodes - 1) / nodes,
        },
        central=lambda _: {"northd_row_s": rows},
    )
