"""A real OpenSSH server on loopback, with keys, configuration and targets of its own."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")

ROOT = os.geteuid() == 0

needs_mounts = [
    pytest.mark.needs_root,
    pytest.mark.skipif(not ROOT, reason="mount namespaces of the test need root"),
]


class Server:
    """What a client needs to know of the server, and what the server has seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "client.conf"
        self.log = folder / "sshd.log"
        self.key = folder / "user"
        self.known_hosts = folder / "known_hosts"
        self.pid = 0

    def seen(self, pattern: str) -> int:
        """Count the lines of the server's log that have ``pattern``."""
        return len(re.findall(pattern, self.log.read_text()))

    @property
    def sessions(self) -> int:
        """Programs that clients had run here: each is a round trip."""
        return self.seen("Starting session: (command|forced-command)")

    @property
    def logins(self) -> int:
        return self.seen("Accepted publickey")


@contextmanager
def serving(folder: Path, targets: Mapping[str, str], settings: str = "") -> Iterator[Server]:
    """Run sshd with an alias for each of ``targets``: a script in place of the wanted command.

    The wanted command is ``$SSH_ORIGINAL_COMMAND``; the empty text is no script.
    """
    if SSHD is None:
        pytest.skip("sshd is not installed (openssh-server)")
    server = Server(folder)
    ports = dict(zip(targets, free_ports(len(targets)), strict=True))
    for name in ("host", "user", "stranger"):
        make_key(folder / name)
    host_key = (folder / "host.pub").read_text()
    server.known_hosts.write_text(
        "".join(f"[127.0.0.1]:{port} {host_key}" for port in ports.values())
    )
    server.config.write_text(
        "".join(client_block(server, name, port) for name, port in ports.items())
    )
    (folder / "sshd.conf").write_text(_server_config(folder, ports, targets, settings))
    made = _privilege_separation()
    argv = (SSHD, "-D", "-f", str(folder / "sshd.conf"), "-E", str(server.log))
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        server.pid = process.pid
        for port in ports.values():
            wait_for(port)
        yield server
    finally:
        process.terminate()
        process.wait(10)
        if made:
            made.rmdir()


def make_key(path: Path) -> None:
    """Make a pair of keys, ``path`` and ``path.pub``."""
    argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
    subprocess.run(argv, check=True)


def client_block(server: Server, alias: str, port: int, more: str = "") -> str:
    """Return the client's configuration of one alias."""
    return f"""\
Host {alias}
  HostName 127.0.0.1
  Port {port}
  User {getpass.getuser()}
  IdentityFile {server.key}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {server.known_hosts}
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  {more}
"""


def _server_config(
    folder: Path, ports: Mapping[str, int], targets: Mapping[str, str], settings: str
) -> str:
    listens = "".join(f"ListenAddress 127.0.0.1:{port}\n" for port in ports.values())
    forced = ""
    for name, command in targets.items():
        if command:
            target = folder / f"target-{name}"
            target.write_text(f"#!/bin/sh\n{command}\n")
            target.chmod(0o755)
            forced += f"Match LocalPort {ports[name]}\n  ForceCommand {target}\n"
    return f"""\
{listens}HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel VERBOSE
{settings}
{forced}"""


def _privilege_separation() -> Path | None:
    """Make the folder that sshd wants as root, which a service manager makes elsewhere."""
    folder = Path("/run/sshd")
    if not ROOT or folder.exists():
        return None
    folder.mkdir(mode=0o755)
    return folder


def free_ports(count: int) -> list[int]:
    """Return TCP ports of loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nobody listens on port {port}")


def busybox_root(folder: Path, without: tuple[str, ...] = ()) -> Path:
    """Make a root directory with busybox and nothing else: no bash, no GNU."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed (busybox-static)")
    for name in ("bin", "sys", "proc", "etc", "dev"):
        (folder / name).mkdir(parents=True)
    shutil.copy(busybox, folder / "bin" / "busybox")
    listed = subprocess.run((busybox, "--list"), capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if name not in (*without, "busybox"):
            (folder / "bin" / name).symlink_to("busybox")
    return folder


def in_namespace(mounts: str, command: str) -> str:
    """Return a command that runs ``command`` where ``mounts`` were made for it alone."""
    return f"exec unshare --mount -- sh -c '{mounts} && exec {command}'"


def with_home(home: Path) -> tuple[str, ...]:
    """Return the beginning of a command that runs where the user's home is ``home``.

    OpenSSH looks the home up in ``/etc/passwd`` and not in ``$HOME``.
    """
    passwd = home / "passwd"
    passwd.write_text(
        re.sub(
            rf"(?m)^({getpass.getuser()}:.*:)[^:]*(:[^:]*)$",
            rf"\g<1>{home}\g<2>",
            Path("/etc/passwd").read_text(),
        )
    )
    mount = f'mount --bind {passwd} /etc/passwd && HOME={home} exec "$@"'
    return ("unshare", "--mount", "--", "sh", "-c", mount, "sh")


def virtboost(*arguments: str) -> tuple[str, ...]:
    """Return the command line of the product under test."""
    return (sys.executable, "-m", "virtboost", *arguments)
