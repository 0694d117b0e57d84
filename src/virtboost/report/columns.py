"""Text in the columns of a terminal, where a character may be two wide or none."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len, chop_cells, set_cell_size

from virtboost.report.printable import printable


def fitted(text: str, width: int) -> str:
    """Return ``text`` printable, and cut with ``...`` to at most ``width`` columns."""
    shown = printable(text, width)
    if cell_len(shown) <= width:
        return shown
    return f"{set_cell_size(shown, width - 3).rstrip()}..."


def padded(text: str, width: int) -> str:
    """Return ``text`` fitted and filled with blanks to exactly ``width`` columns."""
    return set_cell_size(fitted(text, width), width)


def wrapped(text: str, width: int, *, indent: int = 0, hang: int = 2) -> Iterator[str]:
    """Yield ``text``, printable, as lines of at most ``width`` columns.

    Args:
        text: What to print.
        width: Columns of the terminal, at least 10 more than the blanks.
        indent: Blanks before the first line.
        hang: Blanks more before every other line.
    """
    margin = " " * indent
    for line in _broken(printable(text), width - indent - hang):
        yield f"{margin}{line}"
        margin = " " * (indent + hang)


def _broken(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and cell_len(line) + 1 + cell_len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}".lstrip()
        if cell_len(line) > width:
            *full, line = chop_cells(line, width)
            yield from full
    yield line
