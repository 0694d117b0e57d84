"""The host's own way to the other end of a tunnel, which the kernel's datapath leaves to its stack.

An entry of that datapath ends or begins at a tunnel's port.  With the route and the neighbour it
ends or begins at a device, with the outer header in its frames, as one of the userspace datapath.

The outer header is that of ``vxlan_xmit_one`` and ``iptunnel_xmit``, but for its identification,
which says nothing in a datagram that is not fragmented (RFC 6864, 4.1), and is 0 as in Open
vSwitch.  Whether the other end's had DF is no condition: of a tunnel's flags, rules can be about
oam alone (ovs-fields(7), tun_flags), and kernels differ in whether they tell it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from virtboost.errors import ParseError
from virtboost.flow.entry import IntegratedEntry, Push, Rewrite
from virtboost.flow.field import TUNNEL_FLAGS, Part, full, mac
from virtboost.flow.packet import Packet
from virtboost.flow.protocol import IPV4, IPV6, UDP
from virtboost.flow.refusal import Refused
from virtboost.flow.spell import value as spelled
from virtboost.flow.tunnel import pushed_header

ECN, NOT_ECT, ECT_0, CE = 3, 0, 2, 3
"""Bits of the traffic class, and values of theirs (RFC 3168)."""

PORT = re.compile(r"vxlan_sys_(\d+)$")
"""The datapath's port of all VXLAN tunnels to a port of UDP."""

_OPTIONS = re.compile(r"tunnel\(.*\b(?:vxlan|geneve|gtpu|erspan)\(")
"""Of a tunnel's header, which are set."""

_BESIDE = ("skb_mark(", "skb_priority(")
"""What is set and in no byte: routes, filters and queueing disciplines of the kernel look at it."""

_OF_ANY = {
    "tun_id": "tunnel.tun_id",
    "flags": "tunnel.flags",
    "tp_src": "udp.src",
    "tp_dst": "udp.dst",
}
_OUTER = {
    IPV4: {"src": "ipv4.src", "dst": "ipv4.dst", "tos": "ipv4.tos", "ttl": "ipv4.ttl"} | _OF_ANY,
    IPV6: {
        "ipv6_src": "ipv6.src",
        "ipv6_dst": "ipv6.dst",
        "tos": "ipv6.tclass",
        "ttl": "ipv6.hlimit",
    }
    | _OF_ANY,
}
"""What parts of a tunnel's metadata are in its outer header."""

_PUSHED = frozenset(f"tunnel.{each}" for kind in _OUTER for each in _OUTER[kind])


class Underlay(Struct, frozen=True, kw_only=True):
    """How packets go to the other end of a tunnel, and come from there."""

    device: str
    """Name of the device that the route takes."""
    address: int
    """Its Ethernet address."""
    neighbour: int
    """Ethernet address of the other end, or of the gateway to it."""
    here: IPv4Address | IPv6Address
    """Address of this end."""
    there: IPv4Address | IPv6Address
    """Address of the other end."""


def questions(there: str) -> tuple[tuple[str, ...], ...]:
    """Return the commands whose answers tell the way to an address."""
    ask = ("ip", "-j")
    return (
        (*ask, "route", "get", there),
        (*ask, "neighbour", "show"),
        (*ask, "link", "show"),
        ("ip", "xfrm", "policy"),
    )


class _Route(Struct):
    dst: str
    dev: str
    prefsrc: str
    gateway: str | None = None
    via: dict[str, str] | None = None


class _Neighbour(Struct):
    dst: str
    dev: str
    lladdr: str | None = None


class _Link(Struct):
    ifname: str
    address: str | None = None


_Told = TypeVar("_Told")
_ROUTES, _NEIGHBOURS, _LINKS = (
    Decoder(list[_Route]),
    Decoder(list[_Neighbour]),
    Decoder(list[_Link]),
)


def read_underlay(answers: tuple[str, ...]) -> Underlay:
    """Return the way that the answers to ``questions`` tell.

    Raises:
        ParseError: An answer is not of its form.
        Refused: The kernel does not know the way, or encrypts what goes it.
    """
    routes = _read(_ROUTES, answers[0], "ip route get")
    if len(routes) != 1:
        raise ParseError("ip route get", "not one route")
    route = routes[0]
    if answers[3].strip():
        raise Refused(19, route.dev, "the host has policies of IPsec")
    if '"mtu":' in answers[0]:
        raise Refused(19, route.dev, "the route has an MTU of its own")
    hop = route.gateway or (route.via or {}).get("host") or route.dst
    neighbours = {
        (each.dev, each.dst): each.lladdr for each in _read(_NEIGHBOURS, answers[1], "ip neighbour")
    }
    links = {each.ifname: each.address for each in _read(_LINKS, answers[2], "ip link")}
    address, neighbour = links.get(route.dev), neighbours.get((route.dev, hop))
    if address is None or neighbour is None:
        raise Refused(19, route.dev, f"no Ethernet address of {hop} or of {route.dev} is known")
    return Underlay(
        device=route.dev,
        address=mac(address),
        neighbour=mac(neighbour),
        here=ip_address(route.prefsrc),
        there=ip_address(route.dst),
    )


def _read(decoder: Decoder[_Told], text: str, source: str) -> _Told:
    try:
        return decoder.decode(text or "[]")
    except msgspec.DecodeError as error:
        raise ParseError(source, str(error)) from None


def inside(packet: Packet) -> Packet:
    """Return a packet of VXLAN as the datapath gets it at the tunnel's port."""
    outer, inner = packet.headers
    names = _OUTER[IPV4 if "ipv4.src" in outer else IPV6]
    told = {f"tunnel.{what}": outer[name] for what, name in names.items() if name in outer}
    del told["tunnel.flags"]  # kernels differ in whether they tell DF
    return Packet(in_port=f"vxlan_sys_{outer['udp.dst']}", headers=(inner,), tunnel=told)


def far_end(packet: Packet, entries: Iterable[IntegratedEntry]) -> str | None:
    """Return the address of the other end of a connection's tunnel; None: it has none.

    Args:
        packet: Of one of the entries.
        entries: Of both directions, of the datapath's ports.
    """
    for entry in entries:
        push = entry.transposition.push
        if push is not None:
            return _address(push.fields, "dst")
    return _address(packet.tunnel or {}, "src")


def _address(fields: Mapping[str, int], end: str) -> str | None:
    four, six = fields.get(f"tunnel.{end}"), fields.get(f"tunnel.ipv6_{end}")
    if four:
        return str(IPv4Address(four))
    return str(IPv6Address(six)) if six else None


def require_bytes(entry: IntegratedEntry) -> None:
    """Require that an entry of the kernel's datapath sets nothing but bytes of the packet.

    Raises:
        Refused: It sets a mark or a queue.
    """
    for each in entry.steps:
        if each.kind == "set" and each.text.startswith(_BESIDE):
            raise Refused(28, entry.in_port, each.text)


def on_the_wire(entry: IntegratedEntry, underlay: Underlay) -> IntegratedEntry:
    """Return the entry of the device that an entry's tunnel goes through; others as they are.

    Raises:
        Refused: The tunnel is not VXLAN to the other end of ``underlay``, or its outer header
            depends on more than the entry tells.
    """
    push = entry.transposition.push
    out = push is not None and push.template is None
    if not out and PORT.match(entry.in_port) is None:
        return entry
    return _Way(entry, underlay).out() if out else _Way(entry, underlay).into()


class _Way:
    def __init__(self, entry: IntegratedEntry, underlay: Underlay) -> None:
        self._entry = entry
        self._underlay = underlay
        self._kind = IPV4 if underlay.here.version == 4 else IPV6
        self._version = f"ipv{underlay.here.version}"

    def _refused(self, reason: int, detail: str) -> Refused:
        return Refused(reason, self._entry.in_port, detail)

    def out(self) -> IntegratedEntry:
        """Put the outer header on."""
        entry, push = self._entry, self._entry.transposition.push
        assert push is not None
        if PORT.match(entry.in_port) is not None or entry.transposition.pop:
            raise self._refused(19, "out of one tunnel into another")
        for each in entry.steps:
            if each.kind == "set" and _OPTIONS.match(each.text):
                raise self._refused(19, each.text)
        fields, template = pushed_header(self._header(push))
        moved = replace(
            entry.transposition,
            push=Push(fields=fields, port=push.port, template=template),
            output=self._underlay.device,
        )
        return replace(entry, transposition=moved, ports=(*entry.ports, self._underlay.device))

    def _header(self, push: Push) -> str:
        """Return the outer header in the words of ``tnl_push``."""
        asked = {name: number for name, number in push.fields.items() if number}
        flags, ttl = asked.pop("tunnel.flags", 0), asked.pop("tunnel.ttl", 0)
        self._require_ends(asked)
        if PORT.match(push.port) is None or asked.keys() - _PUSHED or not ttl:
            raise self._refused(19, push.port)
        if flags & TUNNEL_FLAGS["oam"] or not flags & TUNNEL_FLAGS["key"]:
            raise self._refused(19, "flags of the tunnel's header")
        if self._kind == IPV4 and not flags & TUNNEL_FLAGS["df"]:
            raise self._refused(25, "the identification of a header without df")
        here, there = self._underlay.here, self._underlay.there
        tos = asked.get("tunnel.tos", 0) & ~ECN | self._outer_ecn()
        ends = f"src={here},dst={there},proto={UDP}"
        if self._kind == IPV4:
            network = f"ipv4({ends},tos={tos:#x},ttl={ttl},frag=0x4000)"
        else:
            network = f"ipv6({ends},label=0,tclass={tos:#x},hlimit={ttl})"
        macs = [spelled("eth.dst", n) for n in (self._underlay.neighbour, self._underlay.address)]
        port = asked.get("tunnel.tp_dst", _port(push.port))
        csum = 0xFFFF if flags & TUNNEL_FLAGS["csum"] else 0
        return (
            f"size=0,type=4,eth(dst={macs[0]},src={macs[1]},dl_type={self._kind:#06x}),{network},"
            f"udp(src=0,dst={port},csum={csum:#x}),"
            f"vxlan(flags=0x8000000,vni={asked.get('tunnel.tun_id', 0):#x})"
        )

    def _require_ends(self, asked: Mapping[str, int]) -> None:
        """Hold the ends that the datapath names against those of the way."""
        for names, end in (
            (("tunnel.src", "tunnel.ipv6_src"), self._underlay.here),
            (("tunnel.dst", "tunnel.ipv6_dst"), self._underlay.there),
        ):
            told = [asked[name] for name in names if name in asked]
            if any(each != int(end) for each in told) or (not told and end is self._underlay.there):
                raise self._refused(19, f"another end than {end}")

    def _outer_ecn(self) -> int:
        """Return the bits that ``INET_ECN_encapsulate`` takes from the packet inside."""
        name = {IPV4: "ipv4.tos", IPV6: "ipv6.tclass"}.get(self._exactly("eth_type"), "")
        known: list[Rewrite | Part] = [*self._entry.transposition.rewrites, *self._entry.match]
        for each in known:
            if each.name == name and each.mask & ECN == ECN:
                inner = int(each.value) & ECN
                return ECT_0 if inner == CE else inner
        raise self._refused(25, "ECN")

    def _exactly(self, name: str) -> int:
        found = {part.name: part for part in self._entry.match}.get(name)
        return int(found.value) if found is not None and found.mask == full(name) else -1

    def into(self) -> IntegratedEntry:
        """Take the outer header off."""
        entry = self._entry
        matched = (part for flow in entry.megaflows for part in flow.match.values())
        if any(part.name.startswith("tunnel.") and isinstance(part.value, str) for part in matched):
            raise self._refused(19, "options of the tunnel's header")
        match = [part for part in entry.match if not part.name.startswith("tunnel.")]
        outer: dict[str, Part] = {}
        for part in (*self._said(), *self._known()):
            before = outer.get(part.name, Part(part.name, 0, 0))
            value, mask = int(part.value), before.mask | part.mask
            if (int(before.value) ^ value) & before.mask & part.mask:
                raise self._refused(19, f"{part.name} is not {spelled(part.name, value)}")
            united = int(before.value) & before.mask | value & part.mask
            outer[part.name] = Part(part.name, united, mask)
        return replace(
            entry,
            in_port=self._underlay.device,
            match=tuple(sorted((*match, *outer.values()), key=lambda part: part.name)),
            transposition=replace(entry.transposition, pop=1),
            ports=(self._underlay.device, *entry.ports),
        )

    def _said(self) -> Iterator[Part]:
        """Yield what the datapath matches on of the tunnel, as parts of the outer header."""
        names = _OUTER[self._kind]
        for part in self._entry.match:
            where, _, what = part.name.partition(".")
            if where != "tunnel":
                continue
            if what not in names:
                raise self._refused(19, part.name)
            mask = part.mask & ~(TUNNEL_FLAGS["df"] if what == "flags" else 0)
            yield Part(f"outer.{names[what]}", part.value, mask)

    def _known(self) -> Iterator[Part]:
        """Yield what the host's stack asks of the outer header.

        With ECN outside, it changes what is inside (``IP_ECN_decapsulate``).
        """
        here, there = self._underlay.here, self._underlay.there
        version = self._version
        tos = "ipv4.tos" if version == "ipv4" else "ipv6.tclass"
        for name, value, mask in (
            ("eth_type", self._kind, None),
            ("eth.dst", self._underlay.address, None),
            ("vlan.tpid", 0, None),
            (f"{version}.src", int(there), None),
            (f"{version}.dst", int(here), None),
            (f"{version}.proto", UDP, None),
            (f"{version}.frag", 0, None),
            (tos, NOT_ECT, ECN),
            ("udp.dst", _port(self._entry.in_port), None),
        ):
            yield Part(f"outer.{name}", value, full(name) if mask is None else mask)


def _port(name: str) -> int:
    found = PORT.match(name)
    return int(found[1]) if found is not None else 0
