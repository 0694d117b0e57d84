"""What verbs print: a table or a document on stdout, what failed on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from virtboost.errors import VirtboostError
from virtboost.model.document import to_builtins, to_json
from virtboost.model.host import Host
from virtboost.report.printable import printable
from virtboost.report.terminal import host_lines

T = TypeVar("T")


def print_hosts(
    names: Sequence[str], results: Sequence[Host | VirtboostError], *, json: bool
) -> bool:
    """Print what was scanned; tell whether some host failed."""
    failed = tell_failures(names, results)
    if json:
        print_documents(names, results, "virtboost.hosts/1", "hosts")
        return failed
    for name, result in zip(names, results, strict=True):
        if isinstance(result, Host):
            sys.stdout.write("".join(f"{line}\n" for line in host_lines(name, result)))
    return failed


def print_documents(
    names: Sequence[str], results: Sequence[T | VirtboostError], schema: str, key: str
) -> None:
    """Print one host's document as it is, and several, or a failure, in a list."""
    good = [result for result in results if not isinstance(result, VirtboostError)]
    if len(results) == 1 and good:
        sys.stdout.write(to_json(good[0]) + "\n")
        return
    failed = [
        {"host": name, "error": printable(str(result))}
        for name, result in zip(names, results, strict=True)
        if isinstance(result, VirtboostError)
    ]
    document = {"schema": schema, key: [to_builtins(result) for result in good], "failed": failed}
    sys.stdout.write(to_json(document) + "\n")


def print_document(document: object, lines: Callable[[int], Iterable[str]], *, json: bool) -> None:
    """Print what a verb found: as JSON, or as lines for the width of the terminal."""
    from virtboost.cli.reports import terminal_width

    shown = (to_json(document),) if json else lines(terminal_width())
    sys.stdout.writelines(f"{line}\n" for line in shown)


def tell_failures(names: Sequence[str], results: Sequence[object]) -> bool:
    """Write a line on stderr for each host that failed; tell whether there was one.

    An error of input ends the command where it is the only host's.
    """
    errors = [result for result in results if isinstance(result, VirtboostError)]
    if len(results) == 1 and errors:
        raise errors[0]
    for error in errors:
        sys.stderr.write(f"virtboost: {printable(str(error))}\n")
    return bool(errors)
