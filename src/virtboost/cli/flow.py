"""``virtboost flow``: a datapath of Open vSwitch, read and normalised; only ``run`` changes it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.application import add_verb, application
from virtboost.cli.flow_agent import restore, run, status, top
from virtboost.cli.hosts import AsJson, readers
from virtboost.errors import InputError, ParseError

if TYPE_CHECKING:
    from virtboost.flow.datapath import Datapath
    from virtboost.flow.explain import Explanation
    from virtboost.flow.packet import Packet
    from virtboost.flow.switch import Switch
    from virtboost.transport.source import Reader

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

Ports = Annotated[
    Path | None,
    typer.Option(
        "--ports",
        metavar="FILE",
        help="What ovs-appctl dpctl/show, dpif/show and dpif/show-dp-features BRIDGE printed, all "
        "or some: names of ports for a dump without -m, tunnels, features.",
    ),
]

DatapathName = Annotated[
    str | None,
    typer.Option(
        "--datapath",
        metavar="NAME",
        help="Of a running switch that has more than one: system@ovs-system, netdev@ovs-netdev.",
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
    ports: Ports = None,
    host: Host = "local",
    datapath: DatapathName = None,
    *,
    packet: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="A packet as OpenFlow writes it, 'in_port=p0,tcp,nw_src=10.0.0.1,tp_dst=80', or a "
            "datapath, 'in_port(p0),eth_type(0x0800),ipv4(...)'; in_port is the datapath's. What "
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
    from virtboost.cli.output import print_document
    from virtboost.flow.explain import explain as explain_packet
    from virtboost.flow.explain import explain_connection
    from virtboost.report.flow import explanation_lines

    if sum(each is not None for each in (packet, connection, pcap)) != 1:
        raise InputError("flow explain: give one of --packet, --connection and --pcap")
    if (in_port is None) != (pcap is None):
        raise InputError("flow explain: --pcap FILE goes with --in-port PORT")
    given = _packet(packet, pcap, in_port)
    dump, _ = _read(flows, connections, ports, (host, datapath), keep_going=keep_going)
    if given is not None:
        found = explain_packet(given, dump)
    else:
        found = explain_connection(connection or "", dump)
    print_document(found, lambda width: explanation_lines(found, width=width), json=json)
    if html is not None:
        _draw(html, found)
    return 0 if found.normalised else REFUSED


def _draw(path: Path, found: Explanation) -> None:
    from datetime import datetime

    from virtboost.cli.reports import NEEDS_JINJA, write_page

    try:
        from virtboost.report.flow_page import explanation_page
    except ImportError as error:
        raise InputError(NEEDS_JINJA) from error
    write_page(path.resolve(), explanation_page(found, made_at=datetime.now().astimezone()))


def survey(
    flows: Flows = None,
    connections: Connections = None,
    ports: Ports = None,
    host: Host = "local",
    datapath: DatapathName = None,
    *,
    keep_going: KeepGoing = False,
    json: AsJson = False,
) -> int:
    """Say how much traffic could be one lookup, what hinders the rest, and which masks are odd."""
    from virtboost.cli.output import print_document
    from virtboost.flow.survey import survey as survey_of
    from virtboost.report.flow import survey_lines

    dump, switch = _read(flows, connections, ports, (host, datapath), keep_going=keep_going)
    found = survey_of(dump, switch)
    print_document(found, lambda width: survey_lines(found, width=width), json=json)
    return 0


def offload(
    flows: Flows = None,
    connections: Connections = None,
    ports: Ports = None,
    host: Host = "local",
    datapath: DatapathName = None,
    *,
    nic: Annotated[str, typer.Option(metavar="FAMILY", help="Which NIC.")] = "connectx-5",
    keep_going: KeepGoing = False,
    json: AsJson = False,
) -> int:
    """Print tc flower rules that would do each connection's traversal in a NIC; add none."""
    from virtboost.cli.output import print_document
    from virtboost.flow.explain import both_of
    from virtboost.flow.nic import NICS
    from virtboost.flow.offload import offload as offload_of
    from virtboost.report.flow import offload_lines

    if nic not in NICS:
        raise InputError(f"--nic {nic}: not one of {', '.join(NICS)}")
    dump, _ = _read(flows, connections, ports, (host, datapath), keep_going=keep_going)
    traversals = [both_of(each, dump) for each in dump.connections]
    found = offload_of(traversals, len(dump.connections), NICS[nic])
    print_document(found, lambda width: offload_lines(found, width=width), json=json)
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


def _read(
    flows: Path | None,
    connections: Path | None,
    ports: Path | None,
    live: tuple[str, str | None],
    *,
    keep_going: bool,
) -> tuple[Datapath, Switch]:
    """Return a datapath from files, or as it is on a host, by the name that it has there."""
    from contextlib import ExitStack

    from virtboost.flow.connection import read_connections
    from virtboost.flow.datapath import Datapath
    from virtboost.flow.megaflow import read_flows
    from virtboost.flow.switch import Switch, read_switch, with_names

    broken: list[ParseError] | None = [] if keep_going else None
    sources: list[tuple[Iterable[str], str]] = []
    with ExitStack() as stack:
        if flows is None:
            if connections is not None or ports is not None:
                raise InputError("flow: --connections and --ports go with --flows FILE")
            for what, text in _live(*live).items():
                sources.append((text.splitlines(), f"{live[0]}:{what}"))
        else:
            for path in (flows, connections, ports):
                sources.append((stack.enter_context(_lines(path)), str(path)))
        (megaflows, of_flows), (tracked, of_tracked), (shown, of_shown) = sources
        known = flows is None or ports is not None
        switch = read_switch(shown, of_shown) if known else Switch()
        found = Datapath(
            with_names(read_flows(megaflows, of_flows, broken=broken), switch),
            read_connections(tracked, of_tracked, broken=broken),
        )
    _tell(broken or [])
    return found, switch


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


def _live(host: str, datapath: str | None) -> dict[str, str]:
    """Return what a running switch answers, by what it is about."""
    from virtboost.flow.switch import FEATURES, read_switch, section

    with _asking(host) as ask:
        (known,) = ask((("dpctl/dump-dps",),))
        name = _chosen(known.split(), datapath, host)
        flows, connections, ports, bridges = ask(
            (
                ("dpctl/dump-flows", "-m", name),
                ("dpctl/dump-conntrack", "-m", "-s", name),
                ("dpctl/show", name),
                ("dpif/show",),
            )
        )
        shown = section(bridges.splitlines(), name)
        names = read_switch(shown, f"{host}:dpif/show").bridges
        features = ask(((FEATURES, names[0]),)) if names else []
    return {
        "dump-flows": flows,
        "dump-conntrack": connections,
        "dpif/show": "\n".join((*shown, ports, *features)),
    }


def _chosen(known: list[str], datapath: str | None, host: str) -> str:
    """Return the datapath that is meant."""
    if datapath is None and len(known) == 1:
        return known[0]
    if datapath in known:
        return str(datapath)
    if not known:
        raise InputError(f"{host}: no datapath: no bridge is there")
    raise InputError(f"{host}: --datapath NAME: one of {', '.join(known)}")


@contextmanager
def _asking(host: str) -> Iterator[Callable[[Sequence[tuple[str, ...]]], list[str]]]:
    """Give a function that asks ovs-vswitchd of a host: here through its socket, kept open."""
    if host == "local":
        from virtboost.transport.unixctl import Unixctl

        with Unixctl() as daemon:
            yield lambda questions: [daemon.ask(*question) for question in questions]
    else:
        reader = readers([host])[0]
        yield lambda questions: _answers(reader, questions)


def _answers(reader: Reader, questions: Sequence[tuple[str, ...]]) -> list[str]:
    from virtboost.transport.source import Command

    commands = [
        Command(" ".join(question), ("ovs-appctl", "--timeout=20", *question))
        for question in questions
    ]
    capture = reader.read(commands)
    texts = []
    for command in commands:
        outputs = capture.outputs(command)
        if not outputs or outputs[0].status != 0:
            problem = outputs[0].stderr.partition("\n")[0] if outputs else "no answer"
            raise InputError(f"{reader.name}: {' '.join(command.argv)}: {problem}")
        texts.append(outputs[0].stdout)
    return texts


def _tell(broken: list[ParseError]) -> None:
    from virtboost.report.printable import printable

    for error in broken[:10]:
        sys.stderr.write(f"virtboost: left out: {printable(str(error))}\n")
    if len(broken) > 10:
        sys.stderr.write(f"virtboost: left out: {len(broken) - 10} lines more\n")


app = application(help="Read a datapath of Open vSwitch, normalise its flows, carry them.")
add_verb(app, explain)
add_verb(app, survey)
add_verb(app, offload)
add_verb(app, run)
add_verb(app, status)
add_verb(app, top)
add_verb(app, restore)


@app.callback()
def _group() -> None:
    """Read a datapath of Open vSwitch, normalise its flows, carry them."""
