"""``virtboost net``: a container network of many hosts, compared by design and laid out."""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.application import add_verb, application
from virtboost.cli.hosts import AsJson
from virtboost.cli.net_simulation import simulate
from virtboost.cli.net_validation import validate
from virtboost.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

    from virtboost.net.cluster import Cluster
    from virtboost.net.description import Network
    from virtboost.net.law import Laws
    from virtboost.net.plan import NetPlan


NO_DESIGN = 1
"""Exit status where no design serves the network."""


DIFFERS = 1
"""Exit status where a network that was run is not as planned, or the run does not count."""


class Break(StrEnum):
    """What an emulation can break."""

    KILL = "kill"
    CUT = "cut"
    FREEZE = "freeze"
    REFLECTOR = "reflector"
    SWITCH = "switch"
    SWITCH_CUT = "switch-cut"
    SWITCH_FREEZE = "switch-freeze"


class Speaking(StrEnum):
    """Who speaks BGP."""

    NODES = "nodes"
    REFLECTORS = "reflectors"
    SWITCHES = "switches"


class Kind(StrEnum):
    """Kinds of fabric."""

    L2 = "l2"
    L3 = "l3"
    BGP = "bgp"
    CLOUD = "cloud"


Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Read them from the cluster itself, by kubectl with this access."
    ),
]

Context = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of the kubeconfig; its current one.")
]


def plan(
    description: Annotated[
        Path,
        typer.Argument(metavar="NET.yaml", help="The network that is wanted.", show_default=False),
    ],
    *,
    design: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Detail this design instead of the recommended one."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the plan to a file."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the design's configuration to a new folder: Calico, BIRD, FRR, Open "
            "vSwitch, OVN.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it as a page, with what designs cost by size."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show every figure of every design.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Compare designs of Calico, Open vSwitch and OVN for a network, and recommend one.

    Every figure says whether it follows by counting, was measured, published or extrapolated.
    """
    from virtboost.cli.output import print_document
    from virtboost.cli.userfile import write_document
    from virtboost.net.plan import plan as plan_network
    from virtboost.report.net import plan_lines

    network = _read(description)
    laws = _laws()
    made = plan_network(network, design, laws)
    if write is not None:
        _write(write, network, made)
    if output is not None:
        write_document(output, made)
    if html is not None:
        _draw(html, network, made, laws)
    print_document(made, lambda width: plan_lines(made, verbose=verbose, width=width), json=json)
    return NO_DESIGN if made.recommendation is None else 0


def emulate(
    description: Annotated[
        Path,
        typer.Argument(metavar="NET.yaml", help="The network that is wanted.", show_default=False),
    ],
    *,
    nodes: Annotated[
        int | None, typer.Option(metavar="N", help="How many of its nodes to run; 20, or all.")
    ] = None,
    design: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Run this design instead of the recommended one."),
    ] = None,
    fault: Annotated[
        list[Break] | None,
        typer.Option(help="What to break once all is up. May be repeated.", show_default=False),
    ] = None,
    frr: Annotated[
        list[Speaking] | None,
        typer.Option(
            help="Who runs FRR; the others run BIRD. Spines are as switches. May be repeated.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write what came of it to a file."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Run a network really, small: BIRD, FRR, Open vSwitch, OVN or VXLAN, in namespaces of its own.

    Needs root. What is measured stands beside what the plan says. Exit status 1: something is not
    as planned, or the machine was too busy for the times to count.
    """
    from virtboost.cli.output import print_document
    from virtboost.cli.userfile import write_document
    from virtboost.net.emulate.launch import emulate as run
    from virtboost.net.emulate.scene import scene
    from virtboost.report.net_emulation import emulation_lines

    wanted = scene(
        _read(description),
        nodes=nodes,
        design=design,
        faults=tuple(each.value for each in fault or ()),
        by_frr=tuple(each.value for each in frr or ()),
    )
    found = run(wanted, _tell)
    print_document(found, lambda width: emulation_lines(found, width), json=json)
    if output is not None:
        write_document(output, found)
    return DIFFERS if found.problems or found.rejected else 0


def template(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="small, flat, racks, cloud or tenants.")
    ],
) -> int:
    """Print a description to begin with."""
    from virtboost.net.template import template as description

    sys.stdout.write(description(name))
    return 0


def describe(
    objects: Annotated[
        Path | None,
        typer.Argument(
            metavar="OBJECTS.json",
            help="What kubectl get -A -o json printed of nodes, pods, services, endpointslices and "
            "what there is of servicecidrs, ippools, bgpconfigurations and bgppeers.",
            show_default=False,
        ),
    ] = None,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    fabric: Annotated[
        Kind, typer.Option(help="What is between the nodes; no object says it.", show_default=False)
    ],
    pods: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Of pods, where there are no IPPools. May be repeated."),
    ] = None,
    services: Annotated[
        str, typer.Option(metavar="CIDR", help="Of services, where there is no ServiceCIDR.")
    ] = "",
) -> int:
    """Describe a running cluster's network from its objects, to plan with."""
    from virtboost.net.cluster import description
    from virtboost.net.live import TO_DESCRIBE

    cluster = _cluster(objects, kubeconfig, context, TO_DESCRIBE)
    text = description(cluster, fabric=fabric.value, pods=pods or (), services=services)
    sys.stdout.write(text)
    return 0


def drift(
    description: Annotated[
        Path,
        typer.Argument(
            metavar="NET.yaml", help="The network as it was planned.", show_default=False
        ),
    ],
    objects: Annotated[
        Path | None,
        typer.Argument(
            metavar="OBJECTS.json",
            help="As for describe, with felixconfigurations.",
            show_default=False,
        ),
    ] = None,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    design: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="That was built, instead of the recommended one."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Hold a running cluster against its plan: size, design, Calico's resources, labels.

    Exit status 1: something is not as planned.
    """
    from virtboost.cli.output import print_document
    from virtboost.net.drift import drift as held
    from virtboost.net.live import KINDS
    from virtboost.net.plan import plan as plan_network
    from virtboost.report.net_drift import drift_lines

    network = _read(description)
    cluster = _cluster(objects, kubeconfig, context, KINDS)
    found = held(network, plan_network(network, design), cluster)
    print_document(found, lambda width: drift_lines(found, width), json=json)
    return DIFFERS if found.differences else 0


def _cluster(
    objects: Path | None, kubeconfig: Path | None, context: str | None, kinds: Collection[str]
) -> Cluster:
    from virtboost.cli.userfile import read_text
    from virtboost.net.cluster import MAX_BYTES, read_cluster
    from virtboost.net.live import MOST_BYTES, read_live
    from virtboost.transport.program import local_program

    if kubeconfig is not None and objects is None:
        read_text(kubeconfig)
        program = partial(local_program, max_bytes=MOST_BYTES)
        return read_live(kubeconfig, context, kinds, program, _tell)
    if objects is not None and kubeconfig is None and context is None:
        return read_cluster(read_text(objects, MAX_BYTES), str(objects))
    raise InputError("either OBJECTS.json, or --kubeconfig FILE, perhaps with --context NAME")


def _read(path: Path) -> Network:
    from virtboost.cli.userfile import read_text
    from virtboost.model.userfile import from_yaml
    from virtboost.net.description import Network

    return from_yaml(read_text(path), Network, str(path))


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{line}\n")


def _laws() -> Laws:
    from virtboost.cli.changes import state_folder
    from virtboost.net.law import PAGE
    from virtboost.net.validate.machine import kept

    found = kept(state_folder())
    return PAGE if found is None else found.laws


def _draw(path: Path, network: Network, made: NetPlan, laws: Laws) -> None:
    from datetime import datetime

    from virtboost.cli.reports import NEEDS_JINJA, write_page
    from virtboost.net.curve import curves

    try:
        from virtboost.report.net_page import SHOWN, plan_page
    except ImportError as error:
        raise InputError(NEEDS_JINJA) from error
    drawn = curves(network, SHOWN, laws)
    write_page(path.resolve(), plan_page(made, network, drawn, made_at=datetime.now().astimezone()))


def _write(folder: Path, network: Network, made: NetPlan) -> None:
    from virtboost.net.emit.files import files

    found = files(network, made)
    try:
        folder.mkdir(parents=True)
        for name, text in found.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error


app = application()
add_verb(app, plan)
add_verb(app, simulate)
add_verb(app, emulate)
add_verb(app, validate)
add_verb(app, template)
add_verb(app, describe)
add_verb(app, drift)


@app.callback()
def _group() -> None:
    """Plan the network of containers on many hosts, simulate it, or run it small."""
