"""A datapath at one moment: its megaflows and connections, to be looked up as it does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from virtboost.flow.connection import Connection, Tuple
from virtboost.flow.entry import Tracked
from virtboost.flow.field import Part
from virtboost.flow.megaflow import Megaflow
from virtboost.flow.record import Record

Mask = tuple[tuple[str, int], ...]
"""Fields that megaflows of one tuple space match on, with their masks."""

Bucket = tuple[int, str]
"""Recirculation and port."""

TUNNEL_TOS = Part("tunnel.tos", 0, 0xFF)
"""What a megaflow of a tunnel's packets matches on too, where its dump says no other.

Open vSwitch has megaflows of their own for each TOS outside (ECN: RFC 6040); a dump leaves out 0.
Seen with 3.1.
"""

EVERY = ""
"""The port of megaflows that match on none."""


class Rule:
    """A megaflow with the parts that it matches on."""

    __slots__ = ("ends", "megaflow", "parts", "recirculation")

    def __init__(self, megaflow: Megaflow) -> None:
        """Take the match of a megaflow apart."""
        match = megaflow.match
        if any(part.mask for name, part in match.items() if name.startswith("tunnel.")):
            match.setdefault(TUNNEL_TOS.name, TUNNEL_TOS)
        recirculation = match.pop("recirc_id", None)
        self.recirculation = 0 if recirculation is None else recirculation.value
        self.megaflow = megaflow
        self.ends = _ends(match)
        self.parts = tuple(
            sorted((part for part in match.values() if part.mask), key=lambda part: part.name)
        )

    def same(self, other: Rule) -> bool:
        """Tell whether another is this one again, as each PMD thread has its own."""
        return (self.parts, self.megaflow.actions) == (other.parts, other.megaflow.actions)

    @property
    def bucket(self) -> Bucket:
        """Where it is looked up."""
        port = next((part.value for part in self.parts if part.name == "in_port"), EVERY)
        return int(self.recirculation), str(port)


class Space:
    """Megaflows of one mask, by the values that they have under it."""

    def __init__(self, mask: Mask) -> None:
        """Begin without any."""
        self._mask = mask
        self._rules: list[tuple[tuple[int, ...], Rule]] = []
        self._by_known: dict[tuple[int, ...], dict[tuple[int, ...], list[Rule]]] = {}

    def add(self, values: tuple[int, ...], rule: Rule) -> None:
        """Add a megaflow."""
        self._rules.append((values, rule))

    def matching(self, record: Record) -> Iterator[Rule]:
        """Yield the megaflows that may match a packet: one lookup by the fields that are known."""
        known = [record.known(name) for name, _ in self._mask]
        numbers = tuple(
            number
            for number, (_, bits) in enumerate(self._mask)
            if known[number].mask & bits == bits
        )
        if numbers not in self._by_known:
            self._by_known[numbers] = self._indexed(numbers)
        values = tuple(known[number].value & self._mask[number][1] for number in numbers)
        found = self._by_known[numbers].get(values, ())
        if len(numbers) == len(self._mask):
            yield from found
        else:
            yield from (rule for rule in found if record.may_match(rule.parts))

    def _indexed(self, numbers: tuple[int, ...]) -> dict[tuple[int, ...], list[Rule]]:
        index: defaultdict[tuple[int, ...], list[Rule]] = defaultdict(list)
        for values, rule in self._rules:
            index[tuple(values[number] for number in numbers)].append(rule)
        return dict(index)


class Datapath:
    """Megaflows by recirculation, port and mask, and connections by zone and direction."""

    def __init__(self, flows: Iterable[Megaflow], connections: Iterable[Connection] = ()) -> None:
        """Index a dump."""
        self._spaces: dict[Bucket, dict[Mask, Space]] = {}
        self.rules = [Rule(flow) for flow in flows]
        for rule in self.rules:
            numbers = [p for p in rule.parts if isinstance(p.value, int)]
            mask = tuple((part.name, part.mask) for part in numbers)
            values = tuple(int(part.value) & part.mask for part in numbers)
            spaces = self._spaces.setdefault(rule.bucket, {})
            spaces.setdefault(mask, Space(mask)).add(values, rule)
        self._tracked: dict[tuple[int, Tuple], Tracked] = {}
        self.connections = list(connections)
        for each in self.connections:
            self._tracked[each.zone, each.reply] = Tracked(connection=each, reply=True)
        for each in self.connections:
            self._tracked[each.zone, each.original] = Tracked(connection=each, reply=False)
        self._before: defaultdict[Tuple, list[Tuple]] = defaultdict(list)
        for each in self.connections:
            if each.original != each.reply.turned:
                self._before[each.reply.turned].append(each.original)
                self._before[each.original.turned].append(each.reply)
        self._popping = _popping(self.rules)
        self._seen = _seen(self.rules, self._popping)

    @property
    def masks(self) -> int:
        """How many tuple spaces the datapath has to look in, over all ports."""
        return len({mask for spaces in self._spaces.values() for mask in spaces})

    def masks_by_table(self) -> dict[Bucket, int]:
        """Return how many masks each recirculation and port has."""
        return {bucket: len(spaces) for bucket, spaces in self._spaces.items()}

    def popping(self, port: str) -> tuple[str, ...]:
        """Return the ports at which packets come in that a tunnel's port gets."""
        return self._popping.get(port, ())

    def before_translation(self, packet: Tuple) -> list[Tuple]:
        """Return what a packet was, in zones that made it what it is."""
        return self._before.get(packet, [])

    def ports(self, packet: Tuple) -> list[str]:
        """Return the ports where packets come in, first those where a megaflow saw such a one.

        A dump has the values of a megaflow's first packet beside masks of zero.
        """
        seen = self._seen.get((packet.source, packet.destination), set())
        every = {port for recirculation, port in self._spaces if not recirculation and port}
        return [*sorted(seen & every), *sorted(every - seen)]

    def matching(self, record: Record) -> list[Rule]:
        """Return the megaflows that may match a packet where it is now."""
        recirculation = record.metadata.get("recirc_id", 0)
        return [
            rule
            for port in (record.in_port, EVERY)
            for space in self._spaces.get((recirculation, port), {}).values()
            for rule in space.matching(record)
        ]

    def tracked(self, zone: int, packet: Tuple) -> Tracked | None:
        """Return the connection of a packet; None: there is none in this zone."""
        return self._tracked.get((zone, packet))


def _popping(rules: Iterable[Rule]) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for rule in rules:
        for action in rule.megaflow.actions:
            if action.name == "tnl_pop":
                found[action.argument].add(rule.bucket[1])
    return {port: tuple(sorted(ports)) for port, ports in found.items()}


def _seen(
    rules: Iterable[Rule], popping: Mapping[str, tuple[str, ...]]
) -> dict[tuple[int, int], set[str]]:
    """Return by source and destination the ports where packets of them came in."""
    found: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for rule in rules:
        if rule.ends is not None:
            port = rule.bucket[1]
            found[rule.ends] |= set(popping.get(port, (port,)))
    return dict(found)


def _ends(match: Mapping[str, Part]) -> tuple[int, int] | None:
    """Return source and destination of a megaflow's first packet; None: it was not IP."""
    for version in ("ipv4", "ipv6"):
        source, destination = match.get(f"{version}.src"), match.get(f"{version}.dst")
        if source is not None and destination is not None:
            return int(source.value), int(destination.value)
    return None
