"""``python -m lab``: start a server of the lab, and record it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from lab.machine import MACHINES, TAISHAN, Machine
from lab.packages import LabError, cache
from lab.record import record
from lab.run import Running, booted

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)

Name = Annotated[str, typer.Argument(metavar="MACHINE", help="One of python -m lab list.")]


@app.command("list")
def list_() -> None:
    """Show the machines."""
    for machine in MACHINES.values():
        memory = f"{machine.nodes} nodes of {machine.node_memory_mib} MiB"
        typer.echo(f"{machine.name:<12} {machine.title}: {machine.cpus} CPUs, {memory}")


@app.command()
def boot(name: Name = TAISHAN.name) -> None:
    """Start a machine, and keep it until Ctrl-C."""

    def keep(running: Running) -> None:
        typer.echo(_REACH.format(config=running.config, url=running.url, name=name))
        with suppress(KeyboardInterrupt):
            signal.pause()

    _with(name, keep)


@app.command("record")
def record_(name: Name, folder: Annotated[Path, typer.Argument(help="For the recording.")]) -> None:
    """Record a machine as the tests' hosts are, with what other programs say of it."""
    _with(name, lambda running: record(running, folder))


_REACH = """\
{name} is up. To reach it, have this line at the start of ~/.ssh/config:
  Include {config}
then: virtboost scan -H {url}   or   ssh {name}
Ctrl-C stops it; what is in its /etc and /var stays."""


def _with(name: str, act: Callable[[Running], None]) -> None:
    machine = _machine(name)
    typer.echo(f"starting {machine.name}: {machine.title}", err=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with booted(machine, cache() / "machines" / machine.name) as running:
        act(running)


def _machine(name: str) -> Machine:
    if name not in MACHINES:
        raise LabError(f"{name}: no such machine; there are {', '.join(MACHINES)}")
    return MACHINES[name]


def main() -> int:
    """Run the command; an error is one line."""
    try:
        app()
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
