"""The form that the command and its groups of verbs share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import typer

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

application = functools.partial(
    typer.Typer,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
"""Makes an application, or a group of verbs."""


def add_verb(group: typer.Typer, verb: Callable[..., int], name: str = "") -> None:
    """Add a verb, whose status is that of the command, under its own name or another."""

    @functools.wraps(verb)
    def run(*args: object, **options: object) -> None:
        try:
            status = verb(*args, **options)
        except KeyboardInterrupt:
            sys.stderr.write("virtboost: interrupted\n")
            status = INTERRUPTED
        raise typer.Exit(status)

    group.command(name or verb.__name__)(run)
