"""The table of entries: both directions or none, slots, what is attributed to which megaflow."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from virtboost.flow import abi
from virtboost.flow.agent import table as table_module
from virtboost.flow.agent.table import GRACE_NS, Counted, Pair, Side, Table, growth, taken_off
from virtboost.flow.dataplane import NotLoaded
from virtboost.flow.encode import Encoded
from virtboost.flow.entry import IntegratedEntry, Transposition
from virtboost.flow.field import Part
from virtboost.flow.megaflow import Megaflow, read_flows
from virtboost.flow.packet import Packet

COUNTERS = "packets:0, bytes:0, used:never, actions:"


class FakePlane:
    """A data plane of which a test says what it counts, and when it has no memory."""

    def __init__(self, room: int = 100) -> None:
        self.entries: dict[bytes, abi.Entry] = {}
        self.counts = [abi.State() for _ in range(8)]
        self.room = room
        self.over: set[int] = set()
        """Ports of keys that had a FIN."""

    def install(self, key: abi.Key, entry: abi.Entry) -> None:
        if len(self.entries) >= self.room:
            raise NotLoaded("local", "map flows: ENOMEM")
        self.entries[bytes(key)] = entry

    def remove(self, key: abi.Key) -> None:
        self.entries.pop(bytes(key), None)

    def forget(self, key: abi.Key) -> None:
        self.forgotten = bytes(key)

    def ended(self, key: abi.Key) -> bool:
        return key.port in self.over

    def clear(self, slot: int) -> None:
        self.counts[slot] = abi.State()

    def state(self, slot: int) -> abi.State:
        return self.counts[slot]

    def states(self, count: int) -> Sequence[abi.State]:
        return self.counts[:count]


def megaflows(*lines: str) -> tuple[Megaflow, ...]:
    return tuple(read_flows(lines, "flows"))


ONE = megaflows(f"recirc_id(0),in_port(a),eth_type(0x0800), {COUNTERS}b")


def side(number: int, slot: int, flows: tuple[Megaflow, ...] = ONE) -> Side:
    entry = IntegratedEntry(
        in_port="a", match=(), transposition=Transposition(), megaflows=flows, connections=(),
        ports=(), steps=(),
    )  # fmt: skip
    encoded = Encoded(abi.Key(port=number), abi.Entry(slot=slot))
    names = tuple(flow.text for flow in flows)
    return Side(
        entry=entry, encoded=encoded, flows=names, others=(f"c{number}",), counted=Counted()
    )


def pair(*sides: Side) -> Pair:
    return Pair(packet=Packet(in_port="a", headers=()), sides=sides)


@pytest.mark.parametrize("over", [1, 2])
def test_a_connection_that_ends_while_it_is_installed_has_no_entries(over: int) -> None:
    plane = FakePlane()
    table = Table(plane, 4)
    slots = table.slots(2)
    plane.over = {over}
    assert table.add(pair(side(1, slots[0]), side(2, slots[1])), 0) == table_module.ENDED
    assert (plane.entries, table.pairs, table.entries) == ({}, set(), 0)
    table.count(GRACE_NS)
    assert len(table.slots(4)) == 4


def test_a_side_that_closed_closes_its_pair() -> None:
    plane = FakePlane()
    table = Table(plane, 4)
    slots = table.slots(2)
    both = pair(side(1, slots[0]), side(2, slots[1]))
    table.add(both, 0)
    assert not table.closed(both)
    plane.counts[slots[1]].closed = 1
    table.remove(both, 0)
    assert table.closed(both)


def test_both_or_none() -> None:
    plane = FakePlane(room=1)
    table = Table(plane, 4)
    slots = table.slots(2)
    assert table.add(pair(side(1, slots[0]), side(2, slots[1])), 0) == table_module.NO_MEMORY
    assert (plane.entries, table.entries, table.pairs) == ({}, 0, set())
    assert len(table.slots(4)) == 4


@pytest.mark.parametrize("keys", [(2, 3), (3, 3)])
def test_a_key_is_of_one_pair(keys: tuple[int, int]) -> None:
    """As where frames of one connection come with a VLAN tag and without: one answer, two questions."""
    table = Table(FakePlane(), 8)
    first, second = table.slots(2), table.slots(2)
    installed = pair(side(1, first[0]), side(2, first[1]))
    assert table.add(installed, 0) == ""
    assert (
        table.add(pair(side(keys[0], second[0]), side(keys[1], second[1])), 0) == table_module.TAKEN
    )
    table.remove(installed, 0)
    assert (table.entries, dict(table.users)) == (0, {})


def test_a_slot_is_used_again_after_the_grace_and_its_last_packets_count() -> None:
    plane = FakePlane()
    table = Table(plane, 1)
    (slot,) = table.slots(1)
    installed = pair(side(1, slot))
    table.add(installed, 0)
    table.remove(installed, 0)
    plane.counts[slot].packets, plane.counts[slot].bytes = 3, 300  # was in the program meanwhile
    assert table.slots(1) == []
    table.count(GRACE_NS - 1)
    assert table.slots(1) == []
    table.count(GRACE_NS)
    assert table.slots(1) == [slot]
    assert (table.total.packets, table.total.bytes, table.removed) == (3, 300, 1)
    assert table.carried[ONE[0].text].packets == 3


def test_what_a_lookup_sees_of_a_packet() -> None:
    """Outer headers of VXLAN are 50 bytes over IPv4 and 70 over IPv6; a tag is 4."""
    inner = f"recirc_id(0),in_port(vx),eth_type(0x0800), {COUNTERS}pop_vlan,recirc(1)"
    last = f"recirc_id(1),in_port(vx),eth_type(0x0800), {COUNTERS}a"
    for kind, outer in (("0x0800", 50), ("0x86dd", 70)):
        first = f"recirc_id(0),in_port(a),eth_type({kind}), {COUNTERS}tnl_pop(vx)"
        assert list(growth(megaflows(first, inner, last))) == [0, -outer, -outer - 4]


@pytest.mark.parametrize(("kind", "outer"), [(0x0800, 50), (0x86DD, 70)])
def test_the_kernels_stack_takes_a_header_off_first(kind: int, outer: int) -> None:
    """VXLAN, UDP and Ethernet are 30 bytes, IPv4 20, IPv6 40 (RFC 7348)."""
    entry = side(1, 0).entry
    assert taken_off(entry) == 0
    match = (Part("outer.eth_type", kind, 0xFFFF),)
    popping = replace(entry, match=match, transposition=Transposition(pop=1))
    assert taken_off(popping) == outer
    assert list(growth(ONE, outer)) == [-outer]
    userspace = megaflows(f"recirc_id(0),in_port(a),eth_type(0x0800), {COUNTERS}tnl_pop(vx)")
    assert taken_off(replace(popping, megaflows=userspace)) == 0


def test_missing() -> None:
    table = Table(FakePlane(), 4)
    slots = table.slots(2)
    pairs = [pair(side(number, slot)) for number, slot in enumerate(slots)]
    for each in pairs:
        table.add(each, 0)
    there = {ONE[0].text: 1, "c0": 1, "c1": 1}
    assert table.missing(there) == []
    assert table.missing({**there, "c2": 1}) == []
    del there["c1"]
    assert table.missing(there) == [pairs[1]]
    assert table.missing({"c0": 1, "c1": 1}) != []


def test_a_packet_is_asked_for_by_number() -> None:
    plane = FakePlane()
    table = Table(plane, 1)
    (slot,) = table.slots(1)
    one = side(1, slot)
    table.add(pair(one), 0)
    for number in (1, 2):
        table.ask_for_packet(one)
        assert plane.entries[bytes(one.encoded.key)].punt == number
