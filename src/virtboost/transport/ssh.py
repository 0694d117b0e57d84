"""A host over the system's OpenSSH: the user's own configuration, agent, jump hosts, known_hosts.

The target needs a POSIX shell and nothing else.  A whole scan is one script on the shell's
standard input and one answer; nothing is written on the target.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from virtboost.errors import BadAnswer, CommandFailed, HostTimeout, InputError, Unreachable
from virtboost.transport import process
from virtboost.transport.shell import parse_answer, script
from virtboost.transport.source import MAX_TOTAL_BYTES, TOO_MUCH, Capture, Source

_ADDRESS = re.compile(
    r"ssh://(?:[\w.][\w.-]*@)?(?:[\w.][\w.-]*|\[[0-9a-fA-F:.]+(?:%\w+)?\])(?::\d{1,5})?/?"
)

_SSH_FAILED = 255
"""The exit status with which ``ssh`` tells of its own failure, not of the remote program's."""

_ALWAYS = """\
BatchMode yes
LogLevel ERROR
RequestTTY no
RemoteCommand none
PermitLocalCommand no
ClearAllForwardings yes
ForwardAgent no
ForwardX11 no
"""
"""What a scan needs whatever the user's configuration says.

No prompt can be answered when many hosts are read side by side, forwardings of a login session
would be taken twice, and a host that is only read gets no agent.
"""

_DEFAULTS = """\
Host *
ConnectTimeout 15
ServerAliveInterval 15
"""
"""What counts where the user's configuration says nothing: ``ssh`` takes the first value."""

_SHARING = """\
ControlMaster auto
ControlPath "{directory}/%C"
ControlPersist 60
"""

_MAX_CONTROL_DIRECTORY = 108 - len("/") - 40 - len(".0123456789abcdef") - 1
"""Bytes of a socket's path (``sun_path``) that ``%C`` and the suffix of OpenSSH leave."""

_CROWDED = re.compile(rb"^kex_exchange_identification: .*(closed|reset)", re.MULTILINE)
"""How ``ssh`` tells that sshd dropped the connection: ``MaxStartups`` of a busy jump host."""

_CAUSE = re.compile(r"^(?:Offending |.*: Bad configuration option).*", re.MULTILINE)
"""What ``ssh`` says before its last line and says more than that: where a changed host key is."""


class SshReader:
    """Reads a host over SSH, in one round trip."""

    def __init__(
        self,
        address: str,
        *,
        limit_s: float = 120,
        control_directory: Path | None = None,
        config: Path | None = None,
    ) -> None:
        """Read ``address``, giving up after ``limit_s`` seconds.

        Args:
            address: ``ssh://[user@]host[:port]``; ``host`` may be an alias of the user's
                ``~/.ssh/config``.
            limit_s: Time for the whole answer.
            control_directory: Where sockets of shared connections are kept (a private folder); a
                later call within a minute uses the same connection.  None: no sharing.
            config: A configuration in place of the user's and the system's, like ``ssh -F``.

        Raises:
            InputError: The address is not of that form.
        """
        if not _ADDRESS.fullmatch(address):
            raise InputError(f"{address!r} is not a host: write ssh://[user@]host[:port]")
        self.name = address
        self._limit_s = limit_s
        self._control_directory = control_directory
        self._included = ("~/.ssh/config", "/etc/ssh/ssh_config") if config is None else (config,)

    def read(self, sources: Sequence[Source]) -> Capture:
        """Read all ``sources``.

        Raises:
            Unreachable: ``ssh`` could not connect or log in; its own message is told.
            HostTimeout: The answer did not come in time.
            CommandFailed: The shell of the host failed.
            BadAnswer: What came is cut off, too much, or no answer to this.
        """
        nonce = f"@{secrets.token_hex(12)}"
        done = self.ask(script(sources, nonce).encode())
        return parse_answer(done.stdout, done.stderr, nonce, sources, self.name)

    def ask(self, script_text: bytes) -> process.Finished:
        """Run a script on the host and return what came of it.

        Raises:
            TransportError: As ``read`` does.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="virtboost-") as folder:
                config = Path(folder, "config")
                config.write_text(self._config())
                done = self._run(config, script_text)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            where = f": {error.filename}" if error.filename else ""
            raise Unreachable(self.name, f"cannot run ssh here: {reason}{where}") from error
        stderr = done.stderr.decode("utf-8", "replace")
        if done.timed_out:
            raise HostTimeout(self.name, f"no answer in {self._limit_s:g} s")
        if len(done.stdout) > MAX_TOTAL_BYTES:
            raise BadAnswer(self.name, TOO_MUCH)
        if done.status == _SSH_FAILED:
            raise Unreachable(self.name, f"{_told(stderr)}; try: ssh {self.name}")
        if done.status != 0:
            raise CommandFailed(self.name, ("sh",), done.status, stderr)
        return done

    def _run(self, config: Path, script_text: bytes) -> process.Finished:
        """Run ``ssh``, again where the host had too many logins at once."""
        argv = ("ssh", "-F", str(config), "--", self.name, "exec sh -s")
        for pause_s in (0.5, 1.0, 2.0, 4.0, None):
            done = process.run(
                argv, stdin=script_text, limit_s=self._limit_s, max_bytes=MAX_TOTAL_BYTES
            )
            if pause_s is None or not _CROWDED.search(done.stderr):
                break
            time.sleep(pause_s * random.uniform(0.5, 1.5))
        return done

    def _config(self) -> str:
        """Return a configuration around the user's own, which ``ssh`` also hands to jump hosts."""
        included = "".join(f'Include "{path}"\n' for path in self._included)
        return f"{_ALWAYS}{included}{_DEFAULTS}{_sharing(self._control_directory)}"


def _sharing(directory: Path | None) -> str:
    """Return how connections are shared; nothing where the folder is not safe to use."""
    if directory is None or len(os.fsencode(directory)) > _MAX_CONTROL_DIRECTORY:
        return ""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = directory.stat()
    except OSError:
        return ""
    private = state.st_uid == os.geteuid() and not state.st_mode & 0o077
    path = str(directory).replace("%", "%%")
    return _SHARING.format(directory=path) if private and '"' not in path else ""


def _told(stderr: str) -> str:
    """Return what ``ssh`` complains of: its last line, after the cause where that is another."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    told = lines[-1] if lines else "ssh failed"
    cause = _CAUSE.search(stderr)
    return f"{told} {cause[0].strip()}" if cause else told
