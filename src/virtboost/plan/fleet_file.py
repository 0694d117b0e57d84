"""A fleet and requests as tables, as files that people write, and from scanned hosts.

The tables are those of ``mdl1104/Dataset-for-topology-aware-VM-placement``: a server is a row with
``CPU1,RAM1,CPU2,RAM2`` (free cores and GiB of each node), a request one with ``flavor_vcpus``,
``flavor_ram`` (GiB), ``numa`` (cells), ``strategy``, ``group`` and ``domain``.  Both may have
``arch`` and ``generation``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import count, takewhile
from typing import cast, get_args

from msgspec import Struct

from virtboost.errors import ParseError
from virtboost.model.cpuset import union
from virtboost.model.fleet_plan import FleetRequest, FleetServer, Name, ServerNode, Strategy
from virtboost.model.host import Host
from virtboost.model.size import Size
from virtboost.model.userfile import from_yaml
from virtboost.model.workload import MAX_COUNT, MAX_VCPUS, HostShare
from virtboost.plan.supply import Supply, guest_bytes, roams, supply_of

GIB = 1 << 30

_MOST = 1 << 20
"""More pCPUs of a node, GiB, vCPUs or cells than anything has; a larger number is a slip."""


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


class _Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that are not known are mistakes."""


class _Node(_Form, frozen=True, kw_only=True):
    cpus: int
    memory: Size

    def __post_init__(self) -> None:
        _require(0 <= self.cpus <= _MOST, f"cpus: from 0 to {_MOST}")


class _Server(_Form, frozen=True, kw_only=True):
    name: str
    count: int = 1
    nodes: tuple[_Node, ...]
    distances: tuple[tuple[int, ...], ...] = ()
    arch: str | None = None
    generation: str | None = None

    def __post_init__(self) -> None:
        size = len(self.nodes)
        _require(1 <= self.count <= MAX_COUNT, f"count: from 1 to {MAX_COUNT}")
        _require(size, "nodes: one at least")
        square = [len(row) for row in self.distances] in ([], [size] * size)
        _require(square, f"distances: {size} rows of {size}, or none")


class FleetFile(_Form, frozen=True, kw_only=True):
    """A fleet as a person writes it."""

    servers: tuple[_Server, ...] = ()
    recordings: tuple[str, ...] = ()
    """Paths of recordings, beside the file."""


class _Guest(_Form, frozen=True, kw_only=True):
    name: str
    count: int = 1
    vcpus: int
    memory: Size
    cells: int = 1
    strategy: Strategy | None = None
    group: str = ""
    domain: str = ""
    arch: str | None = None
    generation: str | None = None

    def __post_init__(self) -> None:
        _require(1 <= self.count <= MAX_COUNT, f"count: from 1 to {MAX_COUNT}")
        _require(1 <= self.vcpus <= MAX_VCPUS, f"vcpus: from 1 to {MAX_VCPUS}")
        _require(1 <= self.cells <= self.vcpus, "cells: from 1 to the number of vcpus")


class _Requests(_Form, frozen=True, kw_only=True):
    requests: tuple[_Guest, ...]


def servers_in(file: FleetFile) -> Iterator[FleetServer]:
    """Yield the servers that a file lists; more than one of an entry is ``NAME-1``, ``NAME-2``."""
    for each in file.servers:
        nodes = tuple(
            ServerNode(id=number, cpus=node.cpus, memory_bytes=node.memory)
            for number, node in enumerate(each.nodes)
        )
        for name in _names(each.name, each.count):
            yield FleetServer(
                name=name,
                nodes=nodes,
                distances=each.distances,
                arch=each.arch,
                generation=each.generation,
            )


def fleet_file(text: str, source: str) -> FleetFile:
    """Read a fleet in YAML or JSON.

    Raises:
        ParseError: It is not one.
    """
    return from_yaml(text, FleetFile, source)


def requests_in(text: str, source: str) -> tuple[FleetRequest, ...]:
    """Read requests in YAML or JSON.

    Raises:
        ParseError: It is not such a file.
    """
    return tuple(
        FleetRequest(
            name=name,
            vcpus=each.vcpus,
            memory_bytes=each.memory,
            cells=each.cells,
            strategy=each.strategy,
            group=each.group,
            domain=each.domain,
            arch=each.arch,
            generation=each.generation,
        )
        for each in from_yaml(text, _Requests, source).requests
        for name in _names(each.name, each.count)
    )


def server_table(rows: list[dict[str, str]], source: str) -> tuple[FleetServer, ...]:
    """Return the servers of a table; a server is called by the number of its row, from 0.

    Raises:
        ParseError: A column is missing, or a number is none.
    """
    return tuple(
        FleetServer(
            name=number,
            nodes=tuple(_nodes(row, f"{source}:{number + 2}")),
            arch=row.get("arch") or None,
            generation=row.get("generation") or None,
        )
        for number, row in enumerate(rows)
    )


def request_table(rows: list[dict[str, str]], source: str) -> tuple[FleetRequest, ...]:
    """Return the requests of a table; a request is called by the number of its row, from 0.

    Raises:
        ParseError: A column is missing, a number is none, or a strategy is not known.
    """
    return tuple(
        FleetRequest(
            name=number,
            vcpus=_number(row, "flavor_vcpus", f"{source}:{number + 2}"),
            memory_bytes=_number(row, "flavor_ram", f"{source}:{number + 2}") * GIB,
            cells=_number(row, "numa", f"{source}:{number + 2}"),
            strategy=_strategy(row, f"{source}:{number + 2}"),
            group=row.get("group") or "",
            domain=row.get("domain") or "",
            arch=row.get("arch") or None,
            generation=row.get("generation") or None,
        )
        for number, row in enumerate(rows)
    )


def rows_of_csv(text: str) -> list[dict[str, str]]:
    """Return the rows of a table with a line of names at its head."""
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    return [{key: value or "" for key, value in row.items() if key} for row in reader]


def fleet_server(name: str, host: Host) -> FleetServer:
    """Return what a scanned host has left for guests, as the planner of one host counts it."""
    pins = [union(guest.vcpu_pins.values()) for guest in host.running_guests]
    cpusets = [each.cpuset for each in host.containers if each.cpuset]
    taken = union(cpus for cpus in (*pins, *cpusets) if not roams(host.topology, cpus))
    held = guest_bytes(host, host.running_guests)
    supply = supply_of(host, HostShare(), taken, held)
    return server_with(host.hostname or name, host, supply)


def server_with(name: Name, host: Host, supply: Supply) -> FleetServer:
    """Return a host as a server that has what is left of it."""
    nodes = list(supply.nodes.values())
    return FleetServer(
        name=name,
        nodes=tuple(
            ServerNode(id=node.id, cpus=node.pcpus, memory_bytes=node.memory_bytes)
            for node in nodes
        ),
        distances=tuple(tuple(node.distances[other.id] for other in nodes) for node in nodes),
        arch=host.arch,
        generation=host.cpu.generation or host.cpu.model,
    )


def _nodes(row: Mapping[str, str], where: str) -> Iterator[ServerNode]:
    numbers = list(takewhile(lambda number: f"CPU{number}" in row, count(1)))
    if not numbers:
        raise ParseError(where, "no column CPU1: a server has CPU1,RAM1,CPU2,RAM2 and so on")
    for number in numbers:
        memory = _number(row, f"RAM{number}", where) * GIB
        cpus = _number(row, f"CPU{number}", where)
        yield ServerNode(id=number - 1, cpus=cpus, memory_bytes=memory)


def _number(row: Mapping[str, str], column: str, where: str) -> int:
    if column not in row:
        raise ParseError(where, f"no column {column}; there are {', '.join(row)[:200]}")
    text = row[column].strip().removesuffix(".0")
    if not text.isdecimal() or int(text) > _MOST:
        raise ParseError(where, f"{column}: {row[column][:40]!r} is not a whole number from 0 on")
    return int(text)


def _strategy(row: Mapping[str, str], where: str) -> Strategy | None:
    text = (row.get("strategy") or "").strip()
    if text and text not in get_args(Strategy):
        known = ", ".join(get_args(Strategy))
        raise ParseError(where, f"strategy: {text[:40]!r} is none of {known}")
    return cast("Strategy", text) if text else None


def _names(name: str, number: int) -> Iterator[str]:
    if number == 1:
        yield name
    else:
        yield from (f"{name}-{each}" for each in range(1, number + 1))
