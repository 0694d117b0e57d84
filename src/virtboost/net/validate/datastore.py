"""A real etcd with watchers of one prefix, through its JSON gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

from virtboost.net.emulate.daemon import DaemonError, Process, shown
from virtboost.net.emulate.etcd import PROGRAM, begin
from virtboost.net.emulate.felix import PORT, coded
from virtboost.net.validate.rung import WatchRun, WatchRung

PROGRAMS = (PROGRAM,)

HOST = "127.0.0.1"

PREFIX = "/pods/"

LINE_BYTES = 1 << 20
"""Most of an answer's line."""

VALUE_BYTES = 100

PATIENCE_S = 120


def climb(rung: WatchRung, folder: Path) -> WatchRun:
    """Run one rung: keys are put, one after the other, and each watcher is told of each.

    Raises:
        DaemonError: etcd ended, or did not tell all.
    """
    shown("ip", "link", "set", "lo", "up")
    etcd = begin(folder, f"http://{HOST}:{PORT}")
    return asyncio.run(_climb(rung, etcd))


async def _climb(rung: WatchRung, etcd: Process) -> WatchRun:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await _answering(etcd)
            watches = await asyncio.gather(*(_watch() for _ in range(rung.watchers)))
            cpu, began = etcd.cpu_s(), time.monotonic()
            await _put(rung.events, [reader for reader, _ in watches])
    except TimeoutError:
        raise DaemonError(f"etcd: {rung.watchers:,} watchers not told in {PATIENCE_S} s") from None
    return WatchRun(rung=rung, seconds=time.monotonic() - began, cpu_s=etcd.cpu_s() - cpu)


async def _answering(etcd: Process) -> None:
    """Wait until it takes a key, which no watcher sees."""
    while True:
        etcd.running()
        try:
            reader, writer = await asyncio.open_connection(HOST, PORT)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        good = await _one(reader, writer, "kv/put", {"key": coded("ready"), "value": ""})
        writer.close()
        if good:
            return
        await asyncio.sleep(0.1)


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _watch() -> Ends:
    """Return a connection that tells of changes."""
    reader, writer = await asyncio.open_connection(HOST, PORT, limit=LINE_BYTES)
    last = PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1)
    _ask(writer, "watch", {"create_request": {"key": coded(PREFIX), "range_end": coded(last)}})
    while b'"created":true' not in await _line(reader):
        pass
    return reader, writer


async def _put(events: int, watches: Sequence[asyncio.StreamReader]) -> None:
    """Put keys, each once all were told of the one before: etcd gives none two at a time."""
    reader, writer = await asyncio.open_connection(HOST, PORT)
    for place in range(events):
        pair = {"key": coded(f"{PREFIX}{place}"), "value": coded("x" * VALUE_BYTES)}
        if not await _one(reader, writer, "kv/put", pair):
            raise DaemonError("etcd: does not take a key")
        await asyncio.gather(*map(_told, watches))


async def _told(reader: asyncio.StreamReader) -> None:
    while b'"events"' not in await _line(reader):
        pass


async def _one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: object
) -> bool:
    """Ask and wait for the answer; tell whether it is good."""
    _ask(writer, path, body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().splitlines()
        if line.startswith(b"content-length")
    )
    await reader.readexactly(length)
    return head.split()[1] == b"200"


def _ask(writer: asyncio.StreamWriter, path: str, body: object) -> None:
    content = json.dumps(body).encode()
    head = f"POST /v3/{path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line:
        raise DaemonError("etcd: closed a watcher's connection")
    return line
