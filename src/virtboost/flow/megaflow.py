"""Megaflows: ``ovs-appctl dpctl/dump-flows -m``, of the userspace and the kernel datapath."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from virtboost.errors import ParseError
from virtboost.flow import action, field
from virtboost.flow.action import Action
from virtboost.flow.field import Field, Part
from virtboost.flow.text import ITEM, Malformed, Place, items, not_an_item, read_lines

_STATISTICS = re.compile(
    r"packets:(\d+), bytes:(\d+), used:(never|[\d.]+)s?(?:, (?P<more>.*?))?, ?actions:"
)

_UFID = re.compile(r"ufid:([0-9a-f-]+),\s*")

_EXTRA = re.compile(r", dp-extra-info:\S*$")

_HEADING = re.compile(r"flow-dump from |filtering out|$")
"""Lines between flows that name a PMD thread."""


class Megaflow(Struct, frozen=True, kw_only=True, gc=False):
    """A flow of the datapath, as one line of a dump has it."""

    place: Place
    text: str
    """The line."""
    ufid: str | None
    """None where the dump has none (without ``-m``)."""
    fields: tuple[Field, ...]
    actions: tuple[Action, ...]
    packets: int
    bytes: int
    used_s: float | None
    """Seconds since the last packet; None: never."""
    more: str = ""
    """``flags:S, dp:ovs, offloaded:yes`` and what else stands between counters and actions."""

    @property
    def match(self) -> dict[str, Part]:
        """The parts by name, see ``fields_by_name``."""
        return fields_by_name(self.fields)

    def where(self, name: str) -> Place:
        """Return where a field or an action stands."""
        field_name = name.partition(".")[0]
        found = re.search(rf"(?:^|[\s,(:]){re.escape(field_name)}(?:\(|,|$)", self.text)
        offset = 0 if found is None else found.start() + (not found[0].startswith(field_name))
        return Place(self.place.source, self.place.line, offset + 1)


def fields_by_name(fields: Iterable[Field]) -> dict[str, Part]:
    """Return the parts by name; those behind a VLAN tag too, the tag's own type as ``vlan.tpid``.

    A match on the type of the frame alone is a match on there being no tag: ``vlan.tpid`` is 0.
    """
    found = {part.name: part for part in _parts(fields)}
    kind = found.get("eth_type")
    if kind is not None and kind.mask and "vlan.tpid" not in found:
        found["vlan.tpid"] = Part("vlan.tpid", 0, 0xFFFF)
    return found


def _parts(fields: Iterable[Field]) -> Iterator[Part]:
    tagged = any(each.name == "encap" for each in fields)
    for each in fields:
        if each.name == "encap":
            yield from _parts(each.inner)
        elif tagged and each.name == "eth_type":
            yield Part("vlan.tpid", each.parts[0].value, each.parts[0].mask)
        else:
            yield from each.parts


def read_flows(
    lines: Iterable[str], source: str, *, broken: list[ParseError] | None = None
) -> Iterator[Megaflow]:
    """Yield the flows of a dump, one line at a time.

    Args:
        lines: The dump.
        source: Where it comes from.
        broken: Gets the errors of lines that cannot be read, which are left out; None: the first
            ends the reading.

    Raises:
        ParseError: A line is no flow, with line and column.
    """
    return read_lines(lines, source, _flow, broken)


def read_actions(text: str, start: int = 0) -> tuple[Action, ...]:
    """Return a list of actions.

    Raises:
        Malformed: It is none.
    """
    found = []
    for item in items(text, start):
        try:
            found.append(action.decode(item[1], item[2]))
        except Malformed as error:
            raise Malformed(error.problem, item.start()) from None
    return tuple(found)


def read_fields(text: str, start: int = 0, end: int | None = None) -> tuple[Field, ...]:
    """Return a list of match fields.

    Raises:
        Malformed: It is none.
    """
    found = []
    match, decode = ITEM.match, field.decode  # this loop is most of the reading
    at, end = start, len(text) if end is None else end
    while at < end:
        item = match(text, at, end)
        if item is None:
            raise not_an_item(text, at, end)
        name, argument = item.group(1, 2)
        try:
            found.append(decode(name, argument or ""))
        except Malformed as error:
            raise Malformed(error.problem, item.end(1) + 1 + error.offset) from None
        at = item.end()
    return tuple(found)


def _flow(line: str, place: Place) -> Megaflow | None:
    text = line.rstrip()
    if _HEADING.match(text):
        return None
    counters = text.find("packets:")
    statistics = _STATISTICS.match(text, counters) if counters >= 0 else None
    if statistics is None:
        raise Malformed(_lacking(text), len(text))
    ufid = _UFID.match(text)
    end = text.rfind(", dp-extra-info:", statistics.end())
    if end < 0 or _EXTRA.match(text, end) is None:
        end = len(text)
    fields = read_fields(text, ufid.end() if ufid else 0, counters)
    actions = read_actions(text[:end], statistics.end())
    if not actions:
        raise Malformed("no actions", end)
    used = statistics[3]
    return Megaflow(
        place=place,
        text=text,
        ufid=ufid[1] if ufid else None,
        fields=fields,
        actions=actions,
        packets=int(statistics[1]),
        bytes=int(statistics[2]),
        used_s=None if used == "never" else float(used),
        more=statistics["more"] or "",
    )


def _lacking(text: str) -> str:
    if "packets:" not in text:
        return "not a flow: no packets:"
    return "half a flow: no actions:" if "actions:" not in text else "not a flow's counters"
