"""Dumps as lines that are compared, each read once: what an entry depends on is a line's text.

A megaflow is known by its match and actions: its ufid is another when it is made anew.  A
connection is known by its line without the timeout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from virtboost.errors import ParseError
from virtboost.flow.connection import Connection, read_connections
from virtboost.flow.megaflow import Megaflow, read_flows

_TIMEOUT = re.compile(r",timeout=(\d+)")

_COUNTERS = re.compile(r",packets=\d+,bytes=\d+")
"""Of each direction, where the kernel counts (``nf_conntrack_acct``)."""

_TRACKED = re.compile(r"\bct(?:\(([^()]*)|(?=,|$))")

_ZONE = re.compile(r"\bzone=(\d+)")

REPLIED = frozenset(("SEEN_REPLY",))


class FlowLine(NamedTuple):
    """What a line says of its megaflow by now."""

    text: str
    """The first line of those that have this match and these actions: one for each PMD thread."""
    packets: int
    bytes: int
    used_s: float | None
    """Of the last packet; None: never."""


def identity(line: str) -> str:
    """Return match and actions of a megaflow's line; empty where it is none."""
    match, found, rest = line.partition(", packets:")
    if not found:
        return ""
    actions = rest.partition("actions:")[2].partition(", dp-extra-info:")[0]
    if match.startswith("ufid:"):
        match = match.partition(", ")[2] or match.partition(",")[2]
    return f"{match}, actions:{actions}"


def flow_lines(text: str) -> dict[str, FlowLine]:
    """Return the megaflows of ``dump-flows -m`` by their identity."""
    found: dict[str, FlowLine] = {}
    for line in text.splitlines():
        key = identity(line)
        if key:
            now = _counted(line)
            found[key] = _together(found[key], now) if key in found else now
    return found


def _counted(line: str) -> FlowLine:
    packets, size, used = line.partition(", packets:")[2].split(", ", 3)[:3]
    age = used.removeprefix("used:").rstrip("s,")
    return FlowLine(
        line,
        int(packets),
        int(size.removeprefix("bytes:")),
        None if age == "never" else float(age),
    )


def _together(one: FlowLine, other: FlowLine) -> FlowLine:
    ages = [age for age in (one.used_s, other.used_s) if age is not None]
    return FlowLine(
        one.text,
        one.packets + other.packets,
        one.bytes + other.bytes,
        min(ages, default=None),
    )


def connection_lines(text: str) -> dict[str, int]:
    """Return the connections of ``dump-conntrack -m -s`` without counters, and their timeouts."""
    found = {}
    for line in text.splitlines():
        timeout = _TIMEOUT.search(line)
        if timeout:
            lasting = line[: timeout.start()] + line[timeout.end() :]
            found[_COUNTERS.sub("", lasting)] = int(timeout[1])
    return found


def zones(flows: Iterable[str]) -> set[int]:
    """Return the zones of conntrack that megaflows send packets to, by their identities."""
    found = set()
    for flow in flows:
        for each in _TRACKED.findall(flow.partition(", actions:")[2]):
            zone = _ZONE.search(each)
            found.add(int(zone[1]) if zone else 0)
    return found


class Known:
    """What lines say, read once each."""

    def __init__(self) -> None:
        """Begin without any."""
        self._flows: dict[str, Megaflow] = {}
        self._connections: dict[str, Connection] = {}
        self._replied: set[str] = set()

    def flows(self, lines: Mapping[str, FlowLine]) -> list[Megaflow]:
        """Return the megaflows of a dump; those of no form that is known are left out."""
        self._flows = {
            key: found
            for key, line in lines.items()
            for found in (self._flows.get(key) or _first(read_flows, line.text),)
            if isinstance(found, Megaflow)
        }
        return list(self._flows.values())

    def connections(self, lines: Iterable[str]) -> dict[str, Connection]:
        """Return the connections of a dump by their lines."""
        self._connections = {
            line: found
            for line in lines
            for found in (self._connections.get(line) or _first(read_connections, line),)
            if isinstance(found, Connection)
        }
        self._replied &= self._connections.keys()
        for line in self._replied:
            self._connections[line] = replace(self._connections[line], status=REPLIED)
        return self._connections

    def replied(self, line: str) -> None:
        """Note that both directions of a connection were seen: the userspace dump says it of none.

        It holds as long as the connection is in every dump.
        """
        self._replied.add(line)


def _first(read: object, line: str) -> object:
    try:
        return next(read([line], "dump"), None)  # type: ignore[operator]
    except ParseError:
        return None
