"""Actions of the datapath as a dump has them."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from virtboost.flow.text import Malformed

ACTIONS = frozenset(
    (
        *("drop", "output", "ct", "ct_clear", "recirc", "set", "tnl_push", "tnl_pop"),
        *("push_vlan", "pop_vlan", "push_mpls", "add_mpls", "pop_mpls", "push_eth", "pop_eth"),
        *("push_nsh", "pop_nsh", "userspace", "sample", "psample", "clone", "hash", "trunc"),
        *("meter", "check_pkt_len", "lb_output", "dec_ttl", "nat", "encap_nsh", "decap_nsh"),
    )
)
"""Names that are no ports; ``output`` is ours, for a port's name or number alone."""


class Action(Struct, frozen=True, gc=False):
    """One action."""

    name: str
    argument: str
    """What is in its parentheses; of ``output`` the port."""


@lru_cache(maxsize=1 << 14)
def decode(name: str, argument: str | None) -> Action:
    """Return an action.

    Raises:
        Malformed: It is none that this version knows.
    """
    if argument is None:
        return Action(name, "") if name in ACTIONS else Action("output", name)
    if name not in ACTIONS:
        raise Malformed(f"unknown action {name[:30]!r}")
    return Action(name, argument)
