"""Integrated entries as keys and values of the data plane's map, or why one cannot be.

What is refused has the words of ``refusal.py``; its packets take the long way.
"""

from __future__ import annotations

import ctypes
import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from virtboost.flow import abi
from virtboost.flow.checksum import deltas, folded
from virtboost.flow.entry import IntegratedEntry, Push, Rewrite
from virtboost.flow.field import TUNNEL_FLAGS, Part, full
from virtboost.flow.protocol import ICMP, ICMPV6, IPV4, IPV6, TCP, UDP
from virtboost.flow.refusal import Refused


class Port(NamedTuple):
    """A device behind a port of the datapath."""

    ifindex: int
    """Its number in the kernel."""
    mtu_bytes: int


class Encoded(NamedTuple):
    """What goes into the map."""

    key: abi.Key
    entry: abi.Entry


class Bits(NamedTuple):
    """Where a field lies in a member of ``abi.Headers`` that is read as one big number."""

    member: str
    shift: int = 0


TTL = {"ipv4.ttl", "ipv6.hlimit"}

FIRST = {"ipv4.tos": 16, "ipv6.tclass": 20, "ipv6.label": 0}
"""Fields of the first word of IP, and the bits below them."""

GUARDS = {
    "eth.dst": Bits("eth_dst"), "eth.src": Bits("eth_src"), "vlan.tpid": Bits("tpid"),
    "vlan.pcp": Bits("tci", 13), "tcp_flags": Bits("tcp_flags"),
    **{name: Bits("ttl") for name in TTL},
    **{name: Bits("first", shift) for name, shift in FIRST.items()},
    "outer.eth.dst": Bits("outer_eth_dst"), "outer.eth.src": Bits("outer_eth_src"),
    **{f"outer.{name}": Bits("outer_ttl") for name in TTL},
    **{f"outer.{name}": Bits("outer_first", shift) for name, shift in FIRST.items()},
    "outer.udp.src": Bits("outer_source_port"),
    "outer.ipv4.src": Bits("outer_source", 96), "outer.ipv4.dst": Bits("outer_destination", 96),
    "outer.ipv6.src": Bits("outer_source"), "outer.ipv6.dst": Bits("outer_destination"),
}  # fmt: skip
"""Fields beside the key."""

ENSURED = {
    "ipv4.frag": 0, "ipv6.frag": 0, "outer.ipv4.frag": 0, "outer.ipv6.frag": 0,
    "outer.ipv4.proto": UDP, "outer.ipv6.proto": UDP, "outer.udp.dst": abi.VXLAN_PORT,
    "outer.vlan.tpid": 0, "outer.tunnel.flags": TUNNEL_FLAGS["key"], "vlan.cfi": 1,
}  # fmt: skip
"""Values that every packet has which the data plane looks up at all."""

TRANSPORTS = {TCP: "tcp", UDP: "udp"}

ECHO = {ICMP: ("icmp", (0, 8)), ICMPV6: ("icmpv6", (128, 129))}

SOURCE_PORTS = (32768, 61000)
"""Of the outer UDP header, as in ``lib/netdev-native-tnl.c``."""


def encode(
    entry: IntegratedEntry,
    ports: Mapping[str, Port],
    *,
    epoch: int,
    lease_ns: int,
    slot: int,
    peer: int,
) -> Encoded:
    """Return an entry for the map.

    Args:
        entry: Of one direction.
        ports: Devices by the name of the datapath's port.
        epoch: Of the dump that it was composed from.
        lease_ns: CLOCK_MONOTONIC until when it may be carried out.
        slot: Its own in the map of states.
        peer: Slot of the other direction, which a FIN or RST ends too; its own where there is none.

    Raises:
        Refused: The data plane cannot carry it out.
    """
    return _Encoder(entry, ports).encoded(epoch=epoch, lease_ns=lease_ns, slot=slot, peer=peer)


def source_port(key: abi.Key) -> int:
    """Return the outer source port of a key's packets: as each is one flow, it is a constant."""
    first, last = SOURCE_PORTS
    return first + (zlib.crc32(bytes(key)) * (last - first) >> 32)


class _Encoder:
    def __init__(self, entry: IntegratedEntry, ports: Mapping[str, Port]) -> None:
        self._entry = entry
        self._moved = entry.transposition
        self._ports = ports
        self._match = {part.name: part for part in entry.match}
        kind = self._exactly("eth_type")
        if kind not in (IPV4, IPV6):
            raise self._refused(13, f"eth_type {kind:#06x}")
        self._version = "ipv4" if kind == IPV4 else "ipv6"
        self._kind = kind
        self._protocol = self._exactly(f"{self._version}.proto")

    def encoded(self, *, epoch: int, lease_ns: int, slot: int, peer: int) -> Encoded:
        key = self._key()
        value = abi.Entry(epoch=epoch, lease_ns=lease_ns, slot=slot, peer=peer)
        self._guard(value)
        self._rewrite(key, value)
        self._tags(value)
        if self._moved.push is not None:
            self._push(self._moved.push, value, key)
        self._leave(value)
        return Encoded(key, value)

    def _refused(self, reason: int, detail: str) -> Refused:
        return Refused(reason, self._entry.in_port, detail)

    def _exactly(self, name: str) -> int:
        part = self._match.get(name)
        if part is None or part.mask != full(name.removeprefix("outer.")):
            raise self._refused(23, name)
        return int(part.value)

    def _port(self, name: str) -> Port:
        if name not in self._ports:
            raise self._refused(23, f"{name} is no device")
        return self._ports[name]

    def _key(self) -> abi.Key:
        key = abi.Key(port=self._port(self._entry.in_port).ifindex, eth_type=self._kind)
        key.protocol = self._protocol
        key.source[:] = self._address(self._exactly(f"{self._version}.src"))
        key.destination[:] = self._address(self._exactly(f"{self._version}.dst"))
        key.source_port, key.destination_port = self._ends()
        if self._exactly("vlan.tpid"):
            key.tag = abi.TAGGED | self._exactly("vlan.vid")
        if self._moved.pop:
            outer = "ipv4" if self._exactly("outer.eth_type") == IPV4 else "ipv6"
            self._exactly(f"outer.{outer}.dst")
            self._exactly("outer.udp.dst")
            key.vni = abi.TUNNELLED | self._exactly("outer.tunnel.tun_id")
        return key

    def _ends(self) -> tuple[int, int]:
        """Return the ports; of ICMP echo, 0 and type and code."""
        if self._protocol in TRANSPORTS:
            name = TRANSPORTS[self._protocol]
            return self._exactly(f"{name}.src"), self._exactly(f"{name}.dst")
        name, kinds = ECHO.get(self._protocol, ("", ()))
        if not name or self._exactly(f"{name}.type") not in kinds:
            raise self._refused(13, f"protocol {self._protocol}")
        return 0, self._exactly(f"{name}.type") << 8 | self._exactly(f"{name}.code")

    def _address(self, number: int) -> bytes:
        return number.to_bytes(4 if self._version == "ipv4" else 16, "big").ljust(16, b"\0")

    def _guard(self, value: abi.Entry) -> None:
        keyed = {"eth_type", "vlan.vid", "outer.tunnel.tun_id", f"{self._version}.src"}
        keyed |= {f"{self._version}.{part}" for part in ("dst", "proto")}
        keyed |= {f"{name}.{part}" for name in TRANSPORTS.values() for part in ("src", "dst")}
        keyed |= {f"{name}.{part}" for name, _ in ECHO.values() for part in ("type", "code")}
        for part in self._entry.match:
            if part.name == "outer.eth_type":
                version = 4 if part.value == IPV4 else 6
                _unite(value, Bits("outer_first"), version << 28, 0xF << 28)
            elif part.name in GUARDS:
                _unite(value, GUARDS[part.name], int(part.value), part.mask)
            elif part.name not in keyed:
                self._require_ensured(part)

    def _require_ensured(self, part: Part) -> None:
        if part.name.startswith("tunnel."):
            raise self._refused(19, part.name)
        if part.name not in ENSURED or (int(part.value) ^ ENSURED[part.name]) & part.mask:
            raise self._refused(25 if part.name == "outer.tunnel.flags" else 23, part.name)

    def _rewrite(self, key: abi.Key, value: abi.Entry) -> None:
        value.eth_keep[:] = b"\xff" * 12
        value.first_keep[:] = b"\xff" * 4
        value.ttl_keep = 0xFF
        value.source, value.destination = key.source, key.destination
        value.source_port, value.destination_port = key.source_port, key.destination_port
        transport = TRANSPORTS.get(self._protocol, "")
        ends = (f"{transport}.src", f"{transport}.dst")
        addresses = (f"{self._version}.src", f"{self._version}.dst")
        for each in self._moved.rewrites:
            if each.name in addresses:
                member = ("source", "destination")[addresses.index(each.name)]
                getattr(value, member)[:] = self._address(self._after(each))
            elif each.name in ends:
                member = ("source_port", "destination_port")[ends.index(each.name)]
                setattr(value, member, self._after(each))
            else:
                self._write_bits(each, value)
        self._sums(addresses, ends, value)

    def _after(self, each: Rewrite) -> int:
        return self._exactly(each.name) & ~each.mask | each.value & each.mask

    def _write_bits(self, each: Rewrite, value: abi.Entry) -> None:
        if each.name in ("eth.dst", "eth.src"):
            member, shift = "eth", 48 * (each.name == "eth.dst")
        elif each.name in TTL:
            member, shift = "ttl", 0
        elif each.name in FIRST:
            member, shift = "first", FIRST[each.name]
        else:
            raise self._refused(28, each.name)
        mask = each.mask << shift
        _store(value, member, _load(value, member) | each.value << shift & mask)
        _store(value, f"{member}_keep", _load(value, f"{member}_keep") & ~mask)

    def _sums(self, addresses: tuple[str, ...], ends: tuple[str, ...], value: abi.Entry) -> None:
        changed = self._moved.rewrites
        of_addresses = [each for each in changed if each.name in addresses]
        if of_addresses and self._protocol == ICMPV6:
            raise self._refused(28, "the addresses of ICMPv6")
        ip, transport = deltas(of_addresses, self._exactly)
        value.ip_delta, value.address_delta = ip or 0, transport or 0
        of_ports = deltas([each for each in changed if each.name in ends], self._exactly)[1]
        value.port_delta = of_ports or 0

    def _tags(self, value: abi.Entry) -> None:
        if self._moved.pop_vlan:
            value.changes |= abi.POP_TAG
        tag = self._moved.push_vlan
        if tag is not None:
            value.changes |= abi.PUSH_TAG
            tci = tag["vlan.pcp"] << 13 | tag["vlan.vid"]
            value.tag[:] = struct.pack("!HH", tag["vlan.tpid"], tci)

    def _push(self, push: Push, value: abi.Entry, key: abi.Key) -> None:
        if push.template is None:
            raise self._refused(19, push.port)
        header = bytearray(push.template)
        udp = len(header) - 16
        if header[udp + 6 : udp + 8] != b"\0\0":
            raise self._refused(25, "the checksum of the outer UDP header")
        struct.pack_into("!H", header, udp, source_port(key))
        value.push_size = len(header)
        value.push[: len(header)] = header
        if "ipv4.src" in push.fields:
            value.push_sum = folded(sum(struct.unpack_from("!10H", header, 14)))

    def _leave(self, value: abi.Entry) -> None:
        if self._moved.output is None:
            value.changes |= abi.DROP
            return
        value.output, value.mtu = self._port(self._moved.output)


def _load(value: ctypes.Structure, member: str) -> int:
    found = getattr(value, member)
    return found if isinstance(found, int) else int.from_bytes(bytes(found), "big")


def _store(value: ctypes.Structure, member: str, number: int) -> None:
    found = getattr(value, member)
    if isinstance(found, int):
        setattr(value, member, number)
    else:
        found[:] = number.to_bytes(len(found), "big")


def _unite(value: abi.Entry, bits: Bits, number: int, mask: int) -> None:
    for headers, added in ((value.guard, number & mask), (value.guard_mask, mask)):
        _store(headers, bits.member, _load(headers, bits.member) | added << bits.shift)
