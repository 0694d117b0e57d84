"""A datapath at one moment: its megaflows and connections, to be looked up as it does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from virtboost.flow.connection import Connection, Tuple
from virtboost.flow.entry import Tracked
from virtboost.flow.field import Part
from virtboost.flow.megaflow import Megaflow
from virtboost.flow.record import Record

Mask = tuple[tuple[str, int], ...]
"""Fields that megaflows of one tuple space match on, with their masks."""

Bucket = tuple[int, str]
"""Recirculation and port."""

EVERY = ""
"""The port of megaflows that match on none."""


class Rule:
    """A megaflow with the parts that it matches on."""

    __slots__ = ("megaflow", "parts", "recirculation")

    def __init__(self, megaflow: Megaflow) -> None:
        """Take the match of a megaflow apart."""
        match = megaflow.match
        recirculation = match.pop("recirc_id", None)
        self.recirculation = 0 if recirculation is None else recirculation.value
        self.megaflow = megaflow
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


class Datapath:
    """Megaflows by recirculation, port and mask, and connections by zone and direction."""

    def __init__(self, flows: Iterable[Megaflow], connections: Iterable[Connection] = ()) -> None:
        """Index a dump."""
        self._spaces: defaultdict[
            Bucket, defaultdict[Mask, defaultdict[tuple[int, ...], list[Rule]]]
        ]
        self._spaces = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        self.rules = [Rule(flow) for flow in flows]
        for rule in self.rules:
            numbers = [p for p in rule.parts if isinstance(p.value, int)]
            mask = tuple((part.name, part.mask) for part in numbers)
            values = tuple(int(part.value) & part.mask for part in numbers)
            self._spaces[rule.bucket][mask][values].append(rule)
        self._tracked: dict[tuple[int, Tuple], Tracked] = {}
        self.connections = list(connections)
        for each in self.connections:
            self._tracked[each.zone, each.reply] = Tracked(connection=each, reply=True)
        for each in self.connections:
            self._tracked[each.zone, each.original] = Tracked(connection=each, reply=False)

    @property
    def masks(self) -> int:
        """How many tuple spaces the datapath has to look in, over all ports."""
        return len({mask for spaces in self._spaces.values() for mask in spaces})

    def ports(self) -> list[str]:
        """Return the ports where packets come in that were not looked up before."""
        return sorted({port for recirculation, port in self._spaces if not recirculation and port})

    def matching(self, record: Record) -> list[Rule]:
        """Return the megaflows that may match a packet where it is now."""
        recirculation = record.metadata.get("recirc_id", 0)
        return [
            rule
            for port in (record.in_port, EVERY)
            for rule in self._in_bucket((recirculation, port), record)
        ]

    def tracked(self, zone: int, packet: Tuple) -> Tracked | None:
        """Return the connection of a packet; None: there is none in this zone."""
        return self._tracked.get((zone, packet))

    def _in_bucket(self, bucket: Bucket, record: Record) -> Iterator[Rule]:
        spaces = self._spaces.get(bucket)
        for mask, rules in spaces.items() if spaces else ():
            values = _values(mask, record)
            if values is not None:
                yield from rules.get(values, ())
                continue
            for found in rules.values():
                yield from (rule for rule in found if _accepted(rule.parts, record))


def _values(mask: Mask, record: Record) -> tuple[int, ...] | None:
    """Return what a packet has under a mask; None: some of it is not known."""
    values = []
    for name, bits in mask:
        known = record.known(name)
        if known.mask & bits != bits:
            return None
        values.append(known.value & bits)
    return tuple(values)


def _accepted(parts: Iterable[Part], record: Record) -> bool:
    return all(record.accepts(part) for part in parts)
