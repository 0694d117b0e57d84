"""Why a traversal cannot become one entry: numbered, so that a survey can count them."""

from __future__ import annotations

from msgspec import Struct

REASONS: dict[int, str] = {
    1: "no megaflow matches: the packet goes to ovs-vswitchd",
    2: "more than one megaflow matches: the dump is of more than one moment",
    3: "recirculates more often than the datapath does",
    4: "goes to a program: controller, userspace, sFlow or IPFIX sample",
    5: "a meter limits it: each packet must be counted there",
    6: "its path depends on a hash",
    7: "is cut to a length",
    8: "its path depends on its length",
    9: "goes to more than one port",
    10: "a header that is not normalised: MPLS, NSH, a second VLAN tag, a bare Ethernet header",
    11: "no connection of its zone has it",
    12: "its connection is not established both ways",
    13: "its protocol has no exact state: only TCP and UDP have",
    14: "an application layer gateway reads it, or expected its connection",
    15: "it changes the mark or the label of its connection",
    16: "it makes its connection anew",
    17: "it is a fragment",
    18: "whether its UDP connection has seen a reply is not in the dump",
    19: "the tunnel's header is not known",
    20: "something is done after it was sent",
    21: "the other direction cannot be normalised",
    22: "an action whose result depends on the packet",
    23: "it matches on what is not known of the packet: an address, a port, a mark of the host",
    24: "SYN, FIN or RST changes the state of its connection, or it is invalid without ACK",
    25: "it matches on a field that a tunnel computes for each packet",
    26: "an action that this version does not know",
    27: "packets of its connection go another way by now",
    28: "a field is rewritten whose checksum is not the internet's, or that lies in no fixed place",
    29: "the tunnel's header is changed, or looked at by a connection tracker, after it was put on",
}

FOR_PROGRAMS = ("userspace", "sample", "psample")

BY_ACTION: dict[str, int] = {
    **dict.fromkeys(FOR_PROGRAMS, 4),
    "meter": 5,
    "hash": 6,
    "lb_output": 6,
    "trunc": 7,
    "check_pkt_len": 8,
    **dict.fromkeys(
        ("push_mpls", "add_mpls", "pop_mpls", "push_nsh", "pop_nsh", "push_eth", "pop_eth"), 10
    ),
    **dict.fromkeys(("encap_nsh", "decap_nsh"), 10),
    "dec_ttl": 22,
}
"""The reason of actions that are always refused."""


class Refusal(Struct, frozen=True, kw_only=True):
    """Why not."""

    reason: int
    """Number in ``REASONS``."""
    where: str
    """Place in a dump, or what of the packet."""
    detail: str = ""
    """The action, field or connection that it is about."""

    def __str__(self) -> str:
        """Return it as a sentence."""
        detail = f": {self.detail}" if self.detail else ""
        return f"R{self.reason:02d} {REASONS[self.reason]}{detail} ({self.where})"


class Refused(Exception):
    """A composition ends without an entry."""

    def __init__(self, reason: int, where: object, detail: str = "") -> None:
        """Carry a refusal."""
        self.refusal = Refusal(reason=reason, where=str(where), detail=detail)
        super().__init__(str(self.refusal))


def number(text: str, where: object) -> int:
    """Return a number of an action.

    Raises:
        Refused: It is none: the action is not one that is known.
    """
    try:
        return int(text, 0)
    except ValueError:
        raise Refused(26, where, f"not a number: {text[:30]!r}") from None
