"""Read XML of a host: nothing is expanded or fetched, and what is no XML is None."""

from __future__ import annotations

from typing import Any, cast

from lxml import etree

from virtboost.scan.texts import natural, times

Element = etree._Element

_UNITS = {
    "b": 1,
    "bytes": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGTPE", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGTPE", 1)},
    **{letter: 1024**power for power, letter in enumerate("KMGTPE", 1)},
    "k": 1024,
}
"""Units of a size (https://libvirt.org/formatdomain.html#memory-allocation)."""


def parse_xml(text: str) -> Element | None:
    """Return the root of a document, or None where the text is not well-formed.

    A document with a DTD is refused: libvirt writes none, and entities are how XML bombs are made.
    """
    if "<!DOCTYPE" in text:
        return None
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:
        return None


def found(element: Element, path: str) -> list[Any]:
    """Return the elements, texts or attributes that an XPath finds."""
    return cast("list[Any]", element.xpath(path))


def elements(element: Element, path: str) -> list[Element]:
    """Return the elements that an XPath finds."""
    return found(element, path)


def value(element: Element, path: str) -> str | None:
    """Return the first text or attribute that an XPath finds, stripped; None where it is empty."""
    return str(element.xpath(f"string({path})")).strip() or None


def present(element: Element, path: str) -> bool:
    """Tell whether an XPath finds anything."""
    return bool(element.xpath(f"boolean({path})"))


def number(element: Element, path: str) -> int | None:
    """Return the number that an XPath finds; None where there is none, or a negative one."""
    return natural(value(element, path))


def size_bytes(element: Element, path: str) -> int | None:
    """Return a size in bytes: the number at ``path`` in its ``unit``, KiB where none is told.

    ``path`` is an element with the number as its text, or one of its attributes, ``page/@size``.
    """
    owner = path.rpartition("/@")[0] if "@" in path else path
    unit = _UNITS.get(value(element, f"{owner or '.'}/@unit") or "KiB")
    return None if unit is None else times(number(element, path), unit)
