"""The control socket of ovs-vswitchd on this machine: one connection for many questions.

Source: ovs-appctl(8); the protocol is that of the ``ovs`` package.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from virtboost.errors import InputError, Unreachable

RUN = Path("/run/openvswitch")

HOST = "local"


class Unixctl:
    """A connection that is kept open."""

    def __init__(self, folder: Path = RUN) -> None:
        """Connect to the daemon whose pid file is in a folder.

        Raises:
            InputError: The package ``ovs`` is not installed.
            Unreachable: No daemon runs there.
        """
        try:
            from ovs.unixctl.client import UnixctlClient  # noqa: PLC0415 (an extra)
        except ImportError:
            raise InputError("live Open vSwitch needs pip install 'virtboost[flow]'") from None
        try:
            pid = (folder / "ovs-vswitchd.pid").read_text().strip()
        except OSError as error:
            raise Unreachable(HOST, f"no ovs-vswitchd in {folder}: {error.strerror}") from None
        failed, client = UnixctlClient.create(str(folder / f"ovs-vswitchd.{pid}.ctl"))
        if failed or client is None:
            raise Unreachable(HOST, f"ovs-vswitchd {pid} does not take a connection")
        self._client: Any = client

    def ask(self, command: str, *arguments: str) -> str:
        """Return what a command answers.

        Raises:
            Unreachable: The daemon is gone, or refuses the command.
        """
        failed, problem, answer = self._client.transact(command, list(arguments))
        if failed or problem is not None:
            reason = (problem or "the connection broke").strip().partition("\n")[0]
            raise Unreachable(HOST, f"{command}: {reason}")
        return str(answer)

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
        self._client.close()
