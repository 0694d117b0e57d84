"""The ``virtboost`` command."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from virtboost import __version__
from virtboost.cli.application import INTERRUPTED, add_verb, application
from virtboost.errors import InputError, VirtboostError

VERBS = ("scan", "check", "plan", "density", "apply", "status", "undo", "prove", "flow", "net")
"""Each is the function of that name in the module of that name, or a module with an ``app``."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Why a write fails that would do elsewhere."""


class Verbs(TyperGroup):
    """The verbs, each imported when somebody asks for it: the command starts fast."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs in the order of the loop that they make."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one verb, or None for a word that is none."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"virtboost.cli.{cmd_name}")
        group = getattr(module, "app", None)
        if group is None:
            group = application(no_args_is_help=False)
            add_verb(group, getattr(module, cmd_name))
        return typer.main.get_command(group)


app = application(
    cls=Verbs,
    help="Get the performance that a many-core NUMA server can give.",
)


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
        _run()
    except VirtboostError as error:
        sys.exit(_told(str(error), error.exit_status))
    except KeyboardInterrupt:
        sys.exit(_told("interrupted", INTERRUPTED))


def _run() -> None:
    """Run the command and write all that it prints.

    Raises:
        InputError: Standard output takes no more: a full disk.
    """
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left, when Python ends
        raise InputError(f"standard output cannot be written: {error.strerror}") from error


def _told(message: str, status: int) -> int:
    from virtboost.report.printable import printable

    sys.stderr.write(f"virtboost: {printable(message)}\n")
    return status
