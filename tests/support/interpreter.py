"""Megaflows and connections carried out on one packet, step by step: a reference for the composer.

It knows nothing of the product: flows are dictionaries and tuples, a packet is a stack of
dictionaries, outermost first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Match = Mapping[str, tuple[Any, int]]

FIN_SYN_RST = 0x7

TRACKED, ESTABLISHED, REPLY, SOURCE_NAT, DESTINATION_NAT = 0x20, 0x02, 0x08, 0x40, 0x80

FORGOTTEN = {"ct_state": 0, "ct_zone": 0, "ct_mark": 0}


class Flow(NamedTuple):
    """A megaflow."""

    match: Match
    actions: Sequence[tuple[Any, ...]]


class Tracked(NamedTuple):
    """A connection of a zone: what its packets have before and after it, in each direction."""

    zone: int
    original: tuple[int, int, int, int]
    """Source, destination, and their ports."""
    reply: tuple[int, int, int, int]
    mark: int = 0
    established: bool = True


class Sent(NamedTuple):
    """What became of a packet."""

    port: str | None
    """None: dropped."""
    stack: tuple[tuple[tuple[str, int], ...], ...]


class Stopped(Exception):
    """The packet goes somewhere that no entry can follow."""


TUPLE = ("ipv4.src", "ipv4.dst", "tcp.src", "tcp.dst")


class Interpreter:
    """A datapath."""

    def __init__(self, flows: Sequence[Flow], connections: Sequence[Tracked]) -> None:
        self.flows = list(flows)
        self.connections = list(connections)

    def run(self, in_port: str, stack: Sequence[Mapping[str, int]]) -> Sent:
        """Return what becomes of a packet.

        Raises:
            Stopped: No flow matches, or something happens that depends on more than the packet.
        """
        state = State(in_port, stack)
        for _ in range(20):
            found = [flow for flow in self.flows if state.matches(flow.match)]
            if len(found) != 1:
                raise Stopped(f"{len(found)} flows match")
            sent = self.act(state, found[0].actions)
            if sent is not None:
                return sent
        raise Stopped("too deep")

    def act(self, state: State, actions: Sequence[tuple[Any, ...]]) -> Sent | None:
        """Carry actions out; return what was sent, or None where it is looked up again."""
        for name, *told in actions:
            if name == "output":
                return state.sent(told[0])
            if name == "recirc":
                state.metadata["recirc_id"] = told[0]
                return None
            if name == "pop":
                state.pop(told[0])
                return None
            if name == "ct":
                self.track(state, *told)
            elif not state.change(name, told):
                raise Stopped(name)
        return state.sent(None)

    def track(self, state: State, zone: int, translate: bool) -> None:  # noqa: FBT001
        inner = state.stack[-1]
        if inner.get("ipv4.frag") or inner.get("tcp_flags", 0) & FIN_SYN_RST:
            raise Stopped("changes its connection")
        here = tuple(inner[name] for name in TUPLE)
        for each in self.connections:
            for reply, mine, other in (
                (False, each.original, each.reply),
                (True, each.reply, each.original),
            ):
                if each.zone == zone and mine == here:
                    if not each.established:
                        raise Stopped("not established")
                    bits = TRACKED | ESTABLISHED | (REPLY if reply else 0)
                    there = (other[1], other[0], other[3], other[2])
                    if translate and there != here:
                        bits |= SOURCE_NAT if (here[0], here[2]) != (there[0], there[2]) else 0
                        bits |= DESTINATION_NAT if (here[1], here[3]) != (there[1], there[3]) else 0
                        inner.update(zip(TUPLE, there, strict=True))
                    state.metadata |= {"ct_state": bits, "ct_zone": zone, "ct_mark": each.mark}
                    return
        raise Stopped("no connection")


class State:
    """A packet on its way."""

    def __init__(self, in_port: str, stack: Sequence[Mapping[str, int]]) -> None:
        self.in_port = in_port
        self.stack = [dict(each) for each in stack]
        self.metadata: dict[str, int] = {"recirc_id": 0, **FORGOTTEN}
        self.level = 0
        self.pushed = False

    def value(self, name: str) -> Any:
        if name == "in_port":
            return self.in_port
        if name.startswith(("ct_", "recirc_id", "tunnel.")):
            return self.metadata.get(name, 0)
        return self.stack[self.level].get(name, 0)

    def matches(self, match: Match) -> bool:
        return all(
            self.value(name) == value
            if isinstance(value, str)
            else not (self.value(name) ^ value) & mask
            for name, (value, mask) in match.items()
        )

    def change(self, name: str, told: Sequence[Any]) -> bool:
        """Change headers; tell whether the action is known."""
        top = self.stack[self.level]
        if name == "set":
            field, value, mask = told
            top[field] = top.get(field, 0) & ~mask | value & mask
        elif name == "push_vlan":
            top |= {"vlan.tpid": 0x8100, "vlan.vid": told[0], "vlan.pcp": told[1], "vlan.cfi": 1}
        elif name == "pop_vlan":
            top |= dict.fromkeys(("vlan.tpid", "vlan.vid", "vlan.pcp", "vlan.cfi"), 0)
        elif name == "ct_clear":
            self.metadata |= FORGOTTEN
        elif name == "push":
            self.stack.insert(0, dict(told[0]))
        else:
            return False
        return True

    def pop(self, port: str) -> None:
        if len(self.stack) < 2:
            raise Stopped("nothing inside")
        outer = self.stack.pop(0)
        self.metadata = {
            **FORGOTTEN,
            "tunnel.src": outer["ipv4.src"],
            "tunnel.dst": outer["ipv4.dst"],
            "tunnel.tos": outer["ipv4.tos"],
            "tunnel.ttl": outer["ipv4.ttl"],
            "tunnel.tun_id": outer["tunnel.tun_id"],
            "recirc_id": 0,
        }
        self.in_port = port

    def sent(self, port: str | None) -> Sent:
        return Sent(port, tuple(tuple(sorted(each.items())) for each in self.stack))
