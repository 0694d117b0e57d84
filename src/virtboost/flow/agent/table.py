"""The entries that are installed: what each depends on, its slot, and what it counted.

A slot is used again only when no packet can still be in the program with the entry that had it:
after ``GRACE_NS``, and a packet is there for microseconds.  Until then its counts are read on.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from virtboost.flow import abi
from virtboost.flow.dataplane import NotLoaded
from virtboost.flow.encode import Encoded
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.megaflow import Megaflow
from virtboost.flow.packet import Packet
from virtboost.flow.protocol import IPV4

OPEN, CLOSED = 1, 0
"""Epochs: of every entry, and of the gate where none is carried out."""

GONE_MOST = 10_000
"""Megaflows whose packets are told; in the total they stay."""

GRACE_NS = 1_000_000_000


TAKEN = "its answer, or what it answers, has another entry"
"""As where frames of one connection come with a VLAN tag and without."""

NO_MEMORY = "the kernel has no memory"

ENDED = "it ended meanwhile"


class Plane(Protocol):
    """The data plane, as far as this goes."""

    def install(self, key: abi.Key, entry: abi.Entry) -> None:
        """Put an entry in."""

    def remove(self, key: abi.Key) -> None:
        """Take it out."""

    def forget(self, key: abi.Key) -> None:
        """Count its misses anew."""

    def ended(self, key: abi.Key) -> bool:
        """Tell whether a FIN or RST was among its misses."""

    def clear(self, slot: int) -> None:
        """Make a state new."""

    def state(self, slot: int) -> abi.State:
        """Return a state."""

    def states(self, count: int) -> Sequence[abi.State]:
        """Return the first states."""


class Counted(Struct):
    """Packets and bytes."""

    packets: int = 0
    bytes: int = 0

    def add(self, packets: int, size: int) -> None:
        """Add some."""
        self.packets += packets
        self.bytes += size


class Side(Struct, kw_only=True, eq=False):
    """One direction of a connection."""

    entry: IntegratedEntry
    encoded: Encoded
    flows: tuple[str, ...]
    """Identities of its megaflows."""
    others: tuple[str, ...]
    """Lines of its connections, and its devices."""
    counted: Counted
    """What of its state is attributed to its megaflows."""
    marked: int = 0
    """Packets when ``packets_per_s`` was made."""
    packets_per_s: float = 0.0
    sampled_ns: int = 0
    """When a packet was compared last."""

    @property
    def slot(self) -> int:
        """Its place in the states."""
        return int(self.encoded.entry.slot)


class Pair(Struct, kw_only=True, eq=False):
    """Both directions of a connection; one, where there is no connection."""

    packet: Packet
    """Of the first side."""
    sides: tuple[Side, ...]
    punted_ns: int = 0
    """When a packet was asked for last, so that conntrack keeps the connection."""

    @property
    def needs(self) -> set[str]:
        """What must stay as it is."""
        return {need for side in self.sides for need in (*side.flows, *side.others)}


class Table:
    """Pairs by what they depend on."""

    def __init__(self, plane: Plane, size: int) -> None:
        """Begin without any; ``size`` is the number of entries."""
        self._plane = plane
        self._free = list(range(size - 1, -1, -1))
        self._high = 1
        self._limbo: list[tuple[int, Side]] = []
        self._keys: dict[bytes, Pair] = {}
        self.users: defaultdict[str, set[Pair]] = defaultdict(set)
        """Pairs by what they need."""
        self.pairs: set[Pair] = set()
        self.carried: defaultdict[str, Counted] = defaultdict(Counted)
        """What entries took, by megaflow."""
        self.total = Counted()
        """What entries took, in all."""
        self.removed = 0
        self._rated_ns = 0

    def __contains__(self, key: abi.Key) -> bool:
        """Tell whether a key has an entry."""
        return bytes(key) in self._keys

    def has(self, side: Side) -> bool:
        """Tell whether a side is installed, as it is."""
        pair = self._keys.get(bytes(side.encoded.key))
        return pair is not None and side in pair.sides

    @property
    def entries(self) -> int:
        """How many are installed."""
        return len(self._keys)

    def slots(self, count: int) -> list[int]:
        """Return slots to use, cleared, or none where there are not as many."""
        if len(self._free) < count:
            return []
        found = [self._free.pop() for _ in range(count)]
        for slot in found:
            self._plane.clear(slot)
        self._high = max(self._high, *(slot + 1 for slot in found))
        return found

    def add(self, pair: Pair, now_ns: int) -> str:
        """Install all sides of a pair, or none and give its slots back; return why none.

        From then on a FIN or RST ends them; one that came before, as after the dump, does it here.
        """
        keys = {bytes(side.encoded.key): pair for side in pair.sides}
        if len(keys) < len(pair.sides) or keys.keys() & self._keys.keys():
            self._give_back(pair)
            return TAKEN
        try:
            for side in pair.sides:
                self._plane.install(*side.encoded)
        except NotLoaded:
            for side in pair.sides:
                self._plane.remove(side.encoded.key)
            self._give_back(pair)
            return NO_MEMORY
        self._keys |= keys
        self.pairs.add(pair)
        for need in pair.needs:
            self.users[need].add(pair)
        if any(self._plane.ended(side.encoded.key) for side in pair.sides):
            self.remove(pair, now_ns)
            return ENDED
        return ""

    def _give_back(self, pair: Pair) -> None:
        self._free += [side.slot for side in pair.sides]

    def remove(self, pair: Pair, now_ns: int) -> None:
        """Take a pair out; its slots wait."""
        for side in pair.sides:
            self._plane.remove(side.encoded.key)
            self._plane.forget(side.encoded.key)
            del self._keys[bytes(side.encoded.key)]
            self._limbo.append((now_ns + GRACE_NS, side))
        self.pairs.discard(pair)
        self.removed += len(pair.sides)
        for need in pair.needs:
            self.users[need].discard(pair)
            if not self.users[need]:
                del self.users[need]

    def closed(self, pair: Pair) -> bool:
        """Tell whether a FIN or RST came to either side while it was installed."""
        return any(self._plane.state(side.slot).closed for side in pair.sides)

    def ask_for_packet(self, side: Side) -> None:
        """Have the next packet of a side pass."""
        side.encoded.entry.punt += 1
        self._plane.install(*side.encoded)

    def only_observe(self) -> None:
        """Have every packet pass from now on, and count them."""
        for pair in self.pairs:
            for side in pair.sides:
                side.encoded.entry.changes |= abi.OBSERVE
                self._plane.install(*side.encoded)

    def count(self, now_ns: int) -> Sequence[abi.State]:
        """Attribute what was counted since the last time; return the states by slot."""
        states = self._plane.states(self._high)
        for pair in self.pairs:
            for side in pair.sides:
                self._attribute(side, states[side.slot])
        waiting, self._limbo = self._limbo, []
        for ready_ns, side in waiting:
            self._attribute(side, states[side.slot])
            if now_ns < ready_ns:
                self._limbo.append((ready_ns, side))
            else:
                self._free.append(side.slot)
        return states

    def _attribute(self, side: Side, state: abi.State) -> None:
        packets = state.packets - side.counted.packets
        size = state.bytes - side.counted.bytes
        if not packets:
            return
        side.counted.add(packets, size)
        self.total.add(packets, size)
        changes = growth(side.entry.megaflows, taken_off(side.entry))
        for flow, grown in zip(side.flows, changes, strict=True):
            self.carried[flow].add(packets, size + grown * packets)

    def ages_s(self, states: Sequence[abi.State], now_ns: int) -> dict[str, float]:
        """Return by megaflow how long ago an entry took a packet of it."""
        found: dict[str, float] = {}
        for pair in self.pairs:
            for side in pair.sides:
                age = (now_ns - states[side.slot].used_ns) / 1e9
                for flow in side.flows if side.counted.packets else ():
                    found[flow] = min(age, found.get(flow, age))
        return found

    def rate(self, now_ns: int) -> None:
        """Note packets per second of each side since the last time."""
        duration_s = (now_ns - self._rated_ns) / 1e9
        self._rated_ns = now_ns
        for pair in self.pairs:
            for side in pair.sides:
                side.packets_per_s = (side.counted.packets - side.marked) / duration_s
                side.marked = side.counted.packets

    def busiest(self, count: int) -> list[Side]:
        """Return the sides with the most packets lately."""
        sides = (side for pair in self.pairs for side in pair.sides)
        return heapq.nlargest(count, sides, key=lambda side: side.packets_per_s)

    def prune(self, present: Container[str]) -> None:
        """Forget what was taken of megaflows that are gone, where these are too many to be told."""
        if len(self.carried) > GONE_MOST:
            for flow in [each for each in self.carried if each not in present]:
                if flow not in self.users:
                    del self.carried[flow]

    def missing(self, present: Mapping[str, object]) -> list[Pair]:
        """Return the pairs that need what is not there."""
        lost = [need for need in self.users if need not in present]
        return list({pair for need in lost for pair in self.users[need]})


def growth(flows: Sequence[Megaflow], taken_off: int = 0) -> Iterator[int]:
    """Yield by how many bytes a packet is longer at each lookup than it came.

    Args:
        flows: What it is looked up in.
        taken_off: Bytes that were taken off before the first lookup.
    """
    grown = -taken_off
    for flow in flows:
        yield grown
        for action in flow.actions:
            if action.name == "tnl_pop":
                outer = next((f.match for f in flows), {})
                grown -= 50 if outer["eth_type"].value == IPV4 else 70
            elif action.name in ("push_vlan", "pop_vlan"):
                grown += 4 if action.name == "push_vlan" else -4


def taken_off(entry: IntegratedEntry) -> int:
    """Return the bytes of the outer header that the kernel's stack, no megaflow, takes off."""
    names = (action.name for flow in entry.megaflows for action in flow.actions)
    if not entry.transposition.pop or "tnl_pop" in names:
        return 0
    outer = {part.name: part.value for part in entry.match}["outer.eth_type"]
    return 50 if outer == IPV4 else 70
