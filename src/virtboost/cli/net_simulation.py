"""``virtboost net simulate``: the control plane of a network, on paper."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.hosts import AsJson
from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.net.description import Network
    from virtboost.net.simulate.cost import Costs
    from virtboost.net.simulate.outcome import Study

CALIBRATION = '"virtboost.net-calibration/'
"""In what ``net validate`` keeps, with costs in it."""

MOST_RUNS = 10_000
"""Of a sweep; more is a slip."""


class Happening(StrEnum):
    """What is simulated."""

    START = "start"
    JOIN = "join"
    RESTART = "restart"
    FAILURE = "failure"
    REFLECTOR = "reflector"
    PODS = "pods"
    POLICY = "policy"
    CONNECTIONS = "connections"
    WATCH = "watch"


def simulate(
    description: Annotated[
        Path,
        typer.Argument(metavar="NET.yaml", help="The network that is wanted.", show_default=False),
    ],
    *,
    design: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Simulate this design instead of the recommended one."),
    ] = None,
    scenario: Annotated[
        list[Happening] | None,
        typer.Option(
            help="What happens; all that fits, if none is given. May be repeated.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of all that is random.")] = 0,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many seeds, from --seed on.")
    ] = 1,
    nodes: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Sizes instead of the described one; racks, services and churn in proportion.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes at once; one for each CPU."),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Run on the workers of this Dask scheduler."),
    ] = None,
    costs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Costs, or a calibration of net validate, in the place of this machine's.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write what came of it to a file."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it as a page, with times by number of nodes."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Simulate a network's control plane: who hears of what when, and at what cost.

    Nothing is started. The same seed gives the same result, wherever it runs.
    """
    from virtboost.cli.output import print_document
    from virtboost.cli.userfile import write_document

    try:
        from virtboost.net.simulate.sweep import Sweep, study
    except ImportError as error:
        raise InputError("net simulate needs numpy: pip install 'virtboost[net]'") from error
    from virtboost.report.net_simulation import simulation_lines

    network = _network(description)
    sizes = _sizes(nodes)
    if seeds * max(1, len(sizes)) > MOST_RUNS:
        raise InputError(f"--seeds, --nodes: more than {MOST_RUNS:,} runs")
    if html is not None:
        _require_page()
    sweep = Sweep(
        network=network,
        design=_design(network, design),
        scenarios=tuple(each.value for each in scenario) if scenario else None,
        costs=_costs(costs),
        seeds=tuple(range(seed, seed + seeds)),
        sizes=sizes,
    )
    found = study(sweep, jobs=jobs or len(os.sched_getaffinity(0)), dask=dask)
    if output is not None:
        write_document(output, found)
    if html is not None:
        _draw(html, found)
    print_document(found, lambda width: simulation_lines(found, width), json=json)
    return 0


def _network(path: Path) -> Network:
    from virtboost.cli.userfile import read_text
    from virtboost.model.userfile import from_yaml
    from virtboost.net.description import Network

    return from_yaml(read_text(path), Network, str(path))


def _costs(path: Path | None) -> Costs:
    """Return the costs of a file, or of this machine's calibration, or the default."""
    from virtboost.cli.changes import state_folder
    from virtboost.cli.userfile import read_text
    from virtboost.model.userfile import from_yaml
    from virtboost.net.simulate.cost import Costs
    from virtboost.net.validate.calibration import Calibration
    from virtboost.net.validate.machine import kept

    if path is None:
        found = kept(state_folder())
        return Costs() if found is None else found.costs
    text = read_text(path)
    if CALIBRATION in text:
        return from_yaml(text, Calibration, str(path)).costs
    return from_yaml(text, Costs, str(path))


def _design(network: Network, name: str | None) -> str:
    from virtboost.net.plan import DESIGNS, plan

    if name is None:
        found = plan(network).recommendation
        if found is None:
            raise InputError("no design serves this network; give --design")
        return found.design
    if name not in DESIGNS:
        raise InputError(f"{name}: no such design; there are {', '.join(DESIGNS)}")
    return name


def _sizes(text: str | None) -> tuple[int, ...]:
    from virtboost.net.description import MOST_NODES

    if text is None:
        return ()
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"--nodes {text}: numbers with commas between them, as 100,1000")
    sizes = tuple(int(part) for part in parts)
    if not all(1 <= size <= MOST_NODES for size in sizes):
        raise InputError(f"--nodes {text}: from 1 to {MOST_NODES:,}")
    return sizes


def _require_page() -> None:
    """Refuse before anything runs.

    Raises:
        InputError: What draws is not installed.
    """
    from virtboost.cli.reports import NEEDS_JINJA

    try:
        import virtboost.report.net_simulation_page  # noqa: F401
    except ImportError as error:
        raise InputError(NEEDS_JINJA) from error


def _draw(path: Path, found: Study) -> None:
    from datetime import datetime

    from virtboost.cli.reports import write_page
    from virtboost.report.net_simulation_page import simulation_page

    write_page(path.resolve(), simulation_page(found, made_at=datetime.now().astimezone()))
