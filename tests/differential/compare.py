"""What differs between two worlds, and the files that show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scapy.layers.l2 import Ether
from scapy.utils import RawPcapWriter

from differential.tap import WIRE, Frame

SOURCE_PORT = slice(34, 36)
"""Of the outer UDP header, behind Ethernet and IPv4 without options."""


class Difference(AssertionError):
    """The worlds are not alike."""


def same(frame: Frame) -> tuple[str, bytes]:
    """Return what two worlds must agree on: each hashes the outer source port in its own way."""
    if frame.point not in WIRE:
        return frame.point, frame.data
    data = bytearray(frame.data)
    data[SOURCE_PORT] = b"\0\0"
    return frame.point, bytes(data)


def of_frames(stock: Iterable[Frame], fast: Iterable[Frame]) -> list[str]:
    """Return what came out of one world only: point, summary, bytes."""
    counts = Counter(map(same, stock)), Counter(map(same, fast))
    return [
        *_lines("stock only", counts[0] - counts[1]),
        *_lines("fast only", counts[1] - counts[0]),
    ]


def _lines(where: str, frames: Mapping[tuple[str, bytes], int]) -> list[str]:
    return [
        f"{where}: {count} at {point}: {Ether(data).summary()}: {data.hex()}"
        for (point, data), count in frames.items()
    ]


def of_connections(
    stock: Mapping[str, Sequence[str]], fast: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return connections that hosts of one world have only."""
    found = []
    for host in stock:
        counts = Counter(stock[host]), Counter(fast[host])
        for where, left in (("stock", counts[0] - counts[1]), ("fast", counts[1] - counts[0])):
            found += [f"{where} only, host {host}: {line}" for line in left]
    return found


def keep(folder: Path, name: str, frames: Iterable[Frame]) -> None:
    """Write what came out of a world: a capture for each point."""
    by_point: dict[str, list[Frame]] = {}
    for frame in frames:
        by_point.setdefault(frame.point, []).append(frame)
    for point, each in by_point.items():
        with RawPcapWriter(str(folder / f"{name}-{point}.pcap"), linktype=1, nano=True) as writer:
            writer.write_header(None)
            for frame in each:
                seconds, rest = divmod(frame.time_ns, 10**9)
                writer.write_packet(frame.data, sec=seconds, usec=rest)
