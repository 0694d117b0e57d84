"""A control socket of ovs-vswitchd whose answers are a test's."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def answering(path: Path, *answers: tuple[str | None, str | None]) -> Iterator[None]:
    """Answer questions on a control socket with results and errors, in turn, in pieces of 7 bytes."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def answer() -> None:
        client, _ = server.accept()
        with client:
            for result, error in answers:
                client.recv(1 << 16)
                text = json.dumps({"id": 0, "result": result, "error": error}).encode()
                for at in range(0, len(text), 7):
                    client.sendall(text[at : at + 7])

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        server.close()
