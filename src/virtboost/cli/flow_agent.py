"""``virtboost flow run``, the agent, and ``status``, ``top`` and ``restore`` of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.cli.hosts import AsJson
from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.flow.agent.settings import Settings
    from virtboost.flow.agent.status import FlowStatus
    from virtboost.flow.agent.window import Window

TICK_S = 0.02

NOT_CARRYING = 1
"""Exit status of ``status`` where an agent is quarantined, or has no Open vSwitch."""

SETTLE_S = 5
"""After an agent that was killed: Open vSwitch sees where connections are, and then checks them."""

Socket = Annotated[
    Path,
    typer.Option("--socket", metavar="PATH", help="Where the agent answers."),
]

DEFAULT_SOCKET = Path("/run/virtboost/flow.sock")


def run(
    *,
    ports: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Devices of the datapath that packets may be redirected from and to; of a kernel "
            "datapath also those that its tunnels go through.",
        ),
    ],
    ovs: Annotated[
        Path,
        typer.Option(metavar="PATH", help="The run folder of Open vSwitch, or a control socket."),
    ] = Path("/run/openvswitch"),
    observe: Annotated[
        bool, typer.Option("--observe", help="Learn and compare; redirect nothing.")
    ] = False,
    tcp_window: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="strict: connections of TCP are left to Open vSwitch. liberal: its check of TCP "
            "windows (of the kernel's conntrack: of RST) is off as long as this runs, for all "
            "connections.",
        ),
    ] = "strict",
    max_entries: Annotated[
        int, typer.Option(metavar="N", min=2, max=1_000_000, help="Entries, one a direction.")
    ] = 100_000,
    lease: Annotated[
        int,
        typer.Option(
            metavar="MS", min=50, max=10_000, help="How old the last check of an entry may be."
        ),
    ] = 500,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS:PORT", help="Serve /metrics for Prometheus there."),
    ] = None,
    socket: Socket = DEFAULT_SOCKET,
) -> int:
    """Carry connections past Open vSwitch in the kernel, until it is stopped."""
    from virtboost.flow.agent.settings import Settings

    if tcp_window not in ("strict", "liberal"):
        raise InputError(f"--tcp-window {tcp_window}: strict or liberal")
    names = tuple(name.strip() for name in ports.split(",") if name.strip())
    if not names:
        raise InputError("--ports: names of devices, with commas between them")
    return _run(
        Settings(
            ovs=ovs,
            ports=names,
            observe=observe,
            window="liberal" if tcp_window == "liberal" else "strict",
            max_entries=max_entries,
            lease_ns=lease * 1_000_000,
            metrics=None if metrics is None else _address(metrics),
            socket=socket,
        )
    )


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"--metrics {text}: an address, a colon and a port: 127.0.0.1:9464")
    return host.strip("[]"), int(port)


def status(
    *,
    socket: Socket = DEFAULT_SOCKET,
    flows: Annotated[
        bool,
        typer.Option(
            "--flows", help="Print dpctl/dump-flows -m with what entries took added, instead."
        ),
    ] = False,
    json: AsJson = False,
) -> int:
    """Say what a running agent does."""
    from virtboost.cli.output import print_document
    from virtboost.flow.agent.control import ask
    from virtboost.report.flow_agent import status_lines

    if flows:
        if json:
            raise InputError("flow status: --flows has no JSON: it is Open vSwitch's own form")
        sys.stdout.write(ask(socket, "flows"))
        return 0
    found = _status(socket)
    print_document(found, lambda width: status_lines(found, width=width), json=json)
    return NOT_CARRYING if found.state in ("quarantined", "waiting") else 0


def _status(socket: Path) -> FlowStatus:
    import msgspec

    from virtboost.flow.agent.control import ask
    from virtboost.flow.agent.status import FlowStatus

    return msgspec.json.decode(ask(socket, "status"), type=FlowStatus)


def top(*, socket: Socket = DEFAULT_SOCKET) -> int:
    """Show the busiest entries of a running agent, every second, until it is interrupted."""
    import time

    from rich.console import Console
    from rich.live import Live

    from virtboost.report.flow_agent import top_table

    console = Console()
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            live.update(top_table(_status(socket), console.height), refresh=True)
            if not console.is_terminal:
                return 0
            time.sleep(1)


def restore() -> int:
    """Turn the check of TCP windows on again that an agent, killed since, turned off."""
    from virtboost.cli.changes import journal, writable
    from virtboost.flow.agent.window import folders_left

    busy = []
    for folder in folders_left(journal(), writable("local").reader):
        try:
            _restore(folder)
        except InputError as error:
            busy.append(error)
    if busy:
        raise busy[0]
    return 0


def _restore(folder: Path) -> None:
    """Have the switch of a run folder as before an agent that was killed, if one was.

    Raises:
        InputError: An agent runs that needs it as it is.
    """
    import time

    window = _window(folder)
    if window.left is not None:
        window.hold()
        _say("an agent was killed: Open vSwitch sees where connections are, then checks them again")
        time.sleep(SETTLE_S)
        window.restore()
        _say(f"{folder}: its check of TCP windows is as before")


def _window(folder: Path) -> Window:
    from virtboost.cli.changes import journal, writable
    from virtboost.flow.agent.window import Window

    return Window(journal(), *writable("local"), folder)


def _run(settings: Settings) -> int:
    sys.setswitchinterval(0.0005)  # the thread that hears of changes must not wait for a dump
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: stopped.append(got))
    place = settings.ovs.parent if settings.ovs.is_socket() else settings.ovs
    folder = place.absolute()
    liberal = settings.window == "liberal"
    if not liberal:
        _restore(folder)
    window = _window(folder) if liberal else None
    hook: str | None = "xdp"
    while hook is not None:
        hook = _carry(settings, hook, window, stopped)
    return 0


def _carry(
    settings: Settings, hook: str, window: Window | None, stopped: Sequence[int]
) -> str | None:
    """Run until it is stopped, or the datapath is found to take another hook, which is returned."""
    from virtboost.flow.agent.agent import Agent, OtherDatapath
    from virtboost.flow.dataplane import DataPlane

    with DataPlane(hook, size=settings.max_entries) as plane:
        agent = Agent(settings, plane, _say, window)
        try:
            while not stopped:
                agent.step(TICK_S)
        except OtherDatapath as other:
            return other.hook
        finally:
            agent.stop()
    return None


def _say(line: str) -> None:
    from virtboost.report.printable import printable

    sys.stderr.write(f"virtboost: {printable(line)}\n")
    sys.stderr.flush()
