"""``virtboost scan``: the host as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from virtboost.cli.hosts import HOST_FAILED, AsJson, Hosts, on_each_host, readers
from virtboost.cli.redfish import Redfish

Save = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a recording: a tar by its suffix (.tar .tar.gz .tar.bz2 .tar.zst), else a "
        "directory; with several hosts a directory of tars.",
    ),
]


def scan(
    host: Hosts = None,
    save: Save = None,
    *,
    redfish: Redfish = None,
    redact: Annotated[
        bool,
        typer.Option(
            help="Replace serial numbers, UUIDs, MACs, public addresses and secrets.",
        ),
    ] = True,
    json: AsJson = False,
) -> int:
    """Read hosts: topology, memory, devices, guests, containers; change nothing."""
    from virtboost.cli.output import print_hosts
    from virtboost.cli.recording import recorder

    chosen = readers(host, redfish)
    read = recorder(save, redact=redact, many=len(chosen) > 1)
    results = on_each_host(chosen, read, "scan")
    failed = print_hosts([reader.name for reader in chosen], results, json=json)
    return HOST_FAILED if failed else 0
