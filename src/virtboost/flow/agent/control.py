"""The socket of a running agent: a line with a question, then the answer, and ``END``."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import FileIO
from pathlib import Path

from virtboost.errors import InputError, Unreachable

SOCKET = Path("/run/virtboost/flow.sock")

PATIENCE_S = 10

END = b"\0"
"""An answer may be empty, as a dump of no flow is."""

QUESTIONS = ("status", "flows")


class Control:
    """What answers; one agent has it."""

    def __init__(self, path: Path) -> None:
        """Listen.

        Raises:
            InputError: Another agent does, or the place is of no use.
        """
        self._path = path
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._lock = _locked(path.with_name(f"{path.name}.lock"))
            path.unlink(missing_ok=True)
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.bind(str(path))
            path.chmod(0o600)
        except OSError as error:
            raise InputError(f"{path}: cannot listen there: {error.strerror or error}") from None
        self._socket.listen()
        self._clients: list[tuple[float, socket.socket]] = []
        self._socket.setblocking(False)  # noqa: FBT003 (the library's)

    def fileno(self) -> int:
        """Return what is polled."""
        return self._socket.fileno()

    def serve(self, answer: Callable[[str], str]) -> None:
        """Answer whoever has asked by now; who has not may do so for a while."""
        self._accept()
        waiting, self._clients = self._clients, []
        for end_s, client in waiting:
            question = _question(client)
            if question in QUESTIONS:
                _send_behind(client, answer(question).encode() + END)
            elif question is None and time.monotonic() < end_s:
                self._clients.append((end_s, client))
            else:
                client.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self._socket.accept()
                client.setblocking(False)  # noqa: FBT003 (the library's)
                self._clients.append((time.monotonic() + PATIENCE_S, client))

    def close(self) -> None:
        """Listen no more."""
        self._path.unlink(missing_ok=True)
        for _, client in self._clients:
            client.close()
        self._socket.close()
        self._lock.close()


def _question(client: socket.socket) -> str | None:
    """Return what a client asked; None: nothing yet."""
    try:
        return client.recv(64).decode(errors="replace").strip()
    except BlockingIOError:
        return None
    except OSError:
        return ""


def _send_behind(client: socket.socket, data: bytes) -> None:
    """Send in a thread, and close: one that does not read must not hold the agent up."""

    def send() -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(PATIENCE_S)
            client.sendall(data)

    threading.Thread(target=send, daemon=True).start()


def _locked(path: Path) -> FileIO:
    file = path.open("wb", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(f"{path}: another agent runs") from None
    return file


def ask(path: Path, question: str) -> str:
    """Return what the agent that listens there answers.

    Raises:
        Unreachable: None does.
    """
    parts = []
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(PATIENCE_S)
        try:
            agent.connect(str(path))
            agent.sendall(f"{question}\n".encode())
            while part := agent.recv(1 << 16):
                parts.append(part)
        except OSError as error:
            why = error.strerror or str(error)
            raise Unreachable("local", f"{path}: no agent answers: {why}") from None
    answer = b"".join(parts)
    if not answer.endswith(END):
        raise Unreachable("local", f"{path}: the agent has no answer now; ask again")
    return answer.removesuffix(END).decode()


class MetricsServer:
    """Prometheus's endpoint, in threads of its own: the text that was published last."""

    def __init__(self, address: tuple[str, int]) -> None:
        """Listen.

        Raises:
            InputError: The address is of no use.
        """
        self.text = ""
        try:
            self._server = _Server(address, _Handler)
        except OSError as error:
            raise InputError(f"--metrics {address[0]}:{address[1]}: {error.strerror}") from None
        self._server.page = self
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    page: MetricsServer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        """Answer with the metrics."""
        body = self.server.page.text.encode()
        self.send_response(200 if self.path == "/metrics" else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body) if self.path == "/metrics" else 0))
        self.end_headers()
        if self.path == "/metrics":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""
