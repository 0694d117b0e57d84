"""BIRD as a node, a reflector, a switch or a spine."""

from __future__ import annotations

import contextlib
import re
import socket

from virtboost.net.emulate.daemon import ANSWER_S, DaemonError
from virtboost.net.emulate.router import Router
from virtboost.net.emulate.watch import RTPROT_BIRD

COUNTED = re.compile(r"(\d+) of \d+ routes")

PROTOCOL = re.compile(r"^(?:1002-| (?=\S))", re.MULTILINE)
"""Begins what is told of a protocol."""

UPDATES = re.compile(r"Import updates:\s+(\d+)")


class Bird(Router):
    """BIRD, started as after a crash (``-R``) for graceful restart; it logs to its folder."""

    title = "BIRD"
    protocol = RTPROT_BIRD
    argv = ("bird", "-f", "-R", "-c", "config", "-s", "control")
    head = "log stderr { warning, error, fatal, bug };\n"

    def established(self) -> int:
        """Return how many of its sessions are established; 0: it does not answer yet."""
        with contextlib.suppress(FileNotFoundError, ConnectionError, TimeoutError):
            return self._ask("show protocols").count("Established")
        return 0

    def updates(self) -> int:
        """Return how many routes its peers told it of, whether it had them or not."""
        parts = PROTOCOL.split(self._ask("show protocols all"))
        told = (UPDATES.search(part) for part in parts if part.split(maxsplit=2)[1:2] == ["BGP"])
        return sum(int(found[1]) for found in told if found)

    def paths(self, pools: tuple[str, ...]) -> int:
        """Return how many paths to blocks of some pools it holds."""
        within = ", ".join(f"{pool}+" for pool in pools)
        found = COUNTED.search(self._ask(f"show route where net ~ [ {within} ] count"))
        if found is None:
            raise DaemonError(f"BIRD of {self.speaker.address} does not count its routes")
        return int(found[1])

    def _ask(self, command: str) -> str:
        """Return the answer on the control socket, which ends with a line of code 0000 or an error.

        Source: BIRD 2.0, ``doc/reply_codes``: 0 is done, 8 an error, 9 a syntax error.
        """
        content = b""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(ANSWER_S)
            control.connect(str(self.folder / "control"))
            control.recv(1 << 16)
            control.sendall(f"{command}\n".encode())
            while not re.search(rb"^(?:0\d|[89]\d)\d\d .*\n\Z", content, re.MULTILINE):
                more = control.recv(1 << 16)
                if not more:
                    break
                content += more
        return content.decode(errors="replace")
