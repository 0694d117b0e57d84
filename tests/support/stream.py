"""A stream of TCP between two namespaces: run as a program, it sends, or receives.

``receive ADDRESS PORT`` prints the SHA-256 of what came.  ``send ADDRESS PORT SECONDS BYTES_PER_S`` sends
as fast as it is told, and prints that of what it sent; a gap of 5 s ends it with an error.
"""

from __future__ import annotations

import hashlib
import socket
import sys
import time

PIECE = 65536


def receive(address: str, port: int) -> None:
    seen = hashlib.sha256()
    with socket.create_server((address, port)) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        client, _ = server.accept()
        with client:
            while data := client.recv(PIECE):
                seen.update(data)
                client.send(b".")
    sys.stdout.write(seen.hexdigest() + "\n")


def send(address: str, port: int, seconds: float, bytes_per_s: float) -> None:
    sent = hashlib.sha256()
    with socket.create_connection((address, port), timeout=5) as client:
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            data = number.to_bytes(8, "big") * (PIECE // 8)
            client.sendall(data)
            sent.update(data)
            number += 1
            time.sleep(PIECE / bytes_per_s)
        client.shutdown(socket.SHUT_WR)
        while client.recv(PIECE):
            pass
    sys.stdout.write(sent.hexdigest() + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(sys.argv[2], int(sys.argv[3]))
    else:
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
