"""A packet on its way: for each bit of each field, whether it is the original's or a constant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from virtboost.flow.field import Part, full
from virtboost.flow.packet import Packet

Source = tuple[int, str]
"""A field of the packet as it came: header stack, outermost 0, and name."""


class Symbol(Struct, frozen=True):
    """What a field holds now."""

    source: Source | None
    """The original field that bits outside ``mask`` are of; None: made for each packet."""
    mask: int = 0
    """Bits that are constant."""
    value: int = 0
    """The constant bits."""


class Known(Struct, frozen=True):
    """Bits of a value that are known."""

    mask: int
    value: int


NOTHING = Known(0, 0)

METADATA = frozenset(
    (
        *("recirc_id", "dp_hash", "skb_priority", "skb_mark", "packet_type.ns", "packet_type.id"),
        *("ct_state", "ct_zone", "ct_mark", "ct_label"),
        *(f"ct_tuple4.{part}" for part in ("src", "dst", "proto", "tp_src", "tp_dst")),
        *(f"ct_tuple6.{part}" for part in ("src", "dst", "proto", "src_port", "dst_port")),
    )
)
"""What is of the datapath and not of the packet."""

OUTER: Mapping[str, str] = {
    "tunnel.src": "ipv4.src",
    "tunnel.dst": "ipv4.dst",
    "tunnel.tos": "ipv4.tos",
    "tunnel.ttl": "ipv4.ttl",
    "tunnel.ipv6_src": "ipv6.src",
    "tunnel.ipv6_dst": "ipv6.dst",
    "tunnel.tp_src": "udp.src",
    "tunnel.tp_dst": "udp.dst",
    "tunnel.tun_id": "tunnel.tun_id",
    "tunnel.flags": "tunnel.flags",
}
"""Metadata of a tunnel, and the outer header's field that each is."""


class Record:
    """The symbolic packet of a composition."""

    def __init__(self, packet: Packet) -> None:
        """Begin with a packet as it comes."""
        self.in_port = packet.in_port
        self.level = 0
        self.metadata: dict[str, int] = {}
        self.guards: dict[Source, Known] = {}
        self._symbols: dict[str, Symbol] = {}
        self._original: dict[Source, Known] = {
            (level, name): Known(full(name), value)
            for level, stack in enumerate(packet.headers)
            for name, value in stack.items()
        }
        self._popped = packet.tunnel is not None
        for name, value in (packet.tunnel or {}).items():
            self._original[-1, name] = Known(full(name), value)

    def known(self, name: str) -> Known:
        """Return the bits of a field that are known now."""
        if name in METADATA:
            return Known(full(name), self.metadata.get(name, 0))
        symbol = self._symbol(name)
        original = self._original.get(symbol.source, NOTHING) if symbol.source else NOTHING
        rest = original.mask & ~symbol.mask
        return Known(symbol.mask | rest, symbol.value | original.value & rest)

    def accepts(self, part: Part) -> bool:
        """Tell whether a part of a match may hold: no known bit speaks against it."""
        if isinstance(part.value, str):
            return part.name != "in_port" or part.value == self.in_port
        known = self.known(part.name)
        return (known.value ^ part.value) & part.mask & known.mask == 0

    def may_match(self, parts: Iterable[Part]) -> bool:
        """Tell whether a match may hold: no known bit speaks against any part."""
        return all(self.accepts(part) for part in parts)

    def matches(self, parts: Iterable[Part]) -> bool:
        """Tell whether a match holds, by bits that are all known."""
        return all(self._knows(part) and self.accepts(part) for part in parts)

    def _knows(self, part: Part) -> bool:
        return part.name == "in_port" or self.known(part.name).mask & part.mask == part.mask

    def require(self, part: Part) -> bool:
        """Guard the original's bits that a match is about; tell whether that can be done."""
        if part.name in METADATA or part.name == "in_port" or isinstance(part.value, str):
            return True
        symbol = self._symbol(part.name)
        rest = part.mask & ~symbol.mask
        if rest and symbol.source is None:
            return False
        if rest and symbol.source is not None:
            for known in (self.guards, self._original):
                before = known.get(symbol.source, NOTHING)
                known[symbol.source] = Known(
                    before.mask | rest, before.value & ~rest | part.value & rest
                )
        return True

    def require_known(self, name: str) -> bool:
        """Guard a field at the value that it has; tell whether it has one."""
        known, whole = self.known(name), full(name)
        return known.mask == whole and self.require(Part(name, known.value, whole))

    def set(self, name: str, value: int, mask: int | None = None) -> None:
        """Make a field, or some bits, a constant."""
        symbol, bits = self._symbol(name), full(name) if mask is None else mask
        self._symbols[name] = Symbol(
            symbol.source, symbol.mask | bits, symbol.value & ~bits | value & bits
        )

    def pop(self, in_port: str) -> None:
        """Take the outer header stack off; it becomes the tunnel's metadata."""
        outer = self._symbols
        self._symbols = {
            name: outer.get(source, Symbol((self.level, source))) for name, source in OUTER.items()
        }
        self.level += 1
        self._popped = True
        self.in_port = in_port

    def push(self, fields: Mapping[str, int]) -> None:
        """Put an outer header stack on, of constants; what it lacks is made for each packet."""
        self._symbols = _Pushed((name, Symbol(None, full(name), v)) for name, v in fields.items())

    def rewritten(self) -> Iterator[tuple[str, Symbol]]:
        """Yield the fields of the present header stack that are constant in some bits."""
        for name, symbol in self._symbols.items():
            if symbol.mask and not name.startswith("tunnel."):
                yield name, symbol

    def exact(self, name: str) -> int | None:
        """Return the value that a guard holds an original field at; None: it may differ."""
        guard = self.guards.get((self.level, name), NOTHING)
        return guard.value if guard.mask == full(name) else None

    def _symbol(self, name: str) -> Symbol:
        found = self._symbols.get(name)
        if found is not None:
            return found
        if isinstance(self._symbols, _Pushed):
            return Symbol(None)
        if name.startswith("tunnel."):
            return Symbol((-1, name)) if self._popped else Symbol(None, full(name), 0)
        return Symbol((self.level, name))


class _Pushed(dict[str, Symbol]):
    """Symbols of a header stack that was not in the packet."""
