"""Connections: ``ovs-appctl dpctl/dump-conntrack -m -s``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from msgspec import Struct

from virtboost.errors import ParseError
from virtboost.flow.protocol import IP_NAMES
from virtboost.flow.text import Malformed, Place, pairs, read_lines

PROTOCOLS = {name: number for number, name in IP_NAMES.items()}
"""Numbers of the names that a line begins with."""

TCP_STATES = frozenset(
    (
        *("CLOSED", "LISTEN", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1"),
        *("CLOSING", "LAST_ACK", "FIN_WAIT_2", "TIME_WAIT", "CLOSE", "SYN_SENT2", "NONE"),
    )
)
"""``ct_dpif_tcp_state_string`` of Open vSwitch, and what the kernel has besides."""


class Tuple(Struct, frozen=True, gc=False):
    """One direction of a connection.

    Of ICMP, ``source_port`` is the id and ``destination_port`` is type and code, 256 times the
    type: each direction has its own.
    """

    source: int
    destination: int
    """Addresses as numbers; ``version`` says how long."""
    version: int
    """4 or 6."""
    protocol: int
    source_port: int = 0
    destination_port: int = 0

    @property
    def turned(self) -> Tuple:
        """The same, from its destination to its source."""
        return Tuple(
            self.destination,
            self.source,
            self.version,
            self.protocol,
            self.destination_port,
            self.source_port,
        )

    def __str__(self) -> str:
        """Return it as a person writes it."""
        kind = IPv4Address if self.version == 4 else IPv6Address
        ports = (f":{self.source_port}", f":{self.destination_port}")
        source, destination = str(kind(self.source)), str(kind(self.destination))
        if self.version == 6:
            source, destination = f"[{source}]", f"[{destination}]"
        protocol = IP_NAMES.get(self.protocol, str(self.protocol))
        return f"{protocol} {source}{ports[0]} -> {destination}{ports[1]}"


class Connection(Struct, frozen=True, kw_only=True, gc=False):
    """A connection that is tracked."""

    place: Place
    original: Tuple
    reply: Tuple
    """As packets of the other direction are: with NAT, not ``original`` turned."""
    zone: int = 0
    mark: int = 0
    label: int = 0
    timeout_s: int | None = None
    """Seconds until it is forgotten; None: not in the dump (without ``-s``)."""
    tcp_states: tuple[str, ...] = ()
    """Of the two directions, or of the connection where the dump has one; empty: not TCP."""
    status: frozenset[str] = frozenset()
    """``SEEN_REPLY``, ``ASSURED``, ... of the kernel datapath; empty where there are none."""
    helper: str | None = None
    """An application layer gateway, such as ``ftp``; None: none."""
    parent: bool = False
    """Whether another connection was expected to open it."""


def read_connections(
    lines: Iterable[str], source: str, *, broken: list[ParseError] | None = None
) -> Iterator[Connection]:
    """Yield the connections of a dump, one line at a time.

    Args:
        lines: The dump.
        source: Where it comes from.
        broken: Gets the errors of lines that cannot be read, which are left out; None: the first
            ends the reading.

    Raises:
        ParseError: A line is no connection, with line and column.
    """
    return read_lines(lines, source, _connection, broken)


def _connection(line: str, place: Place) -> Connection | None:
    text = line.strip()
    if not text:
        return None
    protocol, _, _ = text.partition(",")
    number = PROTOCOLS.get(protocol) if not protocol.isdecimal() else int(protocol)
    if number is None:
        raise Malformed(f"not a connection: {text[:30]!r}")
    found = {key: (value, at) for key, value, at in pairs(text) if at}
    for key in ("orig", "reply"):
        if key not in found:
            raise Malformed(f"half a connection: no {key}=", len(text))
    return Connection(
        place=place,
        original=_tuple(number, *found["orig"]),
        reply=_tuple(number, *found["reply"]),
        zone=_number(found, "zone"),
        mark=_number(found, "mark"),
        label=_number(found, "labels"),
        timeout_s=_number(found, "timeout") if "timeout" in found else None,
        tcp_states=_states(found),
        status=_status(found),
        helper=found["helper"][0] if "helper" in found else None,
        parent="parent" in found,
    )


def _number(found: dict[str, tuple[str, int]], key: str) -> int:
    text, at = found.get(key, ("0", 0))
    try:
        return int(text.partition("/")[0], 0)
    except ValueError:
        raise Malformed(f"{key}: not a number: {text[:30]!r}", at) from None


def _tuple(protocol: int, text: str, at: int) -> Tuple:
    parts = {key: (value, at + offset) for key, value, offset in pairs(text)}
    source, destination = _address(parts, "src", at), _address(parts, "dst", at)
    if source[1] != destination[1]:
        raise Malformed("addresses of two versions", at)
    if "type" in parts:
        ports = (_number(parts, "id"), _number(parts, "type") << 8 | _number(parts, "code"))
    else:
        ports = (_number(parts, "sport"), _number(parts, "dport"))
    return Tuple(source[0], destination[0], source[1], protocol, *ports)


def _address(parts: dict[str, tuple[str, int]], key: str, at: int) -> tuple[int, int]:
    text, here = parts.get(key, ("", at))
    try:
        kind = IPv6Address if ":" in text else IPv4Address
        return int(kind(text)), 6 if ":" in text else 4
    except AddressValueError:
        raise Malformed(f"{key}: not an address: {text[:45]!r}", here) from None


def _states(found: dict[str, tuple[str, int]]) -> tuple[str, ...]:
    text, at = found.get("protoinfo", ("", 0))
    parts = {key: value for key, value, _ in pairs(text)}
    states = tuple(parts[key] for key in ("state", "state_orig", "state_reply") if parts.get(key))
    unknown = [state for state in states if state not in TCP_STATES]
    if unknown:
        raise Malformed(f"protoinfo: no state of TCP: {unknown[0][:20]!r}", at)
    return states


def _status(found: dict[str, tuple[str, int]]) -> frozenset[str]:
    text, _ = found.get("status", ("", 0))
    return frozenset(word for word in text.split("|") if word and not word.isdecimal())
