"""The control socket of ovs-vswitchd on this machine: one connection for many questions.

JSON-RPC 1.0, one answer for each question.  Read with Python's own library: the parser of the
``ovs`` package takes nine seconds for a megabyte where it is not compiled.

Source: ovs-appctl(8), ``lib/unixctl.c``.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType

from virtboost.errors import Unreachable

RUN = Path("/run/openvswitch")

HOST = "local"

PATIENCE_S = 20


def control_socket(place: Path) -> Path:
    """Return the socket of the daemon whose pid file is in a folder; a socket is its own.

    Raises:
        Unreachable: No daemon runs there.
    """
    if place.is_socket():
        return place
    try:
        pid = (place / "ovs-vswitchd.pid").read_text().strip()
    except OSError as error:
        raise Unreachable(HOST, f"no ovs-vswitchd in {place}: {error.strerror}") from None
    return place / f"ovs-vswitchd.{pid}.ctl"


class Unixctl:
    """A connection that is kept open."""

    def __init__(self, place: Path = RUN) -> None:
        """Connect to the daemon whose pid file is in a folder, or whose socket this is.

        Raises:
            Unreachable: No daemon runs there.
        """
        path = control_socket(place)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise Unreachable(
                HOST, f"{path}: ovs-vswitchd takes no connection: {error.strerror}"
            ) from None

    def ask(self, command: str, *arguments: str) -> str:
        """Return what a command answers.

        Raises:
            Unreachable: The daemon is gone, or refuses the command.
        """
        question = {"method": command, "params": arguments, "id": 0}
        try:
            self._socket.sendall(json.dumps(question).encode())
            answer = self._answer()
        except OSError as error:
            raise Unreachable(HOST, f"{command}: the connection broke: {error}") from None
        if answer["error"] is not None:
            reason = str(answer["error"]).strip().partition("\n")[0]
            raise Unreachable(HOST, f"{command}: {reason}")
        return str(answer["result"])

    def _answer(self) -> dict[str, object]:
        parts: list[bytes] = []
        while True:
            part = self._socket.recv(1 << 20)
            if not part:
                raise OSError("it was closed")
            parts.append(part)
            if part.endswith(b"}"):
                try:
                    found: dict[str, object] = json.loads(b"".join(parts))
                except ValueError:  # a brace within the answer
                    continue
                return found

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def __enter__(self) -> Unixctl:
        """Use it in a ``with``."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
