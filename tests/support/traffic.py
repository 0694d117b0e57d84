"""Datagrams and streams between the ends of an overlay, and how many of them a dump has."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from support import datagrams, stream
from support.flow_agent import RunningAgent
from support.overlay import SERVER, Overlay
from virtboost.flow.megaflow import read_flows
from virtboost.flow.protocol import IPV4


class Answers(NamedTuple):
    """What came of some datagrams."""

    answered: list[int]
    came_ns: dict[int, int]
    """By number, at the server."""


class Exchange:
    """Datagrams that are being sent, and answered."""

    def __init__(self, made: Overlay, port: int, count: int, interval_ms: float, size: int) -> None:
        self._server = started(made, "server", datagrams.__file__, "serve", SERVER, port)
        words = ("send", SERVER, port, count, interval_ms, size)
        self._client = started(made, "client", datagrams.__file__, *words, ready=False)
        self._limit_s = 30 + count * interval_ms / 1000

    def end(self) -> Answers:
        answered = json.loads(told(self._client, self._limit_s))
        self._server.send_signal(signal.SIGTERM)
        came = json.loads(told(self._server, 10))
        return Answers(answered, dict(came))

    def kill(self) -> None:
        for each in (self._client, self._server):
            each.kill()
            each.communicate()


def started(
    made: Overlay, who: str, program: str, *words: object, ready: bool = True
) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        made.inside(who, sys.executable, program, *map(str, words)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if ready:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    return process


def told(process: subprocess.Popen[str], limit_s: float) -> str:
    output, _ = process.communicate(timeout=limit_s)
    assert process.returncode == 0, output
    return output.strip()


PORTS = iter(range(6000, 7000))


@contextmanager
def exchange(
    made: Overlay, count: int, interval_ms: float = 1, size: int = 100
) -> Iterator[Exchange]:
    running = Exchange(made, next(PORTS), count, interval_ms, size)
    try:
        yield running
    finally:
        running.kill()


def counted(lines: Sequence[str], port: str) -> tuple[int, int]:
    """Return packets and bytes of IPv4 that came to a port, from a dump."""
    packets = size = 0
    for flow in read_flows(lines, "flows"):
        match = flow.match
        if (
            match["in_port"].value == port
            and "recirc_id" in match
            and match["recirc_id"].value == 0
            and match["eth_type"].value == IPV4
        ):
            packets, size = packets + flow.packets, size + flow.bytes
    return packets, size


def carried(running: RunningAgent, entries: int = 2) -> None:
    """Wait until so many entries take packets."""
    running.until(lambda now: now.entries >= entries and now.state == "open" and now.packets > 20)


class Streaming:
    """A stream of TCP that goes on."""

    def __init__(self, made: Overlay, seconds: float, bytes_per_s: float = 2e7) -> None:
        port = next(PORTS)
        self._server = started(made, "server", stream.__file__, "receive", SERVER, port)
        words = ("send", SERVER, port, seconds, bytes_per_s)
        self._client = started(made, "client", stream.__file__, *words, ready=False)

    def assert_whole(self) -> None:
        """Wait for its end: what came is what was sent."""
        assert told(self._client, 60) == told(self._server, 10)

    def kill(self) -> None:
        for each in (self._client, self._server):
            each.kill()
            each.communicate()


@contextmanager
def streaming(made: Overlay, seconds: float) -> Iterator[Streaming]:
    running = Streaming(made, seconds)
    try:
        yield running
    finally:
        running.kill()
