"""Random pipelines of a datapath, with the packet that goes through one, for the composer's tests."""

from __future__ import annotations

import random
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from support.interpreter import Flow, Interpreter, State, Tracked

WIDTH = {
    "eth.src": 48, "eth.dst": 48, "eth_type": 16, "vlan.tpid": 16, "vlan.vid": 12, "vlan.pcp": 3,
    "ipv4.src": 32, "ipv4.dst": 32, "ipv4.proto": 8, "ipv4.tos": 8, "ipv4.ttl": 8, "ipv4.frag": 2,
    "tcp.src": 16, "tcp.dst": 16, "tcp_flags": 12, "udp.dst": 16,
    "ct_state": 8, "ct_zone": 16, "ct_mark": 32,
    "tunnel.src": 32, "tunnel.dst": 32, "tunnel.tos": 8, "tunnel.ttl": 8, "tunnel.tun_id": 64,
}  # fmt: skip

SETTABLE = (
    "eth.src",
    "eth.dst",
    "ipv4.tos",
    "ipv4.ttl",
    "ipv4.src",
    "ipv4.dst",
    "tcp.src",
    "tcp.dst",
)

ALWAYS = ("eth_type", "ipv4.frag")
"""What a datapath always matches on, exactly."""

TUNNEL = {"tunnel.tun_id": -1, "tunnel.tos": -1}
"""What it always matches on, exactly, of what came out of a tunnel."""

HEADER = {
    "eth.dst": 0xF8BC124434B6, "eth.src": 0xAA55AA550000, "eth_type": 0x0800, "vlan.tpid": 0,
    "ipv4.src": 0x01010258, "ipv4.dst": 0x0101025C, "ipv4.proto": 17, "ipv4.tos": 0,
    "ipv4.ttl": 64, "ipv4.frag": 0, "udp.dst": 4789, "tunnel.tun_id": 100, "tunnel.flags": 4,
}  # fmt: skip

PUSH = (
    "tnl_push(tnl_port(vx),header(size=50,type=4,eth(dst=f8:bc:12:44:34:b6,src=aa:55:aa:55:00:00,"
    "dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x4000),"
    "udp(src=0,dst=4789,csum=0x0),vxlan(flags=0x8000000,vni=0x64)),out_port(br))"
)


class Case(NamedTuple):
    """A datapath and a packet that one entry may be made of."""

    flows: list[str]
    connections: list[str]
    reference: Interpreter
    in_port: str
    stack: list[dict[str, int]]


def full(name: str) -> int:
    return (1 << WIDTH[name]) - 1


def random_case(chance: random.Random) -> Case:
    """Return a random pipeline, built along the way of a random packet."""
    return _Builder(chance).case()


def inner(chance: random.Random) -> dict[str, int]:
    tagged = chance.random() < 0.25
    found = {
        "eth.src": chance.getrandbits(48) & ~(1 << 40), "eth.dst": chance.getrandbits(48) & ~(1 << 40),
        "vlan.tpid": 0x8100 if tagged else 0, "eth_type": 0x0800,
        "ipv4.src": chance.getrandbits(32), "ipv4.dst": chance.getrandbits(32), "ipv4.proto": 6,
        "ipv4.tos": chance.getrandbits(8), "ipv4.ttl": chance.randint(2, 255), "ipv4.frag": 0,
        "tcp.src": chance.getrandbits(16), "tcp.dst": chance.getrandbits(16), "tcp_flags": 0x10,
    }  # fmt: skip
    if tagged:
        found |= {
            "vlan.vid": chance.randrange(1, 4096),
            "vlan.pcp": chance.randrange(8),
            "vlan.cfi": 1,
        }
    return found


class _Builder:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.flows: list[Flow] = []
        self.connections: list[Tracked] = []
        stack = [inner(chance)]
        self.in_port = "v1"
        if chance.random() < 0.4:
            turned = {
                **HEADER,
                "ipv4.tos": chance.choice((0, chance.getrandbits(8))),
                "ipv4.ttl": chance.randint(1, 255),
            }
            stack.insert(0, turned)
            self.in_port = "p0"
        self.stack = stack
        self.state = State(self.in_port, stack)

    def case(self) -> Case:
        if len(self.stack) == 2:
            self._add(self._here(("ipv4.dst", "ipv4.proto", "udp.dst")), [("pop", "vx")])
            self.state.pop("vx")
        for number in range(self.chance.randint(0, 4)):
            match = self._here()
            self._add(match, [*self._changes(), *self._conntrack(), ("recirc", number + 1)])
            self.state.metadata["recirc_id"] = number + 1
        match = self._here()
        self._add(match, [*self._changes(), *self._last()])
        if self.connections and self.chance.random() < 0.05:
            self.connections[-1] = self.connections[-1]._replace(established=False)
        return Case(
            [rendered(flow) for flow in self.flows],
            [connection(each) for each in self.connections],
            Interpreter(self.flows, self.connections),
            self.in_port,
            self.stack,
        )

    def _here(self, extra: tuple[str, ...] = ()) -> dict[str, tuple[Any, int]]:
        """Return a match that the packet meets where it is."""
        match: dict[str, tuple[Any, int]] = {
            name: (self.state.value(name), mask) for name, mask in self._masks(extra).items()
        }
        match["in_port"] = (self.state.in_port, -1)
        match["recirc_id"] = (self.state.metadata["recirc_id"], 0xFFFFFFFF)
        return match

    def _add(self, match: dict[str, tuple[Any, int]], actions: list[tuple[Any, ...]]) -> None:
        """Add a flow, and perhaps one for packets that differ in a bit."""
        fixed = (*ALWAYS, "vlan.tpid")
        numbers = [name for name in match if name in WIDTH and name not in fixed]
        if numbers and self.chance.random() < 0.6:
            name = self.chance.choice(numbers)
            bit = 1 << self.chance.randrange(WIDTH[name])
            value, mask = match[name]
            match[name] = (value, mask | bit)
            other = {**match, name: (value ^ bit, mask | bit)}
            self.flows.append(Flow(other, [("output", "elsewhere")]))
        self.flows.append(Flow(match, actions))

    def _masks(self, extra: tuple[str, ...]) -> dict[str, int]:
        top = self.state.stack[self.state.level]
        found = dict.fromkeys(("eth_type", "ipv4.frag", "vlan.tpid", *extra), -1)
        names = [
            name for name in top if name in WIDTH and name not in found and name != "tcp_flags"
        ]
        metadata = [name for name in self.state.metadata if name in WIDTH]
        for name in (*names, *metadata):
            draw = self.chance.random()
            if draw < 0.25:
                found[name] = -1
            elif draw < 0.5:
                found[name] = self.chance.getrandbits(WIDTH[name])
        if "tunnel.tun_id" in metadata:
            found |= TUNNEL
        if not top.get("vlan.tpid"):
            found = {k: v for k, v in found.items() if k not in ("vlan.vid", "vlan.pcp")}
        return {name: mask & full(name) for name, mask in found.items()}

    def _changes(self) -> list[tuple[Any, ...]]:
        """Change the packet; return how."""
        found: list[tuple[Any, ...]] = []
        for name in SETTABLE:
            if self.chance.random() < 0.15:
                mask = -1 if self.chance.random() < 0.6 else self.chance.getrandbits(WIDTH[name])
                mask &= full(name)
                if mask:
                    found.append(("set", name, self.chance.getrandbits(WIDTH[name]) & mask, mask))
        if self.chance.random() < 0.2:
            tagged = self.state.stack[-1].get("vlan.tpid")
            vid, pcp = self.chance.randrange(4096), self.chance.randrange(8)
            found.append(("pop_vlan",) if tagged else ("push_vlan", vid, pcp))
        for name, *told in found:
            self.state.change(name, told)
        return found

    def _conntrack(self) -> list[tuple[Any, ...]]:
        """Take the packet through the tracker, of a connection that is made for it."""
        draw = self.chance.random()
        if draw < 0.15:
            self.state.change("ct_clear", ())
            return [("ct_clear",)]
        if draw < 0.4:
            return []
        zone, translate = self.chance.randint(0, 3), self.chance.random() < 0.4
        top = self.state.stack[-1]
        here = (top["ipv4.src"], top["ipv4.dst"], top["tcp.src"], top["tcp.dst"])
        there = list(here)
        for number, bits in enumerate((32, 32, 16, 16)):
            if translate and self.chance.random() < 0.4:
                there[number] = self.chance.getrandbits(bits)
        turned = (there[1], there[0], there[3], there[2])
        original, reply = (here, turned) if self.chance.random() < 0.5 else (turned, here)
        if not any(here in (c.original, c.reply) for c in self.connections if c.zone == zone):
            mark = self.chance.randrange(4)
            self.connections.append(Tracked(zone, original, reply, mark))
        Interpreter([], self.connections).track(self.state, zone, translate)
        return [("ct", zone, translate)]

    def _last(self) -> list[tuple[Any, ...]]:
        draw = self.chance.random()
        if draw < 0.1:
            return []
        if draw < 0.2:
            return [
                (
                    "bad",
                    self.chance.choice(
                        ("userspace(pid=1)", "trunc(64),v2", "meter(1),v2", "hash(l4(0)),recirc(9)")
                    ),
                )
            ]
        if draw < 0.25 and len(self.stack) == 1:
            return [
                ("push", HEADER),
                ("set", "eth.dst", 0x020000000009, full("eth.dst")),
                ("output", "p0"),
            ]
        if draw < 0.55 and len(self.stack) == 1:
            return [("push", HEADER), ("output", "p0")]
        return [("output", "v2")]


UNSAID = ("tunnel.tos", 0)
"""What a dump leaves out, though it is matched on."""


def rendered(flow: Flow) -> str:
    """Return a flow as a dump has it."""
    return f"{_match(flow.match)}, packets:1, bytes:1, used:1.0s, actions:{_actions(flow.actions)}"


def _match(match: Mapping[str, tuple[Any, int]]) -> str:
    tagged = bool(match["vlan.tpid"][0])
    alone = [n for n in match if "." not in n and n not in ("in_port", "recirc_id", "eth_type")]
    words = [f"recirc_id({match['recirc_id'][0]:#x})", f"in_port({match['in_port'][0]})"]
    words += [f"{name}({_value(name, *match[name])})" for name in alone if name != "tcp_flags"]
    words += _group("tunnel", match) + _group("eth", match)
    behind = [f"eth_type({match['eth_type'][0]:#06x})", *_group("ipv4", match)]
    behind += [*_group("tcp", match), *_group("udp", match)]
    if tagged:
        words += ["eth_type(0x8100)", *(_group("vlan", match) or ["vlan(vid=0/0)"])]
        return ",".join([*words, f"encap({','.join(behind)})"])
    return ",".join([*words, *behind])


def _group(field: str, match: Mapping[str, tuple[Any, int]]) -> list[str]:
    parts = [
        f"{name.partition('.')[2]}={_value(name, value, mask)}"
        for name, (value, mask) in match.items()
        if name.startswith(f"{field}.") and name != "vlan.tpid" and (name, value) != UNSAID
    ]
    return [f"{field}({','.join(parts)})"] if parts else []


def _value(name: str, value: int, mask: int) -> str:
    if name == "ipv4.frag":
        return "no"
    if name in ("ipv4.src", "ipv4.dst", "tunnel.src", "tunnel.dst"):
        return f"{IPv4Address(value)}/{IPv4Address(mask)}"
    if name in ("eth.src", "eth.dst"):
        return f"{_mac(value)}/{_mac(mask)}"
    return f"{value:#x}/{mask:#x}"


def _mac(value: int) -> str:
    return ":".join(f"{octet:02x}" for octet in value.to_bytes(6, "big"))


def _actions(actions: Any) -> str:
    return ",".join(_action(*each) for each in actions) or "drop"


def _action(name: str, *told: Any) -> str:
    if name == "set":
        field, _, part = told[0].partition(".")
        return f"set({field}({part}={_value(*told)}))"
    if name == "ct":
        return f"ct(zone={told[0]}{',nat' if told[1] else ''})"
    words = {
        "output": "{0}",
        "recirc": "recirc({0:#x})",
        "pop": "tnl_pop({0})",
        "push": PUSH,
        "push_vlan": "push_vlan(vid={0},pcp={1})",
        "pop_vlan": "pop_vlan",
        "ct_clear": "ct_clear",
        "bad": "{0}",
    }
    return words[name] if name == "push" else words[name].format(*told)


def connection(each: Tracked) -> str:
    """Return a connection as a dump has it."""
    state = "ESTABLISHED" if each.established else "TIME_WAIT"
    sides = (
        f"(src={IPv4Address(t[0])},dst={IPv4Address(t[1])},sport={t[2]},dport={t[3]})"
        for t in (each.original, each.reply)
    )
    original, reply = sides
    return (
        f"tcp,orig={original},reply={reply},zone={each.zone},timeout=86399,mark={each.mark:#x},"
        f"protoinfo=(state_orig={state},state_reply={state})"
    )
