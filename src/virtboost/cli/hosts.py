"""``-H``: which hosts a verb reads, and how its results go out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from virtboost.errors import InputError, VirtboostError
from virtboost.transport.source import Reader

T = TypeVar("T")

Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "-H",
        "--host",
        metavar="HOST",
        help="local (the default), ssh://[user@]host[:port], or a recording. May be repeated.",
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

HOST_FAILED = 3
"""Exit status where at least one host could not be read."""


def readers(hosts: Sequence[str] | None, redfish: str | None = None) -> list[Reader]:
    """Return a reader for each host that the user named; ``redfish`` is the BMC of the only one.

    Raises:
        InputError: A name is none of the forms, or there is a BMC for several hosts.
    """
    chosen = [_reader(host) for host in hosts or ("local",)]
    if redfish is None:
        return chosen
    if len(chosen) > 1:
        raise InputError(f"--redfish is the BMC of one host; there are {len(chosen)} with -H")
    from virtboost.cli.redfish import with_bmc

    return [with_bmc(chosen[0], redfish)]


def _reader(host: str) -> Reader:
    if host == "local":
        from virtboost.transport.local import LocalReader

        return LocalReader()
    if host.startswith("ssh://"):
        from virtboost.transport.ssh import SshReader

        return SshReader(host, control_directory=control_directory())
    if Path(host).exists():
        from virtboost.transport.recorded import RecordedReader

        return RecordedReader(Path(host))
    raise InputError(f"{host}: no such recording; a host is local, ssh://[user@]host or a path")


def control_directory() -> Path:
    """Return where sockets of shared SSH connections are kept."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime or Path.home() / ".cache") / "virtboost" / "ssh"


def with_progress(
    results: Iterator[tuple[int, T | VirtboostError]], total: int, verb: str
) -> list[T | VirtboostError]:
    """Return the results in the order of the hosts, with a bar where somebody watches."""
    from virtboost.scan.fleet import in_order

    if total == 1 or not sys.stderr.isatty():
        return in_order(results)
    from rich.console import Console
    from rich.progress import track

    bar = track(results, verb, total, console=Console(stderr=True), transient=True)
    return in_order(bar)


def on_each_host(
    hosts: Sequence[Reader], read: Callable[[Reader], T], verb: str
) -> list[T | VirtboostError]:
    """Call ``read`` on every host side by side; an error is the result of its host."""
    from virtboost.scan.fleet import each_host

    return with_progress(each_host(hosts, read), len(hosts), verb)
