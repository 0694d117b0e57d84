"""``--redfish``: the BMC of the one host, and the account to ask it with."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from virtboost.errors import InputError
from virtboost.transport.source import Reader

Redfish = Annotated[
    str | None,
    typer.Option(
        "--redfish",
        metavar="URL",
        help="Read BIOS settings from the BMC of the one host, https://BMC. The account is in "
        "VIRTBOOST_REDFISH_USER and VIRTBOOST_REDFISH_PASSWORD, else it is asked for; a file of "
        "certificates to trust in VIRTBOOST_REDFISH_CA.",
    ),
]


def with_bmc(reader: Reader, url: str) -> Reader:
    """Return a reader that also reads the BIOS settings from the BMC at ``url``.

    Raises:
        InputError: The address cannot be used, or the account is not told.
    """
    try:
        from virtboost.transport.bmc import SushyBmc
    except ImportError as error:
        raise InputError("--redfish needs sushy: pip install 'virtboost[redfish]'") from error
    from virtboost.transport.redfish import RedfishReader

    ca = os.environ.get("VIRTBOOST_REDFISH_CA")
    bmc = SushyBmc(
        url,
        user=_told("VIRTBOOST_REDFISH_USER", f"user of {url}"),
        password=_told("VIRTBOOST_REDFISH_PASSWORD", "password", hidden=True),
        ca=Path(ca) if ca else None,
    )
    return RedfishReader(reader, bmc)


def _told(variable: str, question: str, *, hidden: bool = False) -> str:
    """Return a variable of the environment, else what somebody answers on the terminal."""
    told = os.environ.get(variable)
    if told is not None:
        return told
    if not sys.stdin.isatty():
        raise InputError(f"--redfish: {variable} is not set, and there is no terminal to ask on")
    answer: str = typer.prompt(question, hide_input=hidden, err=True)
    return answer
