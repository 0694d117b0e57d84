"""Which items a check holds a host against: all, or those that the user and the site choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec

from virtboost.catalogue.catalogue import ITEMS
from virtboost.catalogue.item import AnyItem, Platform
from virtboost.catalogue.site import Site, suggestion, with_site
from virtboost.errors import InputError
from virtboost.model.userfile import from_yaml
from virtboost.transport.source import Files

SITE_FILE = Path("virtboost.yaml")
"""The site's file where none is named: in the current directory, if it is there."""


class Selection(msgspec.Struct, frozen=True):
    """The items to check and the files that they make a scan read."""

    items: tuple[AnyItem, ...]
    files: tuple[Files, ...]


def select(platforms: Sequence[str], ids: Sequence[str], site_file: Path | None) -> Selection:
    """Return the items for ``platforms`` (none: all) with ``ids`` (none: all), as the site wants.

    Raises:
        InputError: A platform, an id or the site's file is wrong.
    """
    site, source = _site(site_file)
    items = with_site(ITEMS, site, source)
    for name in platforms:
        if name not in get_args(Platform):
            raise InputError(f"--for {name}: not one of {', '.join(get_args(Platform))}")
    chosen = [item for item in items if not platforms or set(platforms) & set(item.platforms)]
    if ids:
        chosen = [named(chosen if platforms else items, name) for name in ids]
    return Selection(tuple(chosen), tuple(_file(path) for path in site.paths))


def named(items: Sequence[AnyItem], name: str) -> AnyItem:
    """Return the item with this id.

    Raises:
        InputError: There is none.
    """
    by_id = {item.id: item for item in items}
    if name not in by_id:
        raise InputError(f"no item {name!r}{suggestion(name, by_id)}")
    return by_id[name]


def _site(file: Path | None) -> tuple[Site, str]:
    chosen = file or (SITE_FILE if SITE_FILE.is_file() else None)
    if chosen is None:
        return Site(), ""
    try:
        text = chosen.read_text()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError(f"{chosen}: cannot be read: {problem}") from error
    return from_yaml(text, Site, str(chosen)), str(chosen)


def _file(path: str) -> Files:
    directory, _, name = path.rpartition("/")
    return Files(directory, (name,))
