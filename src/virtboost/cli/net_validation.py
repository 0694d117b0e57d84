"""``virtboost net validate``: what figures of a network are worth on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from virtboost.cli.hosts import AsJson
from virtboost.errors import InputError

MISSED = 1
"""Exit status where a goal is missed, or a network that was run is not as planned."""


def validate(
    description: Annotated[
        Path,
        typer.Argument(metavar="NET.yaml", help="The network that is wanted.", show_default=False),
    ],
    *,
    design: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Run this design instead of the recommended one."),
    ] = None,
    sizes: Annotated[
        str, typer.Option(metavar="N,N...", help="Numbers of nodes that costs are fitted to.")
    ] = "10,20,40",
    hold_out: Annotated[
        int, typer.Option(metavar="N", help="Number of nodes that is predicted, then run.")
    ] = 80,
    repeats: Annotated[int, typer.Option(metavar="N", help="How often each is run.")] = 5,
    ladder: Annotated[
        bool,
        typer.Option(
            "--ladder",
            help="Try single daemons under loads of much larger networks too: BIRD with 2,000 "
            "peers, Open vSwitch with 200,000 rules, etcd with 500 watchers, OVN with 100 nodes.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write what came of it to a file."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Predict a network from smaller ones that really run, run it too, and tell the error.

    Needs root. What daemons cost on this machine is kept, for plan and simulate. Exit status 1: a
    goal is missed.
    """
    from datetime import UTC, datetime

    from virtboost.cli.changes import state_folder
    from virtboost.cli.output import print_document
    from virtboost.cli.userfile import read_text, write_document
    from virtboost.model.userfile import from_yaml
    from virtboost.net.description import Network
    from virtboost.net.validate.conduct import measure, require
    from virtboost.net.validate.machine import save, this_machine
    from virtboost.net.validate.order import order
    from virtboost.report.net_validation import validation_lines

    try:
        from virtboost.net.validate.conclude import conclude
    except ImportError as error:
        raise InputError("net validate needs scipy: pip install 'virtboost[net]'") from error

    network = from_yaml(read_text(description), Network, str(description))
    wanted = order(
        network, design=design, sizes=sizes, hold_out=hold_out, repeats=repeats, ladder=ladder
    )
    require(wanted)
    measured = measure(wanted, network, _tell)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    found = conclude(wanted, network, measured, this_machine(), made_at)
    print_document(found, lambda width: validation_lines(found, width), json=json)
    if output is not None:
        write_document(output, found)
    if found.exact:
        _tell(f"kept in {save(state_folder(), found.calibration)}")
    return 0 if found.good else MISSED


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{line}\n")
