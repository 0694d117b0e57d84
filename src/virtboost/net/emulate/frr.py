"""FRR as a node, a reflector, a switch or a spine: bgpd, zebra, and bfdd where there is BFD."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from virtboost.net.emulate.daemon import ANSWER_S, Process
from virtboost.net.emulate.router import Router
from virtboost.net.emulate.speaker import Speaker
from virtboost.net.emulate.watch import RTPROT_BGP

ZEBRA, BGPD, BFDD = (f"/usr/lib/frr/{program}" for program in ("zebra", "bgpd", "bfdd"))

PROGRAMS = (ZEBRA, BGPD, BFDD)

AWAIT_ZEBRA = ("sh", "-c", 'until [ -S zserv ]; do sleep 0.05; done; exec "$@"', "sh")
"""Others try to reach zebra again only after 10 s."""

OWN = ("--user", "root", "--group", "frrvty", "--vty_port", "0", "--vty_socket", ".",
       "--socket", "./zserv", "--log", "stdout")  # fmt: skip
"""As the user of this process, with all sockets in the speaker's folder.

zebra has no ``--skip_runas``, and takes no user who is not in the group of FRR's terminals.
"""

END = b"\0\0\0"
"""Of an answer, before its status (FRR, ``lib/vty.c``)."""


class Frr(Router):
    """bgpd; zebra puts its routes into the kernel, and keeps them when bgpd restarts gracefully.

    What a reflector learns is not put into the kernel.
    """

    title = "bgpd"
    protocol = RTPROT_BGP

    def __init__(self, place: int, speaker: Speaker) -> None:
        """Write its configuration; that of the others is empty."""
        super().__init__(place, speaker)
        (self.folder / "empty").touch()
        self._by_bfd = " bfd " in speaker.config
        kernel = ("--no_kernel",) if speaker.reflector else ()
        self.argv = (*AWAIT_ZEBRA, *_argv(BGPD, "config"), *kernel)

    def start(self) -> None:
        """Start bgpd, and first those that serve it, if they do not run."""
        if not self.servants:
            self.servants = tuple(self._servants())
        super().start()

    def _servants(self) -> Sequence[Process]:
        zebra = self.begin(_argv(ZEBRA), "zebra")
        if not self._by_bfd:
            return (zebra,)
        return (zebra, self.begin((*AWAIT_ZEBRA, *_argv(BFDD), "--bfdctl", "./bfdd.ctl"), "bfdd"))

    def speaking(self) -> Sequence[Process]:
        """Return bgpd, and bfdd: its packets would say that bgpd is well."""
        return (*super().speaking(), *self.servants[1:])

    def memory_bytes(self) -> int:
        """Return the memory of all its daemons, without pages of files."""
        return super().memory_bytes() + sum(each.memory_bytes() for each in self.servants)

    def established(self) -> int:
        """Return how many of its sessions are, by BFD too, if there is; 0: it does not answer yet.

        BFD comes up to seconds after BGP.
        """
        with contextlib.suppress(FileNotFoundError, ConnectionError, TimeoutError):
            found = [each["state"] for each in self._peers()].count("Established")
            if not self._by_bfd:
                return found
            watched = self._ask("bfdd", "show bfd peers json")
            return min(found, [each["status"] for each in watched].count("up"))
        return 0

    def updates(self) -> int:
        """Return how many routes it has of its peers."""
        return sum(each["pfxRcd"] for each in self._peers())

    def paths(self, pools: tuple[str, ...]) -> int:
        """Return how many paths to blocks of some pools it holds."""
        within = [IPv4Network(pool) for pool in pools]
        held = self._ask("bgpd", "show bgp ipv4 unicast json").get("routes", {})
        return sum(
            len(paths)
            for block, paths in held.items()
            if any(IPv4Network(block).subnet_of(pool) for pool in within)
        )

    def _peers(self) -> list[dict[str, Any]]:
        told = self._ask("bgpd", "show bgp ipv4 unicast summary json")
        return [*told.get("peers", {}).values()]

    def _ask(self, daemon: str, command: str) -> Any:
        """Return a daemon's answer, as vtysh would have it."""
        with socket.socket(socket.AF_UNIX) as terminal:
            terminal.settimeout(ANSWER_S)
            terminal.connect(str(self.folder / f"{daemon}.vty"))
            _say(terminal, "enable")
            return json.loads(_say(terminal, command))


def _say(terminal: socket.socket, command: str) -> bytes:
    """Return the answer to a command."""
    terminal.sendall(f"{command}\0".encode())
    content = b""
    while content[-len(END) - 1 : -1] != END:
        more = terminal.recv(1 << 16)
        if not more:
            raise ConnectionResetError
        content += more
    return content[: -len(END) - 1]


def _argv(program: str, config: str = "empty") -> Sequence[str]:
    pid_file = f"{program.rpartition('/')[2]}.pid"
    return (program, "--config_file", config, "--pid_file", pid_file, *OWN)
