"""One integrated entry: what a traversal of tables and connections does to a packet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from virtboost.flow.connection import Connection
from virtboost.flow.field import Part
from virtboost.flow.megaflow import Megaflow

StepKind = Literal["lookup", "conntrack", "recirculate", "pop", "push", "set", "output", "drop"]


class Step(Struct, frozen=True, kw_only=True):
    """One thing that happens to the packet."""

    kind: StepKind
    """What happens."""
    text: str
    """To what, in the words of the dump."""


class Rewrite(Struct, frozen=True, kw_only=True):
    """Bits of a header that become a constant."""

    name: str
    """``ipv4.src``."""
    value: int
    mask: int
    """Bits that are written; the others stay."""


class Push(Struct, frozen=True, kw_only=True):
    """An outer header that is put before the packet."""

    fields: Mapping[str, int]
    """Its values by name: ``eth.dst``, ``ipv4.src``, ``udp.dst``, ``tunnel.tun_id``, ...

    Lengths, the checksum of IPv4 and the source port of UDP are made for each packet.
    """
    port: str
    """The tunnel's port."""
    template: bytes | None = None
    """Its bytes; None: the kernel's datapath leaves Ethernet addresses to its stack."""


class Transposition(Struct, frozen=True, kw_only=True):
    """What is done to the headers, in this order."""

    pop: int = 0
    """Outer header stacks that are taken off."""
    pop_vlan: bool = False
    push_vlan: Mapping[str, int] | None = None
    """``vlan.vid``, ``vlan.pcp``, ``vlan.tpid`` of a tag; None: none is put on."""
    rewrites: tuple[Rewrite, ...] = ()
    ip_checksum_delta: int | None = 0
    """What the ones' complement sum of the IPv4 header grows by (RFC 1624); None: some old value is
    not known, and it is to be made from the packet."""
    l4_checksum_delta: int | None = 0
    """The same of TCP and UDP with their pseudo header."""
    push: Push | None = None
    """None: no tunnel."""
    output: str | None = None
    """Port; None: dropped."""


class Tracked(Struct, frozen=True, kw_only=True):
    """A connection that an entry depends on."""

    connection: Connection
    reply: bool
    """Whether the packet is of the reply direction."""


class IntegratedEntry(Struct, frozen=True, kw_only=True):
    """A traversal as one lookup and one transposition."""

    in_port: str
    match: tuple[Part, ...]
    """On the packet as it comes; ``outer.`` is before names of a header stack that is popped."""
    transposition: Transposition
    megaflows: tuple[Megaflow, ...]
    """Whose matches and actions it is made of, in their order."""
    connections: tuple[Tracked, ...]
    ports: tuple[str, ...]
    """Every port that it passes."""
    steps: tuple[Step, ...]
    """The traversal that it stands for."""

    @property
    def key(self) -> tuple[Part, ...]:
        """The parts that tell connections apart: addresses, ports, protocol and the tunnel."""
        return tuple(part for part in self.match if _is_key(part.name))

    @property
    def guards(self) -> tuple[Part, ...]:
        """The other parts of the match."""
        return tuple(part for part in self.match if not _is_key(part.name))

    @property
    def lookups(self) -> int:
        """How many lookups the datapath makes for a packet: megaflows and connections."""
        return len(self.megaflows) + len(self.connections)


_KEY_PARTS = frozenset(("src", "dst", "proto", "tun_id", "vid"))


def _is_key(name: str) -> bool:
    field, _, part = name.removeprefix("outer.").partition(".")
    return (field != "eth" and part in _KEY_PARTS) or field == "eth_type"
