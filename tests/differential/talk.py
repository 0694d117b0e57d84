"""Conversations: frames of the two ends of a lane, with ports, sequence numbers and odd headers."""

from __future__ import annotations

import random
from typing import Any, Literal, NamedTuple

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from differential.pipelines import LANES

Side = Literal["client", "server"]

SIDES: tuple[Side, Side] = ("client", "server")

INNER_MTU = 1450
"""What fits into a tunnel of IPv4 over 1,500 bytes."""


class Send(NamedTuple):
    """A frame that goes into an end."""

    end: str
    frame: bytes


class Talk:
    """One connection of a lane.  Sequence numbers grow by what is said, also if it is lost."""

    def __init__(self, lane: str, number: int, chance: random.Random, *, version: int = 4) -> None:
        self._lane, self._chance, self._version = LANES[lane], chance, version
        self.ports = [1024 + number, chance.choice((53, 80, 443, 8472))]
        self._said = {side: chance.getrandbits(32) for side in SIDES}
        self._ends = dict(zip(SIDES, self._addresses(lane, number), strict=True))

    def _addresses(self, lane: str, number: int) -> tuple[str, str]:
        which = 1 + list(LANES).index(lane)
        if self._version == 6:
            return f"fd00:{which}::1:{number % 14 + 1:x}", f"fd00:{which}::2:1"
        net = 2 if lane == "nat" else which + 10
        return f"10.{net}.0.{number % 14 + 1}", f"10.{net}.1.1"

    def tcp(self, side: Side, flags: str, data: bytes = b"", **odd: Any) -> Send:
        """Return a segment that acknowledges all that the other side said."""
        other = SIDES[1 - SIDES.index(side)]
        ports = self._ports(side)
        ack = self._said[other] if "A" in flags else 0
        segment = TCP(sport=ports[0], dport=ports[1], flags=flags, seq=self._said[side], ack=ack)
        grown = len(data) + ("S" in flags) + ("F" in flags)
        self._said[side] = (self._said[side] + grown) % (1 << 32)
        return self.frame(side, segment / Raw(data), **odd)

    def udp(self, side: Side, data: bytes, *, checksum: bool = True, **odd: Any) -> Send:
        ports = self._ports(side)
        datagram = UDP(sport=ports[0], dport=ports[1], chksum=None if checksum else 0)
        return self.frame(side, datagram / Raw(data), **odd)

    def echo(self, side: Side, number: int, data: bytes = b"") -> Send:
        asked = side == "client"
        if self._version == 6:
            kind = ICMPv6EchoRequest if asked else ICMPv6EchoReply
            return self.frame(side, kind(id=self.ports[0], seq=number, data=data))
        return self.frame(
            side, ICMP(type=8 if asked else 0, id=self.ports[0], seq=number) / Raw(data)
        )

    def error(self, side: Side, about: Send, code: int = 1) -> Send:
        """Return the ICMP error that an end sends about a frame that it got."""
        quoted = bytes(self._quoted(about))[:28]
        return self.frame(side, ICMP(type=3, code=code) / Raw(quoted))

    def _quoted(self, about: Send) -> Packet:
        """Return the packet of a frame as the other end sees it."""
        packet: Packet = Ether(about.frame)[IP]
        if self._lane.translated is None:
            return packet
        if about.end == self._lane.client:
            packet.src = self._lane.translated
        else:
            packet.dst = self._ends["client"]
        for layer in (packet, packet.payload):
            del layer.chksum
        return packet

    def frame(self, side: Side, payload: Packet, *, tag: int | None = None, **odd: Any) -> Send:
        """Return a frame of an end; ``odd`` are fields of IP."""
        lane, server = self._lane, side == "server"
        source, destination = self._ends[side], self._ends[SIDES[1 - SIDES.index(side)]]
        if server and lane.translated is not None:
            destination = lane.translated
        end = lane.server if server else lane.client
        macs = [f"02:00:00:00:00:{1 + list(LANES.values()).index(lane):x}{n}" for n in (1, 2)]
        ether: Packet = Ether(src=macs[server], dst=macs[not server])
        tag = lane.tag if server and lane.tag is not None else tag
        if tag is not None:
            ether = ether / Dot1Q(vlan=tag)
        return Send(end, bytes(ether / self._network(source, destination, odd) / payload))

    def _network(self, source: str, destination: str, odd: dict[str, Any]) -> Packet:
        if self._version == 4:
            return IP(src=source, dst=destination, **odd)
        names = {"ttl": "hlim", "tos": "tc"}
        return IPv6(
            src=source, dst=destination, **{names[name]: each for name, each in odd.items()}
        )

    def _ports(self, side: Side) -> list[int]:
        return self.ports if side == "client" else self.ports[::-1]

    def data(self, size: int | None = None) -> bytes:
        """Return random bytes."""
        return self._chance.randbytes(self._chance.randint(1, 200) if size is None else size)

    def fits(self, beyond: int = 0) -> int:
        """Return bytes of data of TCP that just fit into the tunnel, or are ``beyond``."""
        return INNER_MTU - (40 if self._version == 4 else 60) + beyond

    def fragments(self, side: Side, size: int) -> list[Send]:
        """Return a datagram in two fragments."""
        whole = self.udp(side, self.data(size))
        frame = Ether(whole.frame)
        first, second = frame[IP].fragment(fragsize=((size + 8) // 2 | 7) + 1)
        return [self.frame_of(whole.end, frame, each) for each in (first, second)]

    @staticmethod
    def frame_of(end: str, like: Packet, packet: Packet) -> Send:
        """Return a packet behind the Ethernet header of another frame."""
        head = bytes(like)[: len(bytes(like)) - len(bytes(like[IP]))]
        return Send(end, head + bytes(packet))


def wrapped(inner: Send, *, vni: int = 100,
    bits: int = 8, reserved: int = 0, checksum: bool = False,
            options: bool = False, tail: bytes = b"", port: int = 40_000, **odd: Any) -> Send:  # fmt: skip
    """Return a frame of host a's end as one that comes out of the wire to b; ``odd`` are fields of the outer IP."""
    here, there = "1.1.2.88", "1.1.2.92"
    ether = Ether(src="aa:55:aa:55:00:58", dst="aa:55:aa:55:00:5c")
    fields = {
        "flags": "DF",
        "id": 0,
        **(OPTIONS if options else {}),
        "src": here,
        "dst": there,
        **odd,
    }
    udp = UDP(sport=port, dport=4789, chksum=None if checksum else 0)
    vxlan = VXLAN(vni=vni, flags=bits, reserved2=reserved)
    return Send("bw", bytes(ether / IP(**fields) / udp / vxlan / inner.frame) + tail)


OPTIONS: dict[str, Any] = {"options": [IPOption_NOP()] * 4}
"""A header of IPv4 with options."""
