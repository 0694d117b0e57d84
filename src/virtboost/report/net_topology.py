"""A network's design as a picture: racks and groups of them rather than nodes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from virtboost.net.topology import Cell, Racks, Topology

WIDTH = 1080

GAP = 16

COLUMNS = 5
"""Cells that are drawn; where there are more, the last place tells how many."""

WIDEST = 400
"""Of a cell."""

HEAD_PX, SPEAKER_PX, MARK_PX = 44, 44, 18

SPEAKERS_PX = 56
"""From the middle of a cell's speakers to its right end."""

ROWS = 5
"""Of nodes in a rack that is drawn alone."""

RACK_WIDTH, RACK_HEIGHT = 26, 44

Kind = Literal["above", "cell", "more", "rack", "x86_64", "aarch64", "fabric"]


class Box(Struct, frozen=True, kw_only=True):
    """A rectangle."""

    kind: Kind
    x: float
    y: float
    width: float
    height: float


class Stroke(Struct, frozen=True, kw_only=True):
    """A line: of BGP, of another protocol, a cable, or a unit of a rack."""

    kind: Literal["session", "other", "cable", "unit"]
    x: float
    y: float
    to_x: float
    to_y: float


class Disc(Struct, frozen=True, kw_only=True):
    """A reflector or a switch, with its letter."""

    role: Literal["reflector", "switch", "service"]
    x: float
    y: float


class Text(Struct, frozen=True, kw_only=True):
    """Words, in the middle of a place or from it on."""

    text: str
    x: float
    y: float
    anchor: Literal["middle", "start"] = "middle"
    strong: bool = False
    over: bool = False
    """Whether it stands over lines."""


Shape = Box | Stroke | Disc | Text


class Picture(Struct, frozen=True, kw_only=True):
    """What is drawn."""

    width: int
    height: float
    boxes: tuple[Box, ...]
    strokes: tuple[Stroke, ...]
    discs: tuple[Disc, ...]
    texts: tuple[Text, ...]
    text: str
    """The same in words."""
    key: tuple[tuple[str, str], ...]
    """Kinds of shapes, and what they stand for."""


def draw(found: Topology) -> Picture:
    """Return the picture of a design, with as many shapes at 10,000 nodes as at 200."""
    top = 96.0 if found.above else 44.0
    shapes = [*_top(found, top)]
    cells_y = top + 30
    inner = max(_height(cell, width) for cell, _, width in _columns(found))
    height = HEAD_PX + inner + (SPEAKER_PX if found.cells[0].speakers else 0)
    for cell, x, width in _columns(found):
        shapes += _cell(found, cell, (x, cells_y, width, height))
    shapes += _rest(found, cells_y, height)
    bottom = cells_y + height
    if found.inside:
        shapes.append(Text(text=found.inside, x=WIDTH / 2, y=bottom + 24, over=True))
        bottom += 20
    shapes += _fabric(found, cells_y + height, bottom + 30)
    return Picture(
        width=WIDTH,
        height=bottom + 30 + 60,
        boxes=tuple(each for each in shapes if isinstance(each, Box)),
        strokes=tuple(each for each in shapes if isinstance(each, Stroke)),
        discs=tuple(each for each in shapes if isinstance(each, Disc)),
        texts=tuple(each for each in shapes if isinstance(each, Text)),
        text=_told(found),
        key=tuple(_key(found)),
    )


def _shown(found: Topology) -> tuple[Cell, ...]:
    return found.cells if len(found.cells) <= COLUMNS else found.cells[: COLUMNS - 1]


def _places(found: Topology) -> tuple[float, float, int]:
    """Return where the first column begins, how wide each is, and how many there are."""
    count = min(COLUMNS, len(found.cells))
    width = min(WIDEST, (WIDTH - GAP * (count - 1)) / count)
    return (WIDTH - count * width - GAP * (count - 1)) / 2, width, count


def _columns(found: Topology) -> Iterator[tuple[Cell, float, float]]:
    """Yield the cells that are drawn, where each begins, and how wide it is."""
    left, width, _ = _places(found)
    for place, cell in enumerate(_shown(found)):
        yield cell, left + place * (width + GAP), width


def _centres(found: Topology) -> list[float]:
    left, width, count = _places(found)
    return [left + place * (width + GAP) + width / 2 for place in range(count)]


def _entries(found: Topology) -> Iterator[float]:
    """Yield where the line from above meets each cell: over its speakers, right of its name."""
    shift = _places(found)[1] / 2 - SPEAKERS_PX if found.cells[0].speakers else 0
    for place, centre in enumerate(_centres(found)):
        yield centre + shift if place < len(_shown(found)) else centre


def _link(found: Topology) -> Literal["session", "other"]:
    """Return whether cells are joined by BGP that is planned here."""
    service = found.above is not None and found.above.role == "service"
    return "other" if service or found.role == "switch" else "session"


def _top(found: Topology, bus: float) -> Iterator[Shape]:
    """Yield what all cells connect to, and the line that they do it by."""
    kind, entries = _link(found), list(_entries(found))
    middle, ends = WIDTH / 2, (min(entries), max(entries))
    if found.above is not None:
        yield from _above(found, middle)
        yield Stroke(kind=kind, x=middle, y=62, to_x=middle, to_y=bus)
        yield Text(text=found.joined, x=middle + 12, y=bus - 12, anchor="start")
    else:
        yield Text(text=found.joined, x=middle, y=bus - 12)
    yield Stroke(kind=kind, x=min(ends[0], middle), y=bus, to_x=max(ends[1], middle), to_y=bus)
    for entry in entries:
        yield Stroke(kind=kind, x=entry, y=bus, to_x=entry, to_y=bus + 30)


def _above(found: Topology, middle: float) -> Iterator[Shape]:
    above = found.above
    if above is None:
        return
    shown = above.count if above.role == "reflector" else 0
    text = above.title if above.count == 1 else f"{above.count:,} {above.title}"
    width = max(220, 30 * shown, 7.2 * len(text)) + 24
    yield Box(kind="above", x=middle - width / 2, y=4, width=width, height=58)
    yield Text(text=text, x=middle, y=24 if shown else 38, strong=True)
    for place in range(shown):
        yield Disc(role=above.role, x=middle + 30 * (place - (shown - 1) / 2), y=44)


def _height(cell: Cell, width: float) -> float:
    """Return how high the racks or nodes of a cell are."""
    if cell.rack_count == 1:
        across = _across(width)
        return 12 + MARK_PX * min(ROWS, math.ceil(cell.nodes / across))
    return 12 + (RACK_HEIGHT + 8) * min(2, math.ceil(cell.rack_count / _racks_across(width)))


def _across(width: float) -> int:
    return int((width - 16) // MARK_PX)


def _racks_across(width: float) -> int:
    return int((width - 16) // (RACK_WIDTH + 8))


def _cell(found: Topology, cell: Cell, place: tuple[float, float, float, float]) -> Iterator[Shape]:
    x, y, width, height = place
    middle, top = x + width - SPEAKERS_PX, y + HEAD_PX
    yield Box(kind="cell", x=x, y=y, width=width, height=height)
    yield Text(text=cell.name, x=x + 10, y=y + 18, anchor="start", strong=True)
    yield Text(text=_counted(cell), x=x + 10, y=y + 34, anchor="start")
    if cell.speakers:
        for number in range(cell.speakers):
            at = middle + 44 * (number - (cell.speakers - 1) / 2)
            yield Stroke(kind=_link(found), x=middle, y=y, to_x=at, to_y=top + 12)
            yield Stroke(kind="session", x=at, y=top + 12, to_x=at, to_y=top + SPEAKER_PX - 12)
            yield Disc(role=found.role, x=at, y=top + 12)
        top += SPEAKER_PX
        yield Stroke(kind="session", x=x + 12, y=top - 12, to_x=x + width - 12, to_y=top - 12)
    yield from _nodes(cell, x, top, width) if cell.rack_count == 1 else _racks(cell, x, top, width)


def _counted(cell: Cell) -> str:
    nodes = f"{cell.nodes:,} node{'' if cell.nodes == 1 else 's'}"
    return nodes if cell.rack_count == 1 else f"{cell.rack_count:,} racks, {nodes}"


def _nodes(cell: Cell, x: float, top: float, width: float) -> Iterator[Shape]:
    """Yield a mark for each node of a rack, as far as there is room."""
    across, (rack,) = _across(width), cell.racks
    room = across * ROWS
    shown = rack.nodes if rack.nodes <= room else room - 3
    left = x + (width - min(across, rack.nodes) * MARK_PX) / 2
    for number in range(shown):
        row, column = divmod(number, across)
        if not row and cell.speakers:
            middle = left + (column + 0.5) * MARK_PX
            yield Stroke(kind="session", x=middle, y=top - 12, to_x=middle, to_y=top + 2)
        yield Box(
            kind=_architecture(rack),
            x=left + column * MARK_PX + 2,
            y=top + row * MARK_PX + 2,
            width=MARK_PX - 4,
            height=MARK_PX - 4,
        )
    if shown < rack.nodes:
        at = left + (across - 3) * MARK_PX + 4
        more = f"+{rack.nodes - shown:,}"
        yield Text(text=more, x=at, y=top + ROWS * MARK_PX - 4, anchor="start")


def _racks(cell: Cell, x: float, top: float, width: float) -> Iterator[Shape]:
    """Yield a rack with its units for each of a cell's, as far as there is room."""
    across, step = _racks_across(width), RACK_WIDTH + 8
    racks = [each for each in cell.racks for _ in range(min(each.count, 2 * across))]
    room = 2 * across
    shown = racks if cell.rack_count <= room else racks[: room - 1]
    left = x + (width - min(across, cell.rack_count) * step) / 2 + 4
    for number, rack in enumerate(shown):
        row, column = divmod(number, across)
        at, down = left + column * step, top + row * (RACK_HEIGHT + 8) + 2
        if not row and cell.speakers:
            middle = at + RACK_WIDTH / 2
            yield Stroke(kind="session", x=middle, y=top - 12, to_x=middle, to_y=down)
        yield from _rack(rack, at, down)
    if len(shown) < cell.rack_count:
        at = left + (across - 1) * step + RACK_WIDTH / 2
        more = f"+{cell.rack_count - len(shown):,}"
        yield Text(text=more, x=at, y=top + 1.5 * (RACK_HEIGHT + 8) + 4)


def _rack(rack: Racks, x: float, y: float) -> Iterator[Shape]:
    yield Box(kind=_architecture(rack), x=x, y=y, width=RACK_WIDTH, height=RACK_HEIGHT)
    for down in range(8, RACK_HEIGHT, 8):
        yield Stroke(kind="unit", x=x + 3, y=y + down, to_x=x + RACK_WIDTH - 3, to_y=y + down)


def _architecture(rack: Racks) -> Literal["x86_64", "aarch64"]:
    return "aarch64" if rack.architecture == "aarch64" else "x86_64"


def _rest(found: Topology, y: float, height: float) -> Iterator[Shape]:
    """Yield the place of the cells that are not drawn."""
    rest = found.cells[len(_shown(found)) :]
    if not rest:
        return
    _, width, _ = _places(found)
    middle = _centres(found)[-1]
    yield Box(kind="more", x=middle - width / 2, y=y, width=width, height=height)
    kind = rest[0].name.split()[0]
    sizes = sorted({cell.nodes for cell in rest})
    each = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    nodes = sum(cell.nodes for cell in rest)
    more = f"{len(rest):,} more {kind}{'' if len(rest) == 1 else 's'}"
    texts = (more, f"of {each} nodes each", f"{nodes:,} nodes", *_kinds(rest))
    for line, text in enumerate(texts):
        at = y + height / 2 - 9 * len(texts) + 15 + 18 * line
        yield Text(text=text, x=middle, y=at, strong=not line)


def _kinds(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield how many nodes are of each architecture, where there are several."""
    counts: Counter[str] = Counter()
    for rack in (rack for cell in cells for rack in cell.racks):
        counts[rack.architecture] += rack.count * rack.nodes
    if len(counts) > 1:
        yield from (f"{counts[name]:,} {name}" for name in sorted(counts))


def _fabric(found: Topology, cells_end: float, y: float) -> Iterator[Shape]:
    for centre in _centres(found):
        yield Stroke(kind="cable", x=centre, y=cells_end, to_x=centre, to_y=y)
    yield Box(kind="fabric", x=0, y=y, width=WIDTH, height=52)
    yield Text(text=f"fabric: {found.fabric}", x=WIDTH / 2, y=y + 21, strong=True)
    yield Text(text=found.packets, x=WIDTH / 2, y=y + 40)


def _told(found: Topology) -> str:
    """Return the picture in words."""
    nodes = sum(cell.nodes for cell in found.cells)
    kind = found.cells[0].name.split()[0]
    parts = [
        f"{nodes:,} nodes in {len(found.cells):,} {kind}{'' if len(found.cells) == 1 else 's'}"
    ]
    if found.above is not None:
        parts.append(f"above them {found.above.count:,} {found.above.title}".replace(" 1 ", " "))
    parts += [part for part in (found.joined, found.inside) if part]
    parts.append(f"fabric: {found.fabric}; {found.packets}")
    return ". ".join(f"{part[0].upper()}{part[1:]}" for part in parts) + "."


def _key(found: Topology) -> Iterator[tuple[str, str]]:
    roles = {found.role for cell in found.cells[:1] if cell.speakers}
    if found.above is not None:
        roles.add(found.above.role)
    yield from ((role, text) for role, text in _ROLES if role in roles)
    architectures = {rack.architecture for cell in found.cells for rack in cell.racks}
    unit = "rack" if any(cell.rack_count > 1 for cell in _shown(found)) else "node"
    for architecture in sorted(architectures):
        yield architecture, f"{unit}, {architecture}"
    if _link(found) == "session" or found.inside:
        yield "session", "BGP"
    if _link(found) == "other":
        yield "other", "not BGP, or not planned here"
    yield "cable", "packets"


_ROLES = (("reflector", "route reflector"), ("switch", "top-of-rack switch"))
