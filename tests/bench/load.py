"""Load between a client and a server in namespaces: streams, datagrams, questions, connections."""

from __future__ import annotations

import ctypes
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.path import CLIENT, END, SERVER, Between
from support.daemon import ask, stop, wait_until
from support.namespace import entering, inside

LEARNED_S = 2
"""Of each run, what does not count: a fast path is learned meanwhile."""

MEASURED_S = 3

STREAM, QUESTIONS, CONNECTIONS, DATAGRAMS = 5000, 5001, 5002, 5003
"""Ports: those of one server are in TIME_WAIT when the next begins."""

BATCH = 64

DATA = 18
"""Bytes of a datagram in the shortest frame: 64 bytes with Ethernet's checksum."""

ACCEPT = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=1024)
while True:
    server.accept()[0].close()
"""


def stream(path: Between) -> float:
    """Return what iperf3 receives over one TCP connection, in Mbit/s."""
    with _serving(path, STREAM, "iperf3", "-s", "-p", str(STREAM), "-1"):
        words = ("-c", SERVER, "-p", str(STREAM), "-t", str(MEASURED_S), "-O", str(LEARNED_S), "-J")
        told = json.loads(ask(*entering(path.client), "iperf3", *words))
    return float(told["end"]["sum_received"]["bits_per_second"]) / 1e6


def questions(path: Between, log: Path) -> list[float]:
    """Return round trips of 64 bytes over one TCP connection, in microseconds, sorted."""
    with _serving(
        path, QUESTIONS, "sockperf", "server", "--tcp", "-i", SERVER, "-p", str(QUESTIONS)
    ):
        ask(*entering(path.client), "sockperf", "ping-pong", "--tcp", "-i", SERVER, "-p", str(QUESTIONS),
            "-t", str(LEARNED_S + MEASURED_S), "-m", "64", "--full-rtt", "--full-log", str(log))  # fmt: skip
    rows = [line.split(",") for line in log.read_text().splitlines() if line[:1].isdigit()]
    first = float(rows[0][1])
    return sorted(float(row[3]) for row in rows if float(row[1]) > first + LEARNED_S)


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def connections(path: Between) -> float:
    """Return TCP connections a second: opened, closed by the server, closed."""
    words = (sys.executable, "-c", ACCEPT, SERVER, str(CONNECTIONS))
    with _serving(path, CONNECTIONS, *words), inside(path.client):
        begin, count = time.perf_counter(), 0
        while time.perf_counter() < begin + MEASURED_S:
            with socket.create_connection((SERVER, CONNECTIONS), timeout=10) as made:
                made.recv(1)
            count += 1
        return count / (time.perf_counter() - begin)


def datagrams(path: Between) -> float:
    """Return how many datagrams of 64-byte frames arrive in a second, as fast as one CPU sends."""
    with _pair_of_sockets(path) as (client, server):
        end = time.monotonic() + LEARNED_S
        while time.monotonic() < end:
            client.send(bytes(DATA))
            server.recv(DATA)
            server.send(bytes(DATA))
            client.recv(DATA)
        before, begin = _arrived(path), time.perf_counter()
        _blast(client, MEASURED_S)
        return (_arrived(path) - before) / (time.perf_counter() - begin)


@contextmanager
def _pair_of_sockets(path: Between) -> Iterator[tuple[socket.socket, socket.socket]]:
    with inside(path.client):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(path.server):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client, server:
        for one, own, other in ((client, CLIENT, SERVER), (server, SERVER, CLIENT)):
            one.settimeout(10)
            one.bind((own, DATAGRAMS))
            one.connect((other, DATAGRAMS))
        yield client, server


class _Vector(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_char_p), ("size", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """``struct mmsghdr``."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("vector", ctypes.POINTER(_Vector)),
        ("vectors", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint32),
    )


def _blast(sending: socket.socket, duration_s: float) -> None:
    """Send datagrams as fast as they go, many a system call."""
    send = ctypes.CDLL(None).sendmmsg
    vector = _Vector(bytes(DATA), DATA)
    messages = (_Message * BATCH)()
    for each in messages:
        each.vector, each.vectors = ctypes.pointer(vector), 1
    end = time.monotonic() + duration_s
    while time.monotonic() < end:
        send(sending.fileno(), messages, BATCH, 0)


def _arrived(path: Between) -> int:
    (told,) = json.loads(ask(*entering(path.server), "ip", "-s", "-j", "link", "show", END))
    found: dict[str, Any] = told["stats64"]["rx"]
    return int(found["packets"])


@contextmanager
def _serving(path: Between, port: int, *argv: str) -> Iterator[None]:
    """Run a server until the client is done; it listens when this is entered."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen((*entering(path.server), *argv), stdout=quiet, stderr=quiet)
    try:
        listening = (*entering(path.server), "ss", "-Hltn", f"sport = :{port}")
        wait_until(lambda: bool(ask(*listening)), 10, lambda: f"{argv[0]} does not listen")
        yield
    finally:
        stop(process)
