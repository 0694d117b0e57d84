"""XML of a host as a tree: nothing is expanded or fetched, and what is no XML is None."""

from __future__ import annotations

from typing import Any, cast

from lxml import etree

Element = etree._Element


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
