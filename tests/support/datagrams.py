"""Numbered datagrams between two namespaces: run as a program, it sends, or answers what comes.

``serve ADDRESS PORT`` answers each, and at its end (SIGTERM) prints when each came, in ns of
CLOCK_MONOTONIC, which namespaces share.  ``send ADDRESS PORT COUNT INTERVAL_MS SIZE`` prints the
numbers that were answered.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time


def serve(address: str, port: int) -> None:
    came: list[tuple[int, int]] = []
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        server.settimeout(0.1)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not stopped:
            try:
                data, client = server.recvfrom(2048)
            except TimeoutError:
                continue
            came.append((int(data[:8]), time.monotonic_ns()))
            server.sendto(data, client)
    sys.stdout.write(json.dumps(came) + "\n")


def send(address: str, port: int, count: int, interval_ms: float, size: int) -> None:
    answered = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address, port))
        client.settimeout(interval_ms / 1000)
        due = time.monotonic()
        for number in range(count):
            client.send(b"%08d" % number + b"x" * (size - 8))
            due += interval_ms / 1000
            while (left := due - time.monotonic()) > 0:
                client.settimeout(left)
                try:
                    answered.append(int(client.recv(2048)[:8]))
                except (TimeoutError, ConnectionError):
                    continue
        client.settimeout(0.3)
        try:
            while True:
                answered.append(int(client.recv(2048)[:8]))
        except (TimeoutError, ConnectionError):
            pass
    sys.stdout.write(json.dumps(answered) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
