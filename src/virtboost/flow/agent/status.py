"""What a running agent says of itself: a document, metrics, and counters in the form of a dump."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from msgspec import Struct

from virtboost.flow import abi
from virtboost.flow.agent.dump import FlowLine
from virtboost.flow.protocol import IP_NAMES, IPV4

State = Literal["open", "closed", "quarantined", "waiting"]
"""Entries are carried out; all passes until the next check; for good; no ovs-vswitchd is there."""


class Direction(Struct, frozen=True, kw_only=True):
    """One entry."""

    what: str
    """``tcp 10.0.0.1:1000 -> 10.0.0.2:80``."""
    port: str
    """Where its packets come in."""
    packets: int
    """That it took, since it was installed."""
    bytes: int
    packets_per_s: float
    """Over the last second or so."""


class FlowStatus(Struct, frozen=True, kw_only=True):
    """One agent."""

    schema: Literal["virtboost.flow-status/1"] = "virtboost.flow-status/1"
    pid: int
    state: State
    reason: str
    """Why it is quarantined; else empty."""
    datapath: str | None
    """None: no ovs-vswitchd is there."""
    ports: tuple[str, ...]
    """That packets are redirected from and to."""
    observe: bool
    """Whether it redirects nothing."""
    tcp_window: Literal["strict", "liberal"]
    lease_ms: int
    check_ms: float
    """How long the last check of everything took."""
    entries: int
    """That are installed, one a direction."""
    max_entries: int
    removed: int
    """Entries that were taken out, since the start."""
    packets: int
    """That entries took, those that were taken out among them."""
    bytes: int
    passes: dict[str, int]
    """Packets that went on to Open vSwitch, by why."""
    refused: dict[str, int]
    """Candidates that could not be entries, by why: R01 and so on are those of flow explain."""
    closed: dict[str, int]
    """How often all entries were closed, by what changed."""
    samples: bool
    """Whether packets are compared: in front of a kernel datapath none are."""
    verified: dict[str, int]
    """Samples: ``same`` as predicted, ``absent`` where nothing was seen to leave, ``different``."""
    busiest: tuple[Direction, ...]
    """The entries with the most packets lately."""


def spelled(key: abi.Key) -> str:
    """Return a key as a person writes a connection."""
    kind, size = (IPv4Address, 4) if key.eth_type == IPV4 else (IPv6Address, 16)
    ends = [str(kind(bytes(each)[:size])) for each in (key.source, key.destination)]
    if size == 16:
        ends = [f"[{end}]" for end in ends]
    name = IP_NAMES.get(key.protocol, str(key.protocol))
    if name not in ("tcp", "udp"):
        return f"{name} {ends[0]} -> {ends[1]}"
    return f"{name} {ends[0]}:{key.source_port} -> {ends[1]}:{key.destination_port}"


def merged(
    flows: Mapping[str, FlowLine],
    carried: Mapping[str, tuple[int, int]],
    used_s: Mapping[str, float],
) -> Iterator[str]:
    """Yield the lines of ``dump-flows -m`` with what entries took added.

    A megaflow that is gone has a line too where entries took packets of it: ``gone:yes``.

    Args:
        flows: The datapath's own.
        carried: Packets and bytes by megaflow.
        used_s: Seconds since an entry took one.
    """
    for key, line in flows.items():
        packets, size = carried.get(key, (0, 0))
        ages = [age for age in (line.used_s, used_s.get(key)) if age is not None]
        yield _recounted(line, line.packets + packets, line.bytes + size, min(ages, default=None))
    for key, (packets, size) in carried.items():
        if key not in flows:
            match, _, actions = key.partition(", actions:")
            counters = f"packets:{packets}, bytes:{size}, used:never, gone:yes"
            yield f"{match}, {counters}, actions:{actions}"


def _recounted(line: FlowLine, packets: int, size: int, used_s: float | None) -> str:
    match, _, rest = line.text.partition(", packets:")
    more = rest.split(", ", 3)[3]
    used = "never" if used_s is None else f"{used_s:.3f}s"
    return f"{match}, packets:{packets}, bytes:{size}, used:{used}, {more}"


def metrics(status: FlowStatus) -> str:
    """Return a status in Prometheus's text format 0.0.4."""
    states = {
        each: int(status.state == each) for each in ("open", "closed", "quarantined", "waiting")
    }
    families = (
        ("entries", "gauge", "Entries that are installed.", {"": status.entries}),
        ("entries_limit", "gauge", "Entries that may be.", {"": status.max_entries}),
        ("entries_removed_total", "counter", "Entries taken out.", {"": status.removed}),
        ("packets_total", "counter", "Packets that entries took.", {"": status.packets}),
        ("bytes_total", "counter", "Bytes that entries took.", {"": status.bytes}),
        ("check_seconds", "gauge", "Length of the last check.", {"": status.check_ms / 1000}),
        ("state", "gauge", "1: the state it is in.", _labelled("state", states)),
        (
            "passes_total",
            "counter",
            "Packets left to Open vSwitch.",
            _labelled("reason", status.passes),
        ),
        ("refused_total", "counter", "Candidates refused.", _labelled("reason", status.refused)),
        ("closed_total", "counter", "Closings of all entries.", _labelled("reason", status.closed)),
        ("verified_total", "counter", "Samples compared.", _labelled("result", status.verified)),
    )
    return "".join(line for family in families for line in _family(*family))


def _labelled(label: str, counts: Mapping[str, int]) -> dict[str, float]:
    return {f'{{{label}="{_escaped(name)}"}}': count for name, count in counts.items()}


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _family(name: str, kind: str, meaning: str, samples: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP virtboost_flow_{name} {meaning}\n# TYPE virtboost_flow_{name} {kind}\n"
    for label, value in samples.items():
        yield f"virtboost_flow_{name}{label} {value}\n"
