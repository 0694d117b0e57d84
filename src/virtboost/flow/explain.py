"""The traversal of one packet as a document: each step, and the one entry that it becomes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from virtboost.errors import InputError
from virtboost.flow import spell
from virtboost.flow.compose import Both, compose_both, tuple_fields
from virtboost.flow.connection import Connection
from virtboost.flow.datapath import Datapath
from virtboost.flow.entry import IntegratedEntry, Step
from virtboost.flow.packet import Packet
from virtboost.flow.refusal import Refusal


class ExplainedEntry(Struct, frozen=True, kw_only=True):
    """One direction of a traversal."""

    in_port: str
    steps: tuple[Step, ...]
    """What happens to the packet, in order."""
    lookups: int
    """Megaflows and connections that are looked up for a packet; the entry is one lookup."""
    key: tuple[str, ...]
    """Exact parts that tell flows apart."""
    guards: tuple[str, ...]
    """Other parts that a packet must have."""
    actions: tuple[str, ...]
    """What is done to it."""
    depends_on: tuple[str, ...]
    """What the entry lives as long as."""


class Explanation(Struct, frozen=True, kw_only=True):
    """Both directions of a traversal, or why it cannot be normalised."""

    schema: Literal["virtboost.flow-explanation/1"] = "virtboost.flow-explanation/1"
    normalised: bool
    """Whether the entries may be used: both directions, or one that has no connection."""
    forward: ExplainedEntry | None
    """None: refused."""
    reverse: ExplainedEntry | None
    """None: refused, or there is no connection."""
    refusals: tuple[str, ...]
    """Numbered reasons, each with its place."""


def explain(packet: Packet, datapath: Datapath) -> Explanation:
    """Return what becomes of a packet and of its answer."""
    return explanation(compose_both(packet, datapath))


def explain_connection(text: str, datapath: Datapath) -> Explanation:
    """Return what becomes of the packets of a connection.

    Args:
        text: A part of how it is written: ``10.0.0.1:1000``, ``tcp 10.0.0.1:1000 -> 10.0.0.2:80``.
        datapath: A dump.

    Raises:
        InputError: No connection is written so, or the packets of more than one.
    """
    found = [each for each in datapath.connections if text in str(each.original)]
    if len({each.original for each in found}) != 1:
        names = ", ".join(sorted({str(each.original) for each in found})[:4])
        raise InputError(f"--connection {text}: {names or 'no connection is written so'}")
    return explanation(both_of(found[0], datapath))


def both_of(connection: Connection, datapath: Datapath) -> Both:
    """Return the entries of a connection, from whichever port its packets come in at."""
    refused: list[Both] = []
    composed: list[Both] = []
    for packet in packets_of(connection, datapath):
        both = compose_both(packet, datapath)
        if isinstance(both.forward, Refusal):
            refused.append(both)
        elif _is_of(connection, both):
            composed.append(both)
            if both.installable and _seen(connection, both):
                return both
    best = [each for each in composed if each.installable] or composed
    if best:
        return best[0]
    known = [each for each in refused if _reason(each) != 1]
    return (known or refused or [Both(Refusal(reason=1, where=str(connection.original)), None)])[0]


def _reason(both: Both) -> int:
    return both.forward.reason if isinstance(both.forward, Refusal) else 0


def _is_of(connection: Connection, both: Both) -> bool:
    entry = both.forward
    return isinstance(entry, IntegratedEntry) and any(
        each.connection.original == connection.original for each in entry.connections
    )


def _seen(connection: Connection, both: Both) -> bool:
    """Tell whether the first packet of some megaflow of a direction was one of the connection's.

    A dump has its values beside masks of zero.
    """
    entry, fields = both.forward, tuple_fields(connection.original)
    ends = [name for name in fields if name.endswith((".src", ".dst"))]
    flows = entry.megaflows if isinstance(entry, IntegratedEntry) else ()
    samples = [flow.match for flow in flows]
    return any(
        all(name in sample and sample[name].value == fields[name] for name in ends)
        for sample in samples
    )


def packets_of(connection: Connection, datapath: Datapath) -> Iterator[Packet]:
    """Yield packets of a connection's original direction, as they may come in.

    At every port: bare, in a tunnel, and out of one already.
    """
    fields = tuple_fields(connection.original)
    for port in datapath.ports(connection.original):
        yield Packet(in_port=port, headers=(fields,))
        yield Packet(in_port=port, headers=({}, fields))
        yield Packet(in_port=port, headers=(fields,), tunnel={})


def explanation(both: Both) -> Explanation:
    """Return both directions as a document."""
    refusals = [each for each in both if isinstance(each, Refusal)]
    return Explanation(
        normalised=both.installable,
        forward=_explained(both.forward),
        reverse=_explained(both.reverse),
        refusals=tuple(map(str, refusals)),
    )


def _explained(entry: IntegratedEntry | Refusal | None) -> ExplainedEntry | None:
    if not isinstance(entry, IntegratedEntry):
        return None
    return ExplainedEntry(
        in_port=entry.in_port,
        steps=entry.steps,
        lookups=entry.lookups,
        key=tuple(map(spell.part, entry.key)),
        guards=tuple(map(spell.part, entry.guards)),
        actions=tuple(spell.actions(entry.transposition)),
        depends_on=tuple(spell.dependencies(entry)),
    )
