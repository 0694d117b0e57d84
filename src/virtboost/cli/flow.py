"""``virtboost flow``: a datapath of Open vSwitch, read and normalised; nothing is changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.application import add_verb, application
from virtboost.cli.hosts import AsJson, readers
from virtboost.errors import InputError, ParseError

if TYPE_CHECKING:
    from virtboost.flow.datapath import Datapath
    from virtboost.flow.explain import Explanation
    from virtboost.flow.packet import Packet

REFUSED = 1
"""Exit status where a traversal cannot be normalised."""

Flows = Annotated[
    Path | None,
    typer.Option(
        "--flows",
        metavar="FILE",
        help="What ovs-appctl dpctl/dump-flows -m printed; - is the standard input.",
    ),
]

Connections = Annotated[
    Path | None,
    typer.Option(
        "--connections",
        metavar="FILE",
        help="What ovs-appctl dpctl/dump-conntrack -m -s printed.",
    ),
]

Host = Annotated[
    str,
    typer.Option(
        "-H",
        "--host",
        metavar="HOST",
        help="Where no --flows is given: local (through its control socket), or "
        "ssh://[user@]host[:port].",
    ),
]

KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Leave out lines that cannot be read, and say so.")
]


def explain(
    flows: Flows = None,
    connections: Connections = None,
    host: Host = "local",
    *,
    packet: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="A packet: 'in_port(p0),eth_type(0x0800),ipv4(src=10.0.0.1,...),tcp(...)'; what "
            "is left out may be anything.",
        ),
    ] = None,
    connection: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="A connection by a part of 'tcp 10.0.0.1:1000 -> 10.0.0.2:80'."
        ),
    ] = None,
    pcap: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The first frame of a pcap file.")
    ] = None,
    in_port: Annotated[
        str | None, typer.Option(metavar="PORT", help="With --pcap: where the frame comes in.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a picture of it, as a page.")
    ] = None,
    keep_going: KeepGoing = False,
    json: AsJson = False,
) -> int:
    """Show a packet's way through tables and conntrack, and the one entry that it becomes."""
    from virtboost.cli.reports import terminal_width
    from virtboost.flow.explain import explain as explain_packet
    from virtboost.flow.explain import explain_connection
    from virtboost.model.document import to_json
    from virtboost.report.flow import explanation_lines

    if sum(each is not None for each in (packet, connection, pcap)) != 1:
        raise InputError("flow explain: give one of --packet, --connection and --pcap")
    if (in_port is None) != (pcap is None):
        raise InputError("flow explain: --pcap FILE goes with --in-port PORT")
    given = _packet(packet, pcap, in_port)
    datapath = _datapath(flows, connections, host, keep_going=keep_going)
    if given is not None:
        found = explain_packet(given, datapath)
    else:
        found = explain_connection(connection or "", datapath)
    if json:
        sys.stdout.write(to_json(found) + "\n")
    else:
        lines = explanation_lines(found, width=terminal_width())
        sys.stdout.writelines(f"{line}\n" for line in lines)
    if html is not None:
        _draw(html, found)
    return 0 if found.normalised else REFUSED


def _draw(path: Path, found: Explanation) -> None:
    from datetime import datetime

    from virtboost.cli.reports import write_page

    try:
        from virtboost.report.flow_page import explanation_page
    except ImportError as error:
        raise InputError("--html needs jinja2: pip install 'virtboost[report]'") from error
    write_page(path.resolve(), explanation_page(found, made_at=datetime.now().astimezone()))


def survey(
    flows: Flows = None,
    connections: Connections = None,
    host: Host = "local",
    *,
    keep_going: KeepGoing = False,
    json: AsJson = False,
) -> int:
    """Say how much traffic could be one lookup, what hinders the rest, and which masks are odd."""
    from virtboost.cli.reports import terminal_width
    from virtboost.flow.survey import survey as survey_of
    from virtboost.model.document import to_json
    from virtboost.report.flow import survey_lines

    found = survey_of(_datapath(flows, connections, host, keep_going=keep_going))
    if json:
        sys.stdout.write(to_json(found) + "\n")
    else:
        sys.stdout.writelines(f"{x}\n" for x in survey_lines(found, width=terminal_width()))
    return 0


def offload(
    flows: Flows = None,
    connections: Connections = None,
    host: Host = "local",
    *,
    nic: Annotated[str, typer.Option(metavar="FAMILY", help="Which NIC.")] = "connectx-5",
    keep_going: KeepGoing = False,
    json: AsJson = False,
) -> int:
    """Print tc flower rules that would do each connection's traversal in a NIC; add none."""
    from virtboost.cli.reports import terminal_width
    from virtboost.flow.explain import both_of
    from virtboost.flow.nic import NICS
    from virtboost.flow.offload import offload as offload_of
    from virtboost.model.document import to_json
    from virtboost.report.flow import offload_lines
    from virtboost.report.printable import printable

    if nic not in NICS:
        raise InputError(f"--nic {nic}: not one of {', '.join(NICS)}")
    datapath = _datapath(flows, connections, host, keep_going=keep_going)
    traversals = [both_of(each, datapath) for each in datapath.connections]
    found = offload_of(traversals, len(datapath.connections), NICS[nic])
    if json:
        sys.stdout.write(to_json(found) + "\n")
    else:
        lines = offload_lines(found, width=terminal_width())
        sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
    return 0


def _packet(text: str | None, pcap: Path | None, in_port: str | None) -> Packet | None:
    from virtboost.flow.capture import frames
    from virtboost.flow.packet import packet_from_bytes, packet_of

    if text is not None:
        return packet_of(text)
    if pcap is None or in_port is None:
        return None
    try:
        data = pcap.read_bytes()
    except OSError as error:
        raise InputError(f"{pcap}: cannot be read: {error.strerror}") from None
    frame = next(frames(data, str(pcap)), None)
    if frame is None:
        raise InputError(f"{pcap}: no frame in it")
    return packet_from_bytes(frame, in_port)


def _datapath(
    flows: Path | None, connections: Path | None, host: str, *, keep_going: bool
) -> Datapath:
    """Return a datapath from files, or as it is on a host."""
    from virtboost.flow.connection import read_connections
    from virtboost.flow.datapath import Datapath
    from virtboost.flow.megaflow import read_flows

    broken: list[ParseError] | None = [] if keep_going else None
    if flows is None:
        if connections is not None:
            raise InputError("flow: --connections FILE goes with --flows FILE")
        told = _live(host)
        found = Datapath(
            read_flows(told[0].splitlines(), f"{host}:dump-flows", broken=broken),
            read_connections(told[1].splitlines(), f"{host}:dump-conntrack", broken=broken),
        )
    else:
        with _lines(flows) as lines, _lines(connections) as tracked:
            found = Datapath(
                read_flows(lines, str(flows), broken=broken),
                read_connections(tracked, str(connections), broken=broken),
            )
    _tell(broken or [])
    return found


@contextmanager
def _lines(path: Path | None) -> Iterator[Iterable[str]]:
    """Give the lines of a dump one by one: it may be larger than memory."""
    if path is None:
        yield ()
    elif str(path) == "-":
        yield sys.stdin
    else:
        try:
            with path.open(encoding="utf-8", errors="backslashreplace") as file:
                yield file
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _live(host: str) -> tuple[str, str]:
    """Return the dumps of a running switch."""
    from virtboost.transport.source import Command

    questions = (("dpctl/dump-flows", "-m"), ("dpctl/dump-conntrack", "-m", "-s"))
    if host == "local":
        from virtboost.transport.unixctl import Unixctl

        with Unixctl() as daemon:
            flows, connections = (daemon.ask(*question) for question in questions)
        return flows, connections
    commands = [
        Command(f"flow-{number}", ("ovs-appctl", "--timeout=20", *question))
        for number, question in enumerate(questions)
    ]
    capture = readers([host])[0].read(commands)
    texts = []
    for command in commands:
        outputs = capture.outputs(command)
        if not outputs or outputs[0].status != 0:
            problem = outputs[0].stderr.partition("\n")[0] if outputs else "no answer"
            raise InputError(f"{host}: {' '.join(command.argv)}: {problem}")
        texts.append(outputs[0].stdout)
    return texts[0], texts[1]


def _tell(broken: list[ParseError]) -> None:
    from virtboost.report.printable import printable

    for error in broken[:10]:
        sys.stderr.write(f"virtboost: left out: {printable(str(error))}\n")
    if len(broken) > 10:
        sys.stderr.write(f"virtboost: left out: {len(broken) - 10} lines more\n")


app = application(help="Read a datapath of Open vSwitch, and normalise its flows.")
add_verb(app, explain)
add_verb(app, survey)
add_verb(app, offload)


@app.callback()
def _group() -> None:
    """Read a datapath of Open vSwitch, and normalise its flows."""
