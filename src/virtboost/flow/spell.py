"""Fields, entries and refusals in the words of Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

from virtboost.flow.entry import IntegratedEntry, Push, Transposition
from virtboost.flow.field import (
    CT_STATE,
    FRAG,
    FRAGMENT,
    IPV4,
    IPV6,
    MAC,
    STATE,
    TCP,
    TCP_FLAGS,
    TUNNEL,
    TUNNEL_FLAGS,
    Kind,
    Part,
    full,
    kind_of,
)

_FLAGS: Mapping[Kind, Mapping[str, int]] = {
    STATE: CT_STATE,
    TCP: TCP_FLAGS,
    TUNNEL: TUNNEL_FLAGS,
}

_ADDRESSES = (MAC, IPV4, IPV6)

_HEXADECIMAL = frozenset(("eth_type", "vlan.tpid", "tunnel.tun_id", "ct_mark", "ct_label"))


def value(name: str, number: int) -> str:
    """Return the value of a part as a dump has it."""
    name = name.removeprefix("outer.")
    kind = kind_of(name)
    if kind is MAC:
        return ":".join(f"{octet:02x}" for octet in number.to_bytes(6, "big"))
    if kind is IPV4:
        return str(IPv4Address(number))
    if kind is IPV6:
        return str(IPv6Address(number))
    if kind is FRAG:
        words = {each: word for word, each in FRAGMENT.items()}
        return words.get(number, str(number))
    return f"{number:#x}" if name in _HEXADECIMAL else str(number)


def part(each: Part) -> str:
    """Return a part of a match: ``ipv4.dst=10.0.0.0/255.0.0.0``, ``tcp_flags=-fin-syn-rst``."""
    name = each.name.removeprefix("outer.")
    if isinstance(each.value, str):
        return f"{each.name}={each.value}"
    kind = kind_of(name)
    if kind in _FLAGS:
        return f"{each.name}={_signs(_FLAGS[kind], each.value, each.mask)}"
    mask = "" if each.mask == full(name) else f"/{_mask(name, each.mask)}"
    return f"{each.name}={value(each.name, each.value)}{mask}"


def _mask(name: str, mask: int) -> str:
    return value(name, mask) if kind_of(name) in _ADDRESSES else f"{mask:#x}"


def _signs(names: Mapping[str, int], number: int, mask: int) -> str:
    return "".join(
        f"{'+' if number & bit else '-'}{name}" for name, bit in names.items() if mask & bit
    )


def actions(moved: Transposition) -> Iterator[str]:
    """Yield what an entry does, in its order."""
    if moved.pop:
        yield "pop 1 tunnel header"
    if moved.pop_vlan:
        yield "pop_vlan"
    for each in moved.rewrites:
        yield f"set {part(Part(each.name, each.value, each.mask))}"
    if moved.rewrites:
        yield from _checksums(moved)
    if moved.push_vlan is not None:
        yield f"push_vlan vid={moved.push_vlan['vlan.vid']},pcp={moved.push_vlan['vlan.pcp']}"
    if moved.push is not None:
        yield f"push {pushed(moved.push)}"
    yield "drop" if moved.output is None else f"output {moved.output}"


def _checksums(moved: Transposition) -> Iterator[str]:
    for name, delta in (("IPv4", moved.ip_checksum_delta), ("TCP/UDP", moved.l4_checksum_delta)):
        if delta is None:
            yield f"{name} checksum: by the old value of the packet"
        elif delta:
            yield f"{name} checksum += {delta:#06x}"


def pushed(push: Push) -> str:
    """Return a tunnel's header in a few words."""
    fields = push.fields
    ends = [
        value(name, fields[name])
        for name in ("ipv4.src", "ipv4.dst", "ipv6.src", "ipv6.dst", "tunnel.src", "tunnel.dst")
        if name in fields
    ]
    return f"VXLAN {fields.get('tunnel.tun_id', 0)} {' -> '.join(ends)} ({push.port})"


def dependencies(entry: IntegratedEntry) -> Iterator[str]:
    """Yield what an entry lives as long as."""
    for flow in entry.megaflows:
        yield f"megaflow {flow.ufid or flow.place}"
    for each in entry.connections:
        direction = "reply" if each.reply else "original"
        connection = each.connection
        yield f"connection zone {connection.zone}: {connection.original}, {direction} direction"
    for port in entry.ports:
        yield f"port {port}"
    push = entry.transposition.push
    if push is not None and "eth.dst" in push.fields:
        yield f"tunnel neighbour {value('eth.dst', push.fields['eth.dst'])}"
