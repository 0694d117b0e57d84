"""Where a workload runs: on the host, in one of its containers or guests, or on another machine."""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Callable, Sequence
from typing import Any

from virtboost.transport.program import Ended, Program, timed
from virtboost.transport.source import NOT_RUN, STOPPED

_SOON_S = 0.2
"""Between questions whether a program in a guest has ended."""

_ANSWER_S = 30
"""For the agent of a guest to answer."""

_IN_CONTAINER = (
    "e=docker; command -v docker >/dev/null || e=podman; n=$1 l=$2; shift 2; "
    'exec $e exec "$n" sh -c \''
    'l=$1; shift; if timeout 1 true 2>/dev/null; then exec timeout "$l" "$@"; else exec "$@"; fi'
    '\' sh "$l" "$@"'
)
"""The limit holds inside too: an engine that is stopped leaves the program running."""


def program_at(at: str, host: Program, over_ssh: Callable[[str], Program]) -> Program:
    """Return what runs programs at a place.

    Args:
        at: As ``Workload.at``.
        host: Runs programs of the host.
        over_ssh: Returns what runs programs of another machine, by its address.
    """
    kind, _, name = at.partition(":")
    if kind == "container":
        return _container(name, host)
    if kind == "guest":
        return _Agent(name, host)
    return over_ssh(at) if at else host


def _container(name: str, host: Program) -> Program:
    def run(argv: Sequence[str], limit_s: float) -> Ended:
        words = ("sh", "-c", _IN_CONTAINER, "sh", name, f"{limit_s:g}", *argv)
        return host(words, limit_s + _ANSWER_S)

    return timed(run)


class _Agent:
    """Runs programs of a guest by its QEMU agent, which libvirt on the host reaches.

    Source: the QEMU Guest Agent Protocol Reference, ``guest-exec`` and ``guest-exec-status``.
    """

    def __init__(self, guest: str, host: Program) -> None:
        self._guest = guest
        self._host = host

    def __call__(self, argv: Sequence[str], limit_s: float) -> Ended:
        end = time.monotonic() + limit_s
        begun = self._ask(
            "guest-exec", path=argv[0], arg=list(argv[1:]), **{"capture-output": True}
        )
        if isinstance(begun, Ended):
            return begun
        while True:
            state = self._ask("guest-exec-status", pid=begun["pid"])
            if isinstance(state, Ended):
                return state
            if state["exited"]:
                return Ended(
                    status=state.get("exitcode", -state.get("signal", 1)),
                    stdout=_text(state.get("out-data", "")),
                    stderr=_text(state.get("err-data", "")),
                )
            if time.monotonic() > end:
                self._ask("guest-exec", path="kill", arg=[str(begun["pid"])])
                return Ended(status=STOPPED, stdout="", stderr="")
            time.sleep(_SOON_S)

    def _ask(self, command: str, **arguments: object) -> dict[str, Any] | Ended:
        """Return what the agent answers, or what ``virsh`` said where there is no answer."""
        question = json.dumps({"execute": command, "arguments": arguments})
        argv = ("virsh", "qemu-agent-command", "--timeout", "20", self._guest, question)
        done = self._host(argv, _ANSWER_S)
        try:
            answer: dict[str, Any] = json.loads(done.stdout)["return"]
        except (ValueError, KeyError, TypeError):
            said = done.stderr.strip() or f"no answer from the agent of {shlex.quote(self._guest)}"
            return Ended(status=NOT_RUN, stdout="", stderr=said)
        return answer


def _text(data: str) -> str:
    return base64.b64decode(data).decode("utf-8", "replace")
