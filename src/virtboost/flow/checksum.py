"""What rewriting fields does to the checksums of IPv4, TCP and UDP (RFC 1624), as constants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from virtboost.flow.entry import Rewrite
from virtboost.flow.field import bits_of

IN_IP_HEADER = {"ipv4.src": 0, "ipv4.dst": 0, "ipv4.tos": 0, "ipv4.ttl": 8, "ipv4.proto": 0}
"""Fields that the checksum of IPv4 covers, and how far up in their 16 bits they are."""

IN_TRANSPORT = frozenset(
    f"{field}.{part}" for field in ("ipv4", "ipv6", "tcp", "udp") for part in ("src", "dst")
)
"""Fields that the checksum of TCP and UDP covers, its pseudo header's too."""


def deltas(
    rewrites: Iterable[Rewrite], old: Callable[[str], int | None]
) -> tuple[int | None, int | None]:
    """Return what the sums under the checksums of IPv4 and of TCP or UDP grow by.

    A checksum HC becomes ``~(~HC + delta)`` in ones' complement arithmetic of 16 bits.

    Args:
        rewrites: Fields that become constants.
        old: Returns the value that a field is guarded at; None: it may differ.

    Returns:
        Two numbers of 16 bits; None where an old value is not known.
    """
    ip: int | None = 0
    transport: int | None = 0
    for each in rewrites:
        before = old(each.name)
        after = None if before is None else before & ~each.mask | each.value & each.mask
        if each.name in IN_IP_HEADER:
            ip = _plus(ip, each.name, before, after, IN_IP_HEADER[each.name])
        if each.name in IN_TRANSPORT:
            transport = _plus(transport, each.name, before, after, 0)
    return ip, transport


def _plus(
    delta: int | None, name: str, before: int | None, after: int | None, shift: int
) -> int | None:
    if delta is None or before is None or after is None:
        return None
    words = zip(_words(before, name, shift), _words(after, name, shift), strict=True)
    for old, new in words:
        delta = folded(delta + (~old & 0xFFFF) + new)
    return delta


def _words(value: int, name: str, shift: int) -> Iterator[int]:
    value <<= shift
    for at in range(0, max(bits_of(name), 16), 16):
        yield value >> at & 0xFFFF


def folded(number: int) -> int:
    """Return a sum in ones' complement arithmetic of 16 bits."""
    while number > 0xFFFF:
        number = (number & 0xFFFF) + (number >> 16)
    return number
