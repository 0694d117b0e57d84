"""Match fields of the datapath: a table of their parts, and the decoders of their values.

A value is a whole number with a mask, whatever it stands for, so that matching is arithmetic; a
port is its name.  Source: ``odp-util.c`` and ovs-fields(7) of Open vSwitch, 2.9 to 4.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from msgspec import Struct

from virtboost.flow.text import Malformed, items, pairs

Value = int | str


class Part(Struct, frozen=True, gc=False):
    """One value of a field that was matched."""

    name: str
    """``ipv4.src``; a field with one value has the field's name."""
    value: Value
    """A number, or the name of a port."""
    mask: int
    """Bits of the value that count; 0: none, which the dump shows as a sample."""


class Field(Struct, frozen=True, gc=False):
    """A field of a match as the dump has it."""

    name: str
    parts: tuple[Part, ...]
    inner: tuple[Field, ...] = ()
    """Of ``encap``: the fields behind a VLAN tag."""


class Kind(Struct, frozen=True):
    """How a value is written."""

    bits: int
    read: Callable[[str, int], tuple[Value, int]]
    """Text and bits to value and mask."""


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        if text.isdecimal():
            return int(text)
        raise Malformed(f"not a number: {text[:40]!r}") from None


def _integer(text: str, bits: int) -> tuple[Value, int]:
    value, slash, mask = text.partition("/")
    full = (1 << bits) - 1
    number = _number(value)
    covered = _number(mask) if slash else full
    if number > full or covered > full or number < 0:
        raise Malformed(f"more than {bits} bits: {text[:40]!r}")
    return number, covered


_MAC = re.compile(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){5}")


def mac(text: str) -> int:
    """Return a MAC address as a number.

    Raises:
        Malformed: It is none.
    """
    if _MAC.fullmatch(text) is None:
        raise Malformed(f"not a MAC address: {text[:40]!r}")
    if len(text) < 17:
        text = ":".join(octet.zfill(2) for octet in text.split(":"))
    return int(text.replace(":", ""), 16)


def _ethernet(text: str, bits: int) -> tuple[Value, int]:
    value, slash, mask = text.partition("/")
    return mac(value), mac(mask) if slash else (1 << bits) - 1


def _ipv4(text: str) -> int:
    octets = text.split(".")
    if len(octets) != 4 or not all(octet.isdecimal() and len(octet) < 4 for octet in octets):
        raise Malformed(f"not an address: {text[:45]!r}")
    first, second, third, fourth = map(int, octets)
    if max(first, second, third, fourth) > 255:
        raise Malformed(f"not an address: {text[:45]!r}")
    return first << 24 | second << 16 | third << 8 | fourth


def _ipv6(text: str) -> int:
    try:
        return int(IPv6Address(text))
    except AddressValueError:
        raise Malformed(f"not an address: {text[:45]!r}") from None


def _address(number: Callable[[str], int]) -> Callable[[str, int], tuple[Value, int]]:
    def read(text: str, bits: int) -> tuple[Value, int]:
        value, slash, mask = text.partition("/")
        full = (1 << bits) - 1
        if not slash:
            return number(value), full
        if mask.isdecimal() and int(mask) <= bits:
            return number(value), full ^ (full >> int(mask))
        return number(value), number(mask)

    return read


def _port(text: str, bits: int) -> tuple[Value, int]:
    value, slash, mask = text.partition("/")
    if not value:
        raise Malformed("a port without a name")
    return value, _number(mask) if slash else (1 << bits) - 1


def _text(text: str, bits: int) -> tuple[Value, int]:
    return text, (1 << bits) - 1


def _flags(names: Mapping[str, int]) -> Callable[[str, int], tuple[Value, int]]:
    signs = re.compile(r"([+-])([a-z0-9_]+)")

    def bit(name: str) -> int:
        if name not in names:
            raise Malformed(f"unknown flag {name[:20]!r}")
        return names[name]

    def read(text: str, bits: int) -> tuple[Value, int]:
        if text[:1].isdigit():
            return _integer(text, bits)
        if text[:1] in "+-":
            found = signs.findall(text)
            if "".join(sign + name for sign, name in found) != text:
                raise Malformed(f"not flags: {text[:40]!r}")
            value = sum(bit(name) for sign, name in found if sign == "+")
            return value, sum(bit(name) for _, name in found)
        full = (1 << bits) - 1
        return sum(bit(name) for name in text.split("|") if name), full

    return read


def _words(names: Mapping[str, int]) -> Callable[[str, int], tuple[Value, int]]:
    def read(text: str, bits: int) -> tuple[Value, int]:
        value, slash, mask = text.partition("/")
        full = (1 << bits) - 1
        if value in names:
            return names[value], _number(mask) if slash else full
        return _integer(text, bits)

    return read


CT_STATE = {
    "new": 0x01, "est": 0x02, "rel": 0x04, "rpl": 0x08,
    "inv": 0x10, "trk": 0x20, "snat": 0x40, "dnat": 0x80,
}  # fmt: skip

TCP_FLAGS = {
    "fin": 0x001, "syn": 0x002, "rst": 0x004, "psh": 0x008, "ack": 0x010,
    "urg": 0x020, "ece": 0x040, "cwr": 0x080, "ns": 0x100,
}  # fmt: skip

TUNNEL_FLAGS = {"df": 0x1, "csum": 0x2, "key": 0x4, "oam": 0x8}

FRAGMENT = {"no": 0, "first": 1, "later": 2}

U3, U8, U16, U32 = (Kind(bits, _integer) for bits in (3, 8, 16, 32))
U1, U4, U12, U20 = (Kind(bits, _integer) for bits in (1, 4, 12, 20))
U64, U128 = Kind(64, _integer), Kind(128, _integer)
MAC = Kind(48, _ethernet)
IPV4, IPV6 = Kind(32, _address(_ipv4)), Kind(128, _address(_ipv6))
PORT = Kind(32, _port)
OPAQUE = Kind(1, _text)
STATE = Kind(8, _flags(CT_STATE))
TCP = Kind(12, _flags(TCP_FLAGS))
TUNNEL = Kind(16, _flags(TUNNEL_FLAGS))
FRAG = Kind(2, _words(FRAGMENT))

FIELDS: dict[str, Kind | dict[str, Kind]] = {
    "recirc_id": U32,
    "dp_hash": U32,
    "skb_priority": U32,
    "skb_mark": U32,
    "packet_type": {"ns": U16, "id": U16},
    "ct_state": STATE,
    "ct_zone": U16,
    "ct_mark": U32,
    "ct_label": U128,
    "ct_tuple4": {"src": IPV4, "dst": IPV4, "proto": U8, "tp_src": U16, "tp_dst": U16},
    "ct_tuple6": {
        "src": IPV6, "dst": IPV6, "proto": U8,
        "src_port": U16, "dst_port": U16,
    },
    "tunnel": {
        "tun_id": U64, "src": IPV4, "dst": IPV4, "ipv6_src": IPV6, "ipv6_dst": IPV6,
        "tos": U8, "ttl": U8, "tp_src": U16, "tp_dst": U16,
        "vxlan": OPAQUE, "geneve": OPAQUE, "gtpu": OPAQUE, "erspan": OPAQUE, "flags": TUNNEL,
    },
    "in_port": PORT,
    "eth": {"src": MAC, "dst": MAC},
    "vlan": {"vid": U12, "pcp": U3, "cfi": U1, "tci": U16, "tpid": U16},
    "eth_type": U16,
    "mpls": {"label": U20, "tc": U3, "ttl": U8, "bos": U1},
    "ipv4": {"src": IPV4, "dst": IPV4, "proto": U8, "tos": U8, "ttl": U8, "frag": FRAG},
    "ipv6": {
        "src": IPV6, "dst": IPV6, "label": U20, "proto": U8,
        "tclass": U8, "hlimit": U8, "frag": FRAG,
    },
    "ipv6_exthdr": U16,
    "tcp": {"src": U16, "dst": U16},
    "tcp_flags": TCP,
    "udp": {"src": U16, "dst": U16},
    "sctp": {"src": U16, "dst": U16},
    "icmp": {"type": U8, "code": U8},
    "icmpv6": {"type": U8, "code": U8},
    "arp": {"sip": IPV4, "tip": IPV4, "op": U16, "sha": MAC, "tha": MAC},
    "nd": {"target": IPV6, "sll": MAC, "tll": MAC},
    "nd_ext": {"nd_reserved": U32, "nd_options_type": U8},
    "nsh": {
        "flags": U8, "ttl": U8, "mdtype": U8, "np": U8, "spi": U32, "si": U8,
        "c1": U32, "c2": U32, "c3": U32, "c4": U32,
    },
}  # fmt: skip
"""Fields by name: one value, or parts by name."""


def kind_of(name: str) -> Kind:
    """Return how a part is written, by its full name."""
    field, _, part = name.partition(".")
    kind = FIELDS[field]
    return kind if isinstance(kind, Kind) else kind[part]


def bits_of(name: str) -> int:
    """Return how many bits a part has, by its full name."""
    return kind_of(name).bits


def full(name: str) -> int:
    """Return the mask of a whole part."""
    return (1 << bits_of(name)) - 1


_UNUSED = re.compile(r"key\d+\([0-9a-f ]+/[0 ]+")
"""A field that ovs-vswitchd is too old for, with a mask of 0 (``format_generic_odp_key``)."""


@lru_cache(maxsize=1 << 15)
def decode(name: str, argument: str) -> Field:
    """Return a field.

    Args:
        name: ``ipv4``.
        argument: What is in its parentheses.

    Raises:
        Malformed: There is no such field, or a value is none of its kind; the offset is that in
            ``argument``.
    """
    if name == "encap":
        return Field(name, (), tuple(decode(i[1], i[2] or "") for i in items(argument)))
    kind = FIELDS.get(name)
    if kind is None and _UNUSED.fullmatch(f"{name}({argument}"):
        return Field(name, ())
    if kind is None:
        raise Malformed(f"unknown match field {name[:30]!r}", -len(name) - 1)
    if isinstance(kind, Kind):
        return Field(name, (_part(name, argument),))
    if "(" in argument:
        return Field(name, tuple(_named(name, *pair) for pair in pairs(argument)))
    found, offset = [], 0
    for text in argument.split(",") if argument else ():
        key, _, value = text.partition("=")
        try:
            found.append(_part(f"{name}.{key}", value))
        except Malformed as error:
            raise Malformed(error.problem, offset) from None
        offset += len(text) + 1
    return Field(name, tuple(found))


def _named(name: str, key: str, text: str, offset: int) -> Part:
    try:
        return _part(f"{name}.{key}", text)
    except Malformed as error:
        raise Malformed(error.problem, offset) from None


@lru_cache(maxsize=1 << 17)
def _part(name: str, text: str) -> Part:
    field_name, _, key = name.partition(".")
    kinds = FIELDS[field_name]
    kind = kinds if isinstance(kinds, Kind) else kinds.get(key)
    if kind is None:
        raise Malformed(f"{field_name} has no {key[:30]!r}")
    try:
        return Part(name, *kind.read(text, kind.bits))
    except Malformed as error:
        raise Malformed(f"{name}: {error.problem}") from None
