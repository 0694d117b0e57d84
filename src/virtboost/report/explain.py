"""A tuning item as a page of text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from virtboost.catalogue.item import HOST, AnyItem
from virtboost.report.columns import wrapped
from virtboost.report.findings import COLOURS


def item_page(item: AnyItem, *, width: int) -> Iterator[Text]:
    """Yield everything that the catalogue says of an item.

    Args:
        item: The item.
        width: Columns of the terminal, at least 60.
    """
    yield from (Text(line, "bold") for line in wrapped(f"{item.id}: {item.title}", width))
    yield Text(item.severity, COLOURS[item.severity])
    for heading, paragraphs in _parts(item):
        if any(paragraphs):
            yield Text()
            yield Text(heading, "bold")
        hang = 2 if len(paragraphs) > 1 else 0
        for paragraph in paragraphs:
            yield from (Text(line) for line in wrapped(paragraph, width, indent=2, hang=hang))


def _parts(item: AnyItem) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "Why", (item.why,)
    yield "Applies when", tuple(condition.when for condition in item.applies)
    yield "Looks at", (_looks_at(item),)
    yield "Expected effect", _effect(item)
    yield "Risk", (item.risk,)
    yield "Set it by hand", tuple(item.by_hand.splitlines())
    yield "Undo it by hand", tuple(item.undo_by_hand.splitlines())
    yield "Takes effect", (item.takes_effect,)
    yield "Conflicts", _conflicts(item)
    yield "Use", (_use(item),)
    yield "Sources", item.sources


def _looks_at(item: AnyItem) -> str:
    wanted = "a value that follows from the host" if item.wanted is None else item.wanted.text
    looks_at = "the host" if item.subjects is HOST else f"each {item.subjects.kind}"
    return f"{looks_at}; wanted: {wanted}"


def _effect(item: AnyItem) -> tuple[str, ...]:
    effect = item.effect
    conditions = f"Conditions: {effect.conditions}" if effect.conditions else ""
    source = f"Source: {effect.source}" if effect.source else ""
    return tuple(text for text in (effect.figure, conditions, source) if text)


def _conflicts(item: AnyItem) -> tuple[str, ...]:
    rule = (f"carries out rule {item.rule}",) if item.rule else ()
    return (*item.conflicts, *rule)


def _use(item: AnyItem) -> str:
    usage = (
        "benchmarks and proofs of concept only, not production"
        if item.usage == "poc_only"
        else "production"
    )
    return f"{usage}; layer {item.layer}; platforms {', '.join(item.platforms)}"
