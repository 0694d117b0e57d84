"""``virtboost flow run``: the agent, in the foreground."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from virtboost.errors import InputError

if TYPE_CHECKING:
    from virtboost.flow.agent.settings import Settings

TICK_S = 0.02


def run(
    *,
    ports: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Devices of the datapath that packets may be redirected from and to.",
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
            "windows is off as long as this runs, for all connections.",
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
        )
    )


def _run(settings: Settings) -> int:
    from virtboost.cli.changes import journal, writable
    from virtboost.flow.agent.agent import Agent
    from virtboost.flow.agent.window import Window
    from virtboost.flow.dataplane import DataPlane

    sys.setswitchinterval(0.0005)  # the thread that hears of changes must not wait for a dump
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: stopped.append(got))
    with DataPlane("xdp", size=settings.max_entries) as plane:
        folder = settings.ovs.parent if settings.ovs.is_socket() else settings.ovs
        window = Window(journal(), *writable("local"), folder.absolute())
        agent = Agent(settings, plane, _say, window if settings.window == "liberal" else None)
        try:
            while not stopped:
                agent.step(TICK_S)
        finally:
            agent.stop()
    return 0


def _say(line: str) -> None:
    from virtboost.report.printable import printable

    sys.stderr.write(f"virtboost: {printable(line)}\n")
    sys.stderr.flush()
