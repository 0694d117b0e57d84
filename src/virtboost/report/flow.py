"""A traversal for a terminal: its steps, the entry that it becomes, and what that depends on."""

from __future__ import annotations

from collections.abc import Iterator

from virtboost.flow.explain import ExplainedEntry, Explanation
from virtboost.report.columns import wrapped

_KIND = 12
"""Columns of the word for a step."""


def explanation_lines(found: Explanation, *, width: int) -> Iterator[str]:
    """Yield the traversals of a packet and of its answer.

    Args:
        found: What was explained.
        width: Columns of the terminal.
    """
    for name, entry in (("the packet", found.forward), ("its answer", found.reverse)):
        if entry is not None:
            yield from _entry(name, entry, width)
            yield ""
    for refusal in found.refusals:
        yield from wrapped(f"cannot be normalised: {refusal}", width)
    if found.normalised:
        directions = [each for each in (found.forward, found.reverse) if each is not None]
        counts = " and ".join(str(each.lookups) for each in directions)
        yield f"normalised: {counts} lookups of megaflows and connections become 1"


def _entry(name: str, entry: ExplainedEntry, width: int) -> Iterator[str]:
    yield from wrapped(f"{name} comes in at {entry.in_port}", width)
    number = 0
    for step in entry.steps:
        number += step.kind == "lookup"
        mark = str(number) if step.kind == "lookup" else ""
        yield from _row(mark, step.kind, step.text, width)
    yield "  one entry:"
    for word, texts in (
        ("key", entry.key),
        ("guards", entry.guards),
        ("actions", entry.actions),
        ("depends on", entry.depends_on),
    ):
        separator = ", " if word in ("key", "guards") else "; "
        yield from _row("", word, separator.join(texts), width)


def _row(mark: str, word: str, text: str, width: int) -> Iterator[str]:
    margin = f"{mark:>3} {word:<{_KIND}}"
    for line in wrapped(text, width - len(margin), hang=0):
        yield f"{margin}{line}"
        margin = " " * len(margin)
