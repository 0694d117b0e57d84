"""What each action of the datapath does to a packet on its way, and the entry at its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from virtboost.flow import field
from virtboost.flow.action import Action
from virtboost.flow.checksum import deltas
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import (
    IntegratedEntry,
    Push,
    Rewrite,
    Step,
    StepKind,
    Tracked,
    Transposition,
)
from virtboost.flow.field import Field, Part
from virtboost.flow.megaflow import Megaflow, read_actions
from virtboost.flow.packet import Packet
from virtboost.flow.protocol import VLAN
from virtboost.flow.record import NOTHING, Record
from virtboost.flow.refusal import BY_ACTION, Refused, number
from virtboost.flow.spell import pushed
from virtboost.flow.text import Malformed, Place, pairs
from virtboost.flow.tracking import through
from virtboost.flow.transpose import SPOTS
from virtboost.flow.tunnel import pushed_header

MAX_RECIRCULATIONS = 6
"""``MAX_RECIRC_DEPTH`` of lib/dpif-netdev.c."""

SENDING = ("output", "tnl_push", "clone", "recirc")

CHANGING = frozenset(("set", "push_vlan", "pop_vlan", "tnl_push", "tnl_pop", "ct"))
"""Actions that may not follow a tunnel's header: they would be about that."""

TUNNEL_PORT = re.compile(r"[a-z]+_sys(_\d+)?$")
"""Names of the ports that ovs-vswitchd makes for tunnels, one for each kind and port number."""

OF_THE_HOST = ("skb_mark", "skb_priority")
"""What a packet may bring along that is in none of its bytes."""

VLAN_PARTS = ("vlan.tpid", "vlan.vid", "vlan.pcp", "vlan.cfi")


class Traversal:
    """One packet on its way through the datapath."""

    def __init__(self, packet: Packet, datapath: Datapath) -> None:
        """Begin where the packet comes in."""
        self._packet = packet
        self._datapath = datapath
        self._record = Record(packet)
        self._flows: list[Megaflow] = []
        self._tracked: list[Tracked] = []
        self._steps: list[Step] = []
        self._ports = [packet.in_port]
        self._output: str | None = None
        self._done = False
        self._tagged = False
        self._tunnel: dict[str, int] | None = None
        self._push: Push | None = None
        self._inner: tuple[Rewrite, ...] = ()
        self._deltas: tuple[int | None, int | None] = (0, 0)

    def entry(self) -> IntegratedEntry:
        """Follow the packet to its end.

        Raises:
            Refused: It cannot be one entry.
        """
        recirculations = 0
        again = True
        while again:
            flow = self._lookup()
            again = self._act(flow.actions, flow.place)
            recirculations += again and bool(self._record.metadata.get("recirc_id"))
            if recirculations > MAX_RECIRCULATIONS or len(self._flows) > 2 * MAX_RECIRCULATIONS:
                raise Refused(3, flow.place)
        if self._push is None:
            self._settle()
        return IntegratedEntry(
            in_port=self._packet.in_port,
            match=self._match(),
            transposition=self._transposition(),
            megaflows=tuple(self._flows),
            connections=tuple(self._tracked),
            ports=tuple(dict.fromkeys(self._ports)),
            steps=tuple(self._steps),
        )

    def _lookup(self) -> Megaflow:
        found = self._datapath.matching(self._record)
        where = self._flows[-1].place if self._flows else f"port {self._record.in_port}"
        recirculation = self._record.metadata.get("recirc_id", 0)
        if not found:
            raise Refused(
                1, where, f"recirc_id({recirculation:#x}),in_port({self._record.in_port})"
            )
        best = max(found, key=lambda rule: (rule.megaflow.packets, -rule.megaflow.place.line))
        for part in best.parts:
            if part.name in OF_THE_HOST and part.name not in self._record.metadata:
                raise Refused(23, best.megaflow.where(part.name), part.name)
            if not self._record.require(part):
                raise Refused(25, best.megaflow.where(part.name), part.name)
        for other in found:
            if not other.same(best) and self._record.matches(other.parts):
                raise Refused(2, best.megaflow.place, str(other.megaflow.place))
        self._flows.append(best.megaflow)
        self._step("lookup", f"recirc_id({recirculation:#x}) in_port({self._record.in_port})")
        return best.megaflow

    def _act(self, actions: tuple[Action, ...], place: Place) -> bool:
        """Carry actions out; tell whether another lookup follows."""
        for index, each in enumerate(actions):
            if self._done:
                raise Refused(9 if each.name in SENDING else 20, place, each.name)
            again = self._one(each, place, last=index == len(actions) - 1)
            if again:
                return True
        if not self._done:
            self._done = True
            self._step("drop", "no action left")
        return False

    def _one(self, each: Action, place: Place, *, last: bool) -> bool:
        if each.name in BY_ACTION:
            raise Refused(BY_ACTION[each.name], place, each.name)
        if each.name == "clone":
            if not last:
                raise Refused(9, place, "clone")
            return self._act(self._read(each.argument, place), place)
        act = _ACTS.get(each.name)
        if act is None:
            raise Refused(26, place, each.name)
        if self._push is not None and each.name in CHANGING:
            raise Refused(29, place, each.name)
        again = act(self, each.argument, place)
        if again and not last:
            raise Refused(9, place, f"{each.name} is not the last action")
        return again

    def _read(self, text: str, place: Place) -> tuple[Action, ...]:
        try:
            return read_actions(text)
        except Malformed as error:
            raise Refused(26, place, error.problem) from None

    def _decoded(self, text: str, place: Place) -> Field:
        name, _, argument = text.partition("(")
        try:
            return field.decode(name, argument[:-1])
        except Malformed as error:
            raise Refused(26, place, error.problem) from None

    def _step(self, kind: StepKind, text: str) -> None:
        self._steps.append(Step(kind=kind, text=text))

    def output(self, argument: str, place: Place) -> bool:
        """Send the packet."""
        if self._tunnel is not None:
            if TUNNEL_PORT.match(argument) is None:
                raise Refused(19, place, f"is {argument} a tunnel's port?")
            self._settle()
            self._push = Push(fields=self._tunnel, port=argument)
            self._step("push", pushed(self._push))
        self._output, self._done = argument, True
        self._ports.append(argument)
        self._step("output", argument)
        return False

    def drop(self, argument: str, place: Place) -> bool:
        """Drop the packet."""
        self._done = True
        self._step("drop", argument or "drop")
        return False

    def recirculate(self, argument: str, place: Place) -> bool:
        """Look it up again."""
        self._record.metadata["recirc_id"] = number(argument, place)
        self._step("recirculate", argument)
        return True

    def set(self, argument: str, place: Place) -> bool:
        """Make fields constants."""
        found = self._decoded(argument, place)
        if found.name == "tunnel":
            self._tunnel = {p.name: int(p.value) for p in found.parts if isinstance(p.value, int)}
        elif found.name in ("skb_mark", "skb_priority"):
            for part in found.parts:
                before = self._record.metadata.get(part.name, 0)
                value = int(part.value) & part.mask | before & ~part.mask
                self._record.metadata[part.name] = value
        else:
            for part in found.parts:
                self._record.set(part.name, int(part.value), part.mask)
        self._step("set", argument)
        return False

    def push_vlan(self, argument: str, place: Place) -> bool:
        """Put a tag on."""
        if not self._record.require_known("vlan.tpid") or self._record.known("vlan.tpid").value:
            raise Refused(10, place, "push_vlan")
        values = {key: number(value, place) for key, value, _ in pairs(argument)}
        self._record.set("vlan.tpid", values.get("tpid", VLAN))
        self._record.set("vlan.vid", values.get("vid", 0))
        self._record.set("vlan.pcp", values.get("pcp", 0))
        self._record.set("vlan.cfi", values.get("cfi", 1))
        self._step("set", f"push_vlan({argument})")
        return False

    def pop_vlan(self, argument: str, place: Place) -> bool:
        """Take the tag off."""
        known = self._record.require_known("vlan.tpid")
        if not known or not self._record.known("vlan.tpid").value:
            raise Refused(10, place, "pop_vlan of a packet without a tag")
        for name in VLAN_PARTS:
            self._record.set(name, 0)
        self._step("set", "pop_vlan")
        return False

    def tnl_pop(self, argument: str, place: Place) -> bool:
        """Take the tunnel's header off."""
        if self._record.level:
            raise Refused(19, place, "a second one: both outer headers would bear one name")
        if len(self._packet.headers) == 1:
            raise Refused(19, place, "the packet given has no inner header")
        self._record.require_known("tunnel.tun_id")
        self._record.pop(argument)
        self._ports.append(argument)
        self._record.metadata.clear()
        self._step("pop", argument)
        return True

    def tnl_push(self, argument: str, place: Place) -> bool:
        """Put the tunnel's header on."""
        self._settle()
        parts = {key: value for key, value, _ in pairs(argument)}
        port = parts.get("tnl_port", "")
        try:
            fields, template = pushed_header(parts.get("header", ""))
        except Malformed as error:
            raise Refused(19, place, error.problem) from None
        self._push = Push(fields=fields, port=port, template=template)
        self._record.push({k: v for k, v in fields.items() if not k.startswith("tunnel.")})
        self._record.in_port = parts.get("out_port", "")
        self._ports += [port, self._record.in_port]
        self._step("push", pushed(self._push))
        return False

    def ct_clear(self, argument: str, place: Place) -> bool:
        """Forget the connection."""
        for name in list(self._record.metadata):
            if name.startswith("ct_"):
                del self._record.metadata[name]
        self._step("conntrack", "ct_clear")
        return False

    def ct(self, argument: str, place: Place) -> bool:
        """Take the packet through the connection tracker."""
        passed = through(self._record, self._datapath, argument, place)
        self._tracked.append(passed.tracked)
        direction = "reply" if passed.tracked.reply else "original"
        self._step("conntrack", f"zone {passed.zone}: {passed.packet}, {direction} direction")
        if passed.translated is not None:
            self._step("set", f"NAT: {passed.translated}")
        return False

    def _settle(self) -> None:
        """Take down what becomes of the packet's own header, before an outer one is put on."""
        rewrites = []
        for name, symbol in self._record.rewritten():
            if name in VLAN_PARTS:
                self._tagged = True
            elif name not in SPOTS:
                raise Refused(28, self._flows[-1].place, name)
            elif self._record.exact(name) != symbol.value or symbol.mask != field.full(name):
                rewrites.append(Rewrite(name=name, value=symbol.value, mask=symbol.mask))
        self._inner = tuple(sorted(rewrites, key=lambda each: each.name))
        self._deltas = deltas(self._inner, self._record.exact)
        came = self._record.guards.get((self._record.level, "vlan.tpid"), NOTHING)
        self._came_tagged = bool(came.value)
        self._vlan = {name: self._record.known(name).value for name in VLAN_PARTS}

    def _transposition(self) -> Transposition:
        ip_delta, l4_delta = self._deltas
        tagged_now = bool(self._vlan["vlan.tpid"])
        return Transposition(
            pop=self._record.level,
            pop_vlan=self._tagged and self._came_tagged,
            push_vlan=self._vlan if self._tagged and tagged_now else None,
            rewrites=self._inner,
            ip_checksum_delta=ip_delta,
            l4_checksum_delta=l4_delta,
            push=self._push,
            output=self._output,
        )

    def _match(self) -> tuple[Part, ...]:
        popped = self._record.level
        found = []
        for (level, name), guard in sorted(self._record.guards.items()):
            prefix = "outer." if 0 <= level < popped else ""
            found.append(Part(f"{prefix}{name}", guard.value, guard.mask))
        return tuple(found)


_ACTS: Mapping[str, Callable[[Traversal, str, Place], bool]] = {
    "output": Traversal.output,
    "drop": Traversal.drop,
    "recirc": Traversal.recirculate,
    "set": Traversal.set,
    "push_vlan": Traversal.push_vlan,
    "pop_vlan": Traversal.pop_vlan,
    "tnl_pop": Traversal.tnl_pop,
    "tnl_push": Traversal.tnl_push,
    "ct": Traversal.ct,
    "ct_clear": Traversal.ct_clear,
}
