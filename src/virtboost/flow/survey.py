"""A whole dump: how much of its traffic could be one lookup, what hinders the rest, and its masks.

Every packet passes one megaflow last, which sends or drops it; so the counters of these add up to
the traffic.  Each of them is followed back by the first packet that it had, whose values a dump
shows beside the masks: its connection by ``ct_tuple4`` and ``ct_zone``, its port, its tunnel.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal, NamedTuple

from msgspec import Struct

from virtboost.flow.compose import Both, compose_both, tuple_fields
from virtboost.flow.connection import Tuple
from virtboost.flow.datapath import Datapath, Rule
from virtboost.flow.entry import IntegratedEntry
from virtboost.flow.field import CT_STATE, Part
from virtboost.flow.megaflow import Megaflow
from virtboost.flow.packet import Packet
from virtboost.flow.record import METADATA
from virtboost.flow.refusal import REASONS, Refusal
from virtboost.flow.switch import Switch

ONWARD = frozenset(("recirc", "tnl_pop"))
"""Actions after which a packet is looked up again."""

MANY = 32
"""Megaflows with the same actions, which differ in one field, are a suspicious mask."""

MOST_MASKS = 20
"""More masks than this to look in for one packet are worth a word: each is a hash lookup."""

_COOKIE = re.compile(r"rule_cookie=(0x[0-9a-f]+|0)")


class Hindrance(Struct, frozen=True, kw_only=True):
    """Why some traffic cannot be normalised."""

    reason: int
    """Number of the refusal."""
    text: str
    """The reason in words."""
    packets: int
    """Counted by the megaflows that it is about."""
    bytes: int
    megaflows: int
    """How many megaflows end so."""
    example: str
    """Where one is in the dump, and what it is about."""
    cookies: tuple[str, ...]
    """Of OpenFlow rules to blame, where the datapath tells them."""


class SuspiciousMask(Struct, frozen=True, kw_only=True):
    """Megaflows that do the same and differ in a field."""

    in_port: str
    recirculation: int
    """``recirc_id`` of the table."""
    field: str
    """In which they differ."""
    megaflows: int
    """How many there are."""
    example: str
    """Where one is in the dump."""


class Survey(Struct, frozen=True, kw_only=True):
    """What a dump says of its traffic."""

    schema: Literal["virtboost.flow-survey/1"] = "virtboost.flow-survey/1"
    switch: Switch
    """The datapath itself, as far as it was told."""
    megaflows: int
    """In the dump."""
    connections: int
    """In the dump."""
    packets: int
    """Of megaflows that send or drop."""
    bytes: int
    normalised_packets: int
    """Of those whose whole traversal becomes one entry."""
    normalised_bytes: int
    lookups_now: float | None
    """Lookups of megaflows and connections for a packet, on average; None: no packets."""
    lookups_then: float | None
    """The same where each normalised traversal is one lookup; None: no packets."""
    hindrances: tuple[Hindrance, ...]
    """The one with the most packets first."""
    masks: int
    """Different masks of all ports."""
    most_masks: int
    """Masks that a packet of the worst port and table may be looked up in."""
    suspicious: tuple[SuspiciousMask, ...]
    """The one with the most megaflows first."""
    advice: tuple[str, ...]


class _Verdict(NamedTuple):
    megaflow: Megaflow
    lookups: int
    refusal: Refusal | None


def survey(datapath: Datapath, switch: Switch) -> Survey:
    """Return what a dump says of its traffic."""
    verdicts = [_verdict(rule, datapath) for rule in datapath.rules if not _goes_on(rule.megaflow)]
    packets = sum(each.megaflow.packets for each in verdicts)
    good = [each for each in verdicts if each.refusal is None]
    now = sum(each.megaflow.packets * each.lookups for each in verdicts)
    saved = sum(each.megaflow.packets * (each.lookups - 1) for each in good)
    hindrances = tuple(_hindrances(verdicts))
    suspicious = tuple(_suspicious(datapath))
    most_masks = max(datapath.masks_by_table().values(), default=0)
    return Survey(
        switch=switch,
        megaflows=len(datapath.rules),
        connections=len(datapath.connections),
        packets=packets,
        bytes=sum(each.megaflow.bytes for each in verdicts),
        normalised_packets=sum(each.megaflow.packets for each in good),
        normalised_bytes=sum(each.megaflow.bytes for each in good),
        lookups_now=now / packets if packets else None,
        lookups_then=(now - saved) / packets if packets else None,
        hindrances=hindrances,
        masks=datapath.masks,
        most_masks=most_masks,
        suspicious=suspicious,
        advice=tuple(_advice(hindrances, suspicious, most_masks)),
    )


def _goes_on(flow: Megaflow) -> bool:
    return any(action.name in ONWARD for action in flow.actions)


def _verdict(rule: Rule, datapath: Datapath) -> _Verdict:
    """Return whether the traversals that end in a megaflow become one entry."""
    refusal: Refusal | None = None
    for packet in _first_packets(rule, datapath):
        both = compose_both(packet, datapath)
        if isinstance(both.forward, IntegratedEntry):
            if rule.megaflow not in both.forward.megaflows:
                continue
            if both.installable:
                return _Verdict(rule.megaflow, both.forward.lookups, None)
            return _Verdict(rule.megaflow, both.forward.lookups, _other(both))
        if refusal is None or refusal.reason == 1:
            refusal = both.forward
    unknown = Refusal(reason=27, where=str(rule.megaflow.place))
    return _Verdict(rule.megaflow, _depth(rule), refusal or unknown)


def _other(both: Both) -> Refusal:
    where = str(both.reverse) if isinstance(both.reverse, Refusal) else "no answer"
    return Refusal(reason=21, where=where)


def _depth(rule: Rule) -> int:
    """Return how many lookups a traversal has at least that ends in a megaflow."""
    tracked = any(part.name == "ct_state" and part.mask for part in rule.parts)
    return 1 + bool(rule.recirculation) + tracked


def _first_packets(rule: Rule, datapath: Datapath) -> Iterator[Packet]:
    """Yield packets as they may have come in, of which a megaflow saw one last."""
    match = rule.megaflow.match
    port = match.get("in_port", Part("in_port", "", 0)).value
    before = datapath.popping(str(port))
    fields = {
        name: int(part.value)
        for name, part in match.items()
        if isinstance(part.value, int) and name not in METADATA and not name.startswith("tunnel.")
    }
    outer = {
        f"ipv4.{end}": int(match[f"tunnel.{end}"].value)
        for end in ("src", "dst")
        if f"tunnel.{end}" in match
    }
    if "tunnel.tun_id" in match:
        outer["tunnel.tun_id"] = int(match["tunnel.tun_id"].value)
    metadata = {
        name: int(part.value)
        for name, part in match.items()
        if name.startswith("tunnel.") and isinstance(part.value, int)
    }
    tuples = list(_tuples(match, datapath))
    for sample in [tuple_fields(each) for each in tuples] or [fields]:
        for name in before:
            yield Packet(in_port=name, headers=(outer, sample))
        if not before:
            yield Packet(in_port=str(port), headers=(sample,), tunnel=metadata or None)


def _tuples(match: dict[str, Part], datapath: Datapath) -> Iterator[Tuple]:
    """Yield what the packets of a sample's connection had when they came in."""
    state = match.get("ct_state")
    if state is None or not int(state.value) & CT_STATE["trk"]:
        return
    reply = bool(int(state.value) & CT_STATE["rpl"])
    for version, ports in ((4, ("tp_src", "tp_dst")), (6, ("src_port", "dst_port"))):
        name = f"ct_tuple{version}"
        if f"{name}.src" not in match:
            continue
        values = [
            int(match[f"{name}.{part}"].value) if f"{name}.{part}" in match else 0
            for part in ("src", "dst", "proto", *ports)
        ]
        original = Tuple(values[0], values[1], version, values[2], values[3], values[4])
        zone = int(match["ct_zone"].value) if "ct_zone" in match else 0
        found = datapath.tracked(zone, original)
        if found is None:
            yield original.turned if reply else original
            continue
        here = found.connection.reply if reply else original
        yield here
        yield from datapath.before_translation(here)


def _hindrances(verdicts: list[_Verdict]) -> Iterator[Hindrance]:
    groups: defaultdict[int, list[_Verdict]] = defaultdict(list)
    for each in verdicts:
        if each.refusal is not None:
            groups[each.refusal.reason].append(each)
    found = [_hindrance(reason, group) for reason, group in groups.items()]
    yield from sorted(found, key=lambda each: (-each.packets, -each.megaflows, each.reason))


def _hindrance(reason: int, group: list[_Verdict]) -> Hindrance:
    worst = max(group, key=lambda each: each.megaflow.packets)
    cookies = {cookie for each in group for cookie in _COOKIE.findall(each.megaflow.text)}
    return Hindrance(
        reason=reason,
        text=REASONS[reason],
        packets=sum(each.megaflow.packets for each in group),
        bytes=sum(each.megaflow.bytes for each in group),
        megaflows=len(group),
        example=_example(worst),
        cookies=tuple(sorted(cookies)),
    )


def _example(verdict: _Verdict) -> str:
    refusal = verdict.refusal
    about = "" if refusal is None or not refusal.detail else f", {refusal.detail}"
    where = "" if refusal is None or refusal.reason != 21 else f", {refusal.where}"
    return f"{verdict.megaflow.place}{about}{where}"


def _suspicious(datapath: Datapath) -> Iterator[SuspiciousMask]:
    groups: defaultdict[tuple[object, ...], list[Rule]] = defaultdict(list)
    for rule in datapath.rules:
        groups[(*rule.bucket, rule.megaflow.actions)].append(rule)
    found = []
    for (recirculation, port, _), rules in groups.items():
        differing = _differing(rules) if len(rules) >= MANY else None
        if differing is not None:
            found.append(
                SuspiciousMask(
                    in_port=str(port),
                    recirculation=int(str(recirculation)),
                    field=differing,
                    megaflows=len(rules),
                    example=str(rules[0].megaflow.where(differing)),
                )
            )
    yield from sorted(found, key=lambda each: -each.megaflows)


def _differing(rules: list[Rule]) -> str | None:
    """Return the field in which most of some megaflows differ; None: there is none such."""
    values: defaultdict[str, set[tuple[object, int]]] = defaultdict(set)
    for rule in rules:
        for part in rule.parts:
            values[part.name].add((part.value, part.mask))
    name, found = max(values.items(), key=lambda each: len(each[1]), default=("", set()))
    return name if len(found) >= len(rules) / 2 else None


def _advice(
    hindrances: tuple[Hindrance, ...], suspicious: tuple[SuspiciousMask, ...], most_masks: int
) -> Iterator[str]:
    by_field: defaultdict[str, list[SuspiciousMask]] = defaultdict(list)
    for mask in suspicious:
        by_field[mask.field].append(mask)
    for field, masks in by_field.items():
        count = sum(mask.megaflows for mask in masks)
        yield (
            f"{count:,} megaflows of {len(masks)} tables do what others of their table do and "
            f"differ in {field}: a rule that matches on it makes each value a megaflow of its own"
        )
    if most_masks > MOST_MASKS:
        yield (
            f"a packet may be looked up under {most_masks} masks: rules of one table that match on "
            "the same fields share one"
        )
    for each in hindrances:
        if each.reason in _ADVICE:
            yield _ADVICE[each.reason]


_ADVICE = {
    1: "megaflows and connections of one moment belong together: dump both at once, with -m",
    4: "rules with controller, sFlow or IPFIX actions keep their traffic on the slow path",
    5: "meters limit traffic in the datapath only: QoS of the port leaves it to be normalised",
    12: "connections that never become ESTABLISHED in both zones: is one direction of them routed "
    "past this host?",
    18: "the userspace datapath does not tell whether UDP had a reply",
}
