"""Integrated entries as rules of ``tc flower`` for a NIC's eSwitch, or why one does not fit.

No rule has a connection in it: SYN, FIN and RST miss it and go to Open vSwitch, which keeps the
connection.  Source: tc-flower(8), tc-pedit(8), tc-tunnel_key(8), tc-vlan(8).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from virtboost.flow import spell
from virtboost.flow.compose import Both
from virtboost.flow.entry import IntegratedEntry, Push, Rewrite, Transposition
from virtboost.flow.field import Part, bits_of, full
from virtboost.flow.nic import Nic
from virtboost.flow.protocol import (
    ARP,
    ICMP,
    ICMPV6,
    IP_NAMES,
    IPV4,
    IPV6,
    QINQ,
    SCTP,
    TCP,
    UDP,
)
from virtboost.flow.refusal import Refusal

LEFT_TO_THE_STACK = ("outer.eth.", "outer.vlan.", "outer.eth_type", "outer.ipv4.frag")
"""Guards on the outer frame, which a rule at the tunnel's device does not see any more."""

PROTOCOLS = {IPV4: "ip", IPV6: "ipv6", ARP: "arp"}

IP_WORDS = {number: IP_NAMES[number] for number in (TCP, UDP, ICMP, ICMPV6, SCTP)}
"""Protocols that flower knows by name."""

KEYS = {
    "eth.src": "src_mac", "eth.dst": "dst_mac", "ipv4.src": "src_ip", "ipv4.dst": "dst_ip",
    "ipv6.src": "src_ip", "ipv6.dst": "dst_ip", "ipv4.ttl": "ip_ttl", "ipv4.tos": "ip_tos",
    "ipv6.hlimit": "ip_ttl", "ipv6.tclass": "ip_tos", "tcp.src": "src_port",
    "tcp.dst": "dst_port", "udp.src": "src_port", "udp.dst": "dst_port",
    "sctp.src": "src_port", "sctp.dst": "dst_port", "tcp_flags": "tcp_flags",
    "vlan.vid": "vlan_id", "vlan.pcp": "vlan_prio",
}  # fmt: skip
"""Words of flower for the parts of a match."""

TUNNEL_KEYS = {
    "ipv4.src": "enc_src_ip", "ipv4.dst": "enc_dst_ip", "ipv6.src": "enc_src_ip",
    "ipv6.dst": "enc_dst_ip", "udp.dst": "enc_dst_port", "ipv4.tos": "enc_tos",
    "ipv4.ttl": "enc_ttl", "src": "enc_src_ip", "dst": "enc_dst_ip", "tp_dst": "enc_dst_port",
    "ipv6_src": "enc_src_ip", "ipv6_dst": "enc_dst_ip", "tos": "enc_tos", "ttl": "enc_ttl",
    "tun_id": "enc_key_id",
}  # fmt: skip

MUNGED = {
    "eth.src": "eth src", "eth.dst": "eth dst", "ipv4.src": "ip src", "ipv4.dst": "ip dst",
    "ipv4.tos": "ip tos", "ipv4.ttl": "ip ttl", "ipv6.src": "ip6 src", "ipv6.dst": "ip6 dst",
    "ipv6.hlimit": "ip6 hoplimit", "ipv6.tclass": "ip6 traffic_class", "tcp.src": "tcp sport",
    "tcp.dst": "tcp dport", "udp.src": "udp sport", "udp.dst": "udp dport",
}  # fmt: skip
"""Words of pedit."""

PREFIXES = frozenset(("ipv4.src", "ipv4.dst", "ipv6.src", "ipv6.dst"))
"""Fields that flower matches by prefix only."""

WHOLE = frozenset(("vlan.vid", "vlan.pcp", "tun_id", "tunnel.tun_id", "ipv4.proto", "ipv6.proto"))
"""Fields that flower matches as a whole only."""


class OffloadedEntry(Struct, frozen=True, kw_only=True):
    """One direction as a rule of a NIC."""

    in_port: str
    """Port of the datapath where its packets come in."""
    device: str
    """Where the rule belongs: the port, or the tunnel's device."""
    command: str | None
    """None: it does not fit."""
    reasons: tuple[str, ...]
    """Why not."""
    notes: tuple[str, ...]
    """What the rule leaves to others."""


class Offload(Struct, frozen=True, kw_only=True):
    """What of a datapath a NIC could do."""

    schema: Literal["virtboost.flow-offload/1"] = "virtboost.flow-offload/1"
    nic: str
    """The family that it is for."""
    connections: int
    """In the dump."""
    fitting: int
    """Of which both directions fit."""
    entries: tuple[OffloadedEntry, ...]
    """Both directions of those that can be normalised."""
    refusals: tuple[str, ...]
    """Of connections that cannot be normalised."""


class _Unfit(Exception):
    """A part of an entry has no word in a rule."""


def offload(traversals: list[Both], connections: int, nic: Nic) -> Offload:
    """Return rules for both directions of traversals.

    Args:
        traversals: Composed; one for each connection.
        connections: How many there are in the dump.
        nic: What it is for.
    """
    entries: list[OffloadedEntry] = []
    refusals: list[str] = []
    fitting = 0
    for both in traversals:
        if not both.installable:
            refusals += [str(each) for each in both if isinstance(each, Refusal)]
            continue
        made = [offloaded(each, nic) for each in both if isinstance(each, IntegratedEntry)]
        fitting += all(each.command is not None for each in made)
        entries += made
    return Offload(
        nic=nic.name,
        connections=connections,
        fitting=fitting,
        entries=tuple(entries),
        refusals=tuple(refusals),
    )


def offloaded(entry: IntegratedEntry, nic: Nic) -> OffloadedEntry:
    """Return an entry as one rule, or why it does not fit."""
    moved = entry.transposition
    device = entry.ports[1] if moved.pop else entry.in_port
    reasons = list(_unable(moved, nic))
    words: list[str] = []
    try:
        words = [*_matches(entry), *_actions(entry)]
    except _Unfit as unfit:
        reasons.append(str(unfit))
    protocol = _protocol(entry)
    command = ("tc", "filter", "add", "dev", device, "ingress", "protocol", protocol)
    return OffloadedEntry(
        in_port=entry.in_port,
        device=device,
        command=None if reasons else shlex.join([*command, "flower", "skip_sw", *words]),
        reasons=tuple(reasons),
        notes=tuple(_notes(entry)),
    )


def _unable(moved: Transposition, nic: Nic) -> Iterator[str]:
    for each in moved.rewrites:
        if each.mask & ~nic.rewrites.get(each.name, 0):
            yield f"it cannot rewrite {spell.part(Part(each.name, each.value, each.mask))}"
    if (moved.pop_vlan or moved.push_vlan) and not nic.vlan:
        yield "it has no VLAN actions"
    if (moved.pop or moved.push) and not nic.vxlan:
        yield "it has no VXLAN actions"


def _notes(entry: IntegratedEntry) -> Iterator[str]:
    left = [part.name for part in entry.match if part.name.startswith(LEFT_TO_THE_STACK)]
    if left:
        yield f"{', '.join(left)}: the tunnel's device has the packet after the outer frame"
    if any(part.name.endswith("tunnel.flags") for part in entry.match):
        yield "flags of the tunnel's header (df, csum) are not matched"
    yield "the ports must belong to one eSwitch"


def _protocol(entry: IntegratedEntry) -> str:
    parts = {part.name: part for part in entry.match}
    tagged = parts.get("vlan.tpid")
    if tagged is not None and tagged.value:
        return "802.1ad" if tagged.value == QINQ else "802.1Q"
    kind = parts.get("eth_type")
    return PROTOCOLS.get(int(kind.value), "all") if kind is not None else "all"


def _matches(entry: IntegratedEntry) -> Iterator[str]:
    """Yield the words of a match."""
    parts = {part.name: part for part in entry.match}
    kind = parts.get("eth_type")
    tagged = parts.get("vlan.tpid")
    if tagged is not None and tagged.value and kind is not None:
        yield from ("vlan_ethtype", PROTOCOLS.get(int(kind.value), f"{kind.value:#x}"))
    for part in sorted(entry.match, key=lambda part: _order(part.name)):
        yield from _match(part)


def _order(name: str) -> tuple[int, str]:
    """Return where a word belongs: flower wants the protocol before its ports and flags."""
    return (not name.endswith(".proto"), name)


def _match(part: Part) -> Iterator[str]:
    name = part.name
    if name.startswith(LEFT_TO_THE_STACK) or name in ("eth_type", "vlan.tpid", "vlan.cfi"):
        return
    if name.endswith("tunnel.flags"):
        return
    if name.startswith(("outer.", "tunnel.")):
        bare = name.removeprefix("outer.").removeprefix("tunnel.")
        if bare.endswith(".proto"):
            return
        if bare not in TUNNEL_KEYS:
            raise _Unfit(f"flower has no word for {name}")
        yield from (TUNNEL_KEYS[bare], _valued(name.removeprefix("outer."), part))
    elif name.endswith(".proto"):
        yield from ("ip_proto", IP_WORDS.get(int(part.value), str(part.value)))
    elif name.endswith(".frag"):
        if part.value:
            raise _Unfit("a fragment")
        yield from ("ip_flags", "nofrag")
    elif name in KEYS:
        yield from (KEYS[name], _valued(name, part))
    else:
        raise _Unfit(f"flower has no word for {spell.part(part)}")


def _valued(name: str, part: Part) -> str:
    """Return a value with its mask in flower's words."""
    number, whole = int(part.value), full(name)
    if name == "tcp_flags":
        return f"{number:#x}/{part.mask:#x}"
    if name == "tunnel.tun_id" or name in WHOLE:
        if part.mask != whole:
            raise _Unfit(f"flower matches the whole of {part.name} only")
        return str(number)
    text = spell.value(name, number)
    if part.mask == whole:
        return text
    if name in PREFIXES:
        length = part.mask.bit_count()
        if part.mask != whole ^ (whole >> length):
            raise _Unfit(f"flower matches {part.name} by prefix, not by {part.mask:#x}")
        return f"{text}/{length}"
    mask = spell.value(name, part.mask) if name.startswith("eth.") else f"{part.mask:#x}"
    return f"{text}/{mask}"


def _actions(entry: IntegratedEntry) -> Iterator[str]:
    """Yield the words of the actions, each piped into the next."""
    moved = entry.transposition
    if moved.pop or any(part.name.startswith("tunnel.") for part in entry.match):
        yield from ("action", "tunnel_key", "unset", "pipe")
    if moved.pop_vlan:
        yield from ("action", "vlan", "pop", "pipe")
    if moved.rewrites:
        yield from ("action", "pedit", "ex")
        for each in moved.rewrites:
            yield from _munge(each)
        yield "pipe"
        yield from _checksums(entry)
    if moved.push_vlan is not None:
        tag = moved.push_vlan
        words = ("id", str(tag["vlan.vid"]), "priority", str(tag["vlan.pcp"]))
        yield from ("action", "vlan", "push", "protocol", "802.1Q", *words, "pipe")
    if moved.push is not None:
        yield from _encapsulate(moved.push)
    target = moved.push.port if moved.push is not None else moved.output
    if moved.output is None or target is None:
        yield from ("action", "drop")
    else:
        yield from ("action", "mirred", "egress", "redirect", "dev", target)


def _munge(each: Rewrite) -> Iterator[str]:
    if each.name not in MUNGED:
        raise _Unfit(f"pedit has no word for {each.name}")
    value = spell.value(each.name, each.value)
    yield from ("munge", *MUNGED[each.name].split(), "set", value)
    if each.mask != full(each.name):
        if bits_of(each.name) > 32:
            raise _Unfit(f"pedit sets the whole of {each.name} only")
        yield from ("retain", f"{each.mask:#x}")


def _checksums(entry: IntegratedEntry) -> Iterator[str]:
    names = {each.name.partition(".")[0] for each in entry.transposition.rewrites}
    words = ["ip4h"] if "ipv4" in names else []
    if entry.transposition.l4_checksum_delta != 0:
        protocol = next((p.value for p in entry.match if p.name.endswith(".proto")), None)
        words.append("tcp" if protocol == TCP else "udp")
    if words:
        yield from ("action", "csum", *" and ".join(words).split(), "pipe")


def _encapsulate(push: Push) -> Iterator[str]:
    fields = push.fields
    version = "ipv6" if "ipv6.src" in fields else "ipv4"
    source = fields.get(f"{version}.src", fields.get("tunnel.src"))
    destination = fields.get(f"{version}.dst", fields.get("tunnel.dst"))
    if source is None or destination is None:
        raise _Unfit("the tunnel's addresses are not known")
    yield from ("action", "tunnel_key", "set", "id", str(fields.get("tunnel.tun_id", 0)))
    yield from ("src_ip", spell.value(f"{version}.src", source))
    yield from ("dst_ip", spell.value(f"{version}.dst", destination))
    yield from ("dst_port", str(fields.get("udp.dst", fields.get("tunnel.tp_dst", 4789))))
    for name, word in (("tos", "tos"), ("ttl", "ttl")):
        number = fields.get(f"ipv4.{name}", fields.get(f"tunnel.{name}"))
        if number is not None:
            yield from (word, str(number))
    yield from ("csum" if fields.get("tunnel.flags", 0) & 2 else "nocsum", "pipe")
