"""The ``virtboost`` command."""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from virtboost import __version__
from virtboost.cli.check import check
from virtboost.cli.scan import scan
from virtboost.errors import VirtboostError


def _exiting(verb: Callable[..., int]) -> Callable[..., None]:
    """Make the status that a verb returns the status of the command."""

    @functools.wraps(verb)
    def run(*args: object, **options: object) -> None:
        raise typer.Exit(verb(*args, **options))

    return run


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    help="Get the performance that a many-core NUMA server can give.",
)
for _verb in (scan, check):
    app.command()(_exiting(_verb))


def _print_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"virtboost {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=lambda asked: _print_version(asked=asked),
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; every error that was foreseen is one line and an exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the locale cannot write
    try:
        app()
    except VirtboostError as error:
        sys.exit(_told(str(error), error.exit_status))
    except KeyboardInterrupt:
        sys.exit(_told("interrupted", 130))


def _told(message: str, status: int) -> int:
    from virtboost.report.printable import printable

    sys.stderr.write(f"virtboost: {printable(message)}\n")
    return status
