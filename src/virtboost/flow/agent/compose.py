"""A packet and a dump -> the pair of entries of its connection, or why there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from virtboost.flow import abi
from virtboost.flow.agent.dump import identity
from virtboost.flow.agent.table import OPEN, Counted, Pair, Side
from virtboost.flow.compose import compose_both
from virtboost.flow.connection import Connection
from virtboost.flow.datapath import Datapath
from virtboost.flow.dataplane import FOREVER_NS
from virtboost.flow.encode import Encoded, Port, encode
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.packet import Packet
from virtboost.flow.protocol import TCP
from virtboost.flow.refusal import Refusal, Refused
from virtboost.flow.underlay import Underlay, far_end, inside, on_the_wire, require_bytes

WINDOW = "its TCP window is checked: --tcp-window strict"

NO_ROOM = "--max-entries are installed"


class Composer(Struct, frozen=True, kw_only=True):
    """A dump, and what may be made of it."""

    datapath: Datapath
    lines: Mapping[Connection, str]
    """The connections' lines."""
    ports: Mapping[str, Port]
    """Devices that may be redirected to."""
    way: Callable[[str], Underlay] | None
    """Of tunnels of the kernel's datapath; None: the datapath makes their headers itself."""
    liberal: bool
    observe: bool

    def pair(self, packet: Packet, slots: Callable[[int], list[int]]) -> Pair | str:
        """Return the entries of both directions, or why not.

        Args:
            packet: Of one direction.
            slots: Gives as many slots as it is asked for, or none.
        """
        if self.way is not None and len(packet.headers) > 1:
            packet = inside(packet)
        both = compose_both(packet, self.datapath)
        for each in (both.forward, both.reverse):
            if isinstance(each, Refusal):
                return _reason(each)
        if not both.installable or not isinstance(both.forward, IntegratedEntry):
            return "its answer has no way back"
        entries = [both.forward]
        entries += [both.reverse] if isinstance(both.reverse, IntegratedEntry) else []
        if not self.liberal and any(_is_tracked_tcp(each) for each in entries):
            return WINDOW
        try:
            return self._encoded(packet, entries, slots)
        except Refused as refused:
            return _reason(refused.refusal)

    def _encoded(
        self, packet: Packet, entries: list[IntegratedEntry], slots: Callable[[int], list[int]]
    ) -> Pair | str:
        entries, ways = self._of_devices(packet, entries)
        encoded = [self._encode(entry) for entry in entries]
        own = slots(len(entries))
        if not own:
            return NO_ROOM
        for made, slot, peer in zip(encoded, own, reversed(own), strict=True):
            made.entry.slot, made.entry.peer = slot, peer
        sides = tuple(self._side(*each, ways) for each in zip(entries, encoded, strict=True))
        return Pair(packet=packet, sides=sides)

    def _of_devices(
        self, packet: Packet, entries: list[IntegratedEntry]
    ) -> tuple[list[IntegratedEntry], tuple[str, ...]]:
        """Return entries that begin and end at devices, and the ways that they take."""
        if self.way is None:
            return entries, ()
        for entry in entries:
            require_bytes(entry)
        end = far_end(packet, entries)
        if end is None:
            return entries, ()
        way = self.way(end)
        return [on_the_wire(entry, way) for entry in entries], (way_line(way),)

    def _encode(self, entry: IntegratedEntry) -> Encoded:
        """Return an entry that has no slot yet."""
        made = encode(entry, self.ports, epoch=OPEN, lease_ns=FOREVER_NS, slot=0, peer=0)
        if self.observe:
            made.entry.changes |= abi.OBSERVE
        return made

    def _side(self, entry: IntegratedEntry, encoded: Encoded, ways: tuple[str, ...]) -> Side:
        return Side(
            entry=replace(entry, steps=()),  # there are many
            encoded=encoded,
            flows=tuple(sys.intern(identity(flow.text)) for flow in entry.megaflows),
            others=(
                *(self.lines[each.connection] for each in entry.connections),
                *(device_line(name, self.ports[name]) for name in _devices(entry)),
                *ways,
            ),
            counted=Counted(),
        )


def _devices(entry: IntegratedEntry) -> set[str]:
    output = entry.transposition.output
    return {entry.in_port} if output is None else {entry.in_port, output}


def device_line(name: str, port: Port) -> str:
    """Return what an entry needs of a device: that it is there, with its number and its MTU."""
    return f"device {name} {port.ifindex} {port.mtu_bytes}"


def way_line(way: Underlay) -> str:
    """Return what an entry needs of a way: that it is as it was."""
    return f"way {way}"


def _is_tracked_tcp(entry: IntegratedEntry) -> bool:
    return any(each.connection.original.protocol == TCP for each in entry.connections)


def _reason(refusal: Refusal) -> str:
    return f"R{refusal.reason:02d}"
