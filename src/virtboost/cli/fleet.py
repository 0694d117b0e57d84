"""``virtboost plan --fleet``: which server each of many guests goes to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from virtboost.cli.hosts import readers
from virtboost.cli.userfile import read_text
from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.model.fleet_plan import FleetPlan, FleetRequest, FleetServer, Objective

REFUSED = 1
"""Exit status where a request has no place."""

MAX_BYTES = 1 << 28
"""Tables of a fleet are written by programs, and may be large."""

SHOWN = 10
"""Refusals that are printed."""


def plan_fleet(
    fleet: Path,
    requests: Path,
    *,
    online: bool,
    headroom: float,
    objective: Objective,
    explain: str | None,
    json: bool,
) -> int:
    """Place requests on a fleet, print where they go, and change nothing.

    Raises:
        InputError: A file cannot be read, or is not one of these.
    """
    from virtboost.model.document import to_json
    from virtboost.plan.fleet_batch import place_batch, place_one_by_one

    servers, asked = _servers(fleet), _requests(requests)
    place = place_one_by_one if online else place_batch
    made = place(servers, asked, headroom=headroom, objective=objective)
    if json:
        sys.stdout.write(to_json(made) + "\n")
    elif explain is not None:
        _explain(made, explain)
    else:
        _print(made)
    return REFUSED if made.refused else 0


def _servers(path: Path) -> tuple[FleetServer, ...]:
    """Return the servers of a table, of a file that lists them, or of a folder of recordings."""
    from virtboost.plan.fleet_file import fleet_file, rows_of_csv, server_table, servers_in

    if path.is_dir():
        return _recorded(sorted(path.glob("*.tar*")))
    if path.suffix == ".parquet":
        return server_table(_rows_of_parquet(path), str(path))
    text = read_text(path, MAX_BYTES)
    if path.suffix == ".csv":
        return server_table(rows_of_csv(text), str(path))
    file = fleet_file(text, str(path))
    return (*servers_in(file), *_recorded([path.parent / each for each in file.recordings]))


def _recorded(paths: list[Path]) -> tuple[FleetServer, ...]:
    from virtboost.plan.fleet_file import fleet_server
    from virtboost.scan.host import scan

    return tuple(fleet_server(r.name, scan(r)) for r in readers([str(p) for p in paths]))


def _requests(path: Path) -> tuple[FleetRequest, ...]:
    from virtboost.plan.fleet_file import request_table, requests_in, rows_of_csv

    if path.suffix == ".parquet":
        return request_table(_rows_of_parquet(path), str(path))
    text = read_text(path, MAX_BYTES)
    if path.suffix == ".csv":
        return request_table(rows_of_csv(text), str(path))
    return requests_in(text, str(path))


def _rows_of_parquet(path: Path) -> list[dict[str, str]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pip install 'virtboost[parquet]'") from None
    try:
        rows = parquet.read_table(path).to_pylist()
    except (OSError, ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from error
    return [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]


def _print(made: FleetPlan) -> None:
    from virtboost.cli.changes import say
    from virtboost.model.wording import size

    totals = made.totals
    say(
        f"{totals.placed} of {totals.requests} placed on {totals.servers_used} of "
        f"{totals.servers} servers; {totals.violations} against a strategy",
        f"stranded: {totals.stranded_cpus} pCPUs and {size(totals.stranded_memory_bytes)}, on "
        "nodes of used servers where no request of these has room any more",
    )
    for each in made.refused[:SHOWN]:
        say(f"refused: {each.request}: {each.reason}")
    if len(made.refused) > SHOWN:
        say(f"refused: {len(made.refused) - SHOWN} more; --json has all of them")


def _explain(made: FleetPlan, name: str) -> None:
    """Say where one request went, or what each filter left of the servers.

    Raises:
        InputError: There is none of that name.
    """
    from virtboost.cli.changes import say
    from virtboost.model.wording import size

    for assignment in made.assignments:
        if str(assignment.request) == name:
            say(f"{name}: server {assignment.server}")
            for cell in assignment.cells:
                say(f"  node {cell.node}: {cell.vcpus} vCPUs, {size(cell.memory_bytes)}")
            return
    for refusal in made.refused:
        if str(refusal.request) == name:
            say(f"{name}: refused: {refusal.reason}")
            for each in refusal.filters:
                say(f"  {each.filter:<14} removed {each.removed:>6}, left {each.left:>6}")
            return
    raise InputError(f"--explain {name}: no such request")
