"""Sockets, dies, NUMA nodes, caches, CPU clusters and cores as boxes inside each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from virtboost.model.cpuset import CpuSet, union
from virtboost.model.topology import Cache, Topology
from virtboost.model.wording import size

KINDS = ("socket", "die", "node", "cache", "cluster", "core")
"""From the outside to the inside where two have the same CPUs."""

WIDEST = 1240
"""Pixels that a picture may be wide: a laptop's screen."""

_SHAPES = (1.0, 1.4, 2.0, 2.8)
"""Width to height of boxes: the one that makes the lowest picture is taken."""

_LETTER_PX = 6
"""About how wide a letter of a label is."""

_NODE_PX = 260
"""How wide a NUMA node is at least: its memory and its devices are words."""


class Group(Struct, frozen=True, kw_only=True):
    """CPUs that share something."""

    kind: str
    """One of ``KINDS``."""
    label: str
    cpus: CpuSet
    node_id: int | None = None
    """The NUMA node that it is."""


class Box(Struct, frozen=True, kw_only=True):
    """One box of the picture: groups of the same CPUs."""

    groups: tuple[Group, ...]
    """The outermost first."""
    boxes: tuple[Box, ...]
    """What is drawn inside."""
    cells: CpuSet
    """pCPUs that are drawn in this box itself."""
    columns: int
    """In how many columns boxes or cells stand."""
    width: int
    """About how wide it is, in pixels."""
    height: int
    """About how high it is, in pixels."""

    @property
    def kind(self) -> str:
        """The kind of its outermost group."""
        return self.groups[0].kind

    @property
    def cpus(self) -> CpuSet:
        """The CPUs of each of its groups."""
        return self.groups[0].cpus

    @property
    def node_id(self) -> int | None:
        """The NUMA node that it shows."""
        return next((group.node_id for group in self.groups if group.node_id is not None), None)


class Drawing(Struct, frozen=True, kw_only=True):
    """A whole host as boxes."""

    boxes: tuple[Box, ...]
    crossing: tuple[Group, ...]
    """Groups that cannot be drawn because they cross others."""
    private_caches: tuple[str, ...]
    """Caches that each core has for itself, ``L2 512 KiB``."""
    cell_px: int
    """Width of a pCPU: there is more room for few than for many."""


class _Style(Struct, frozen=True, kw_only=True):
    """How boxes are arranged."""

    cell_px: int
    shape: float
    """Wanted width to height."""


def draw(topology: Topology) -> Drawing:
    """Arrange the CPUs of a host as boxes inside each other."""
    groups = sorted(_groups(topology), key=lambda group: (-len(group.cpus), _rank(group)))
    cell_px = _cell_px(len(topology.online))
    styles = (_Style(cell_px=cell_px, shape=shape) for shape in _SHAPES)
    drawn = (tuple(_boxes(groups, style)) for style in styles)
    boxes = min(drawn, key=_stacked_height)
    shown = {id(group) for box in walk(boxes) for group in box.groups}
    return Drawing(
        boxes=boxes,
        crossing=tuple(group for group in groups if id(group) not in shown),
        private_caches=_private_caches(topology),
        cell_px=cell_px,
    )


def _rank(group: Group) -> int:
    return KINDS.index(group.kind)


def _cell_px(cpus: int) -> int:
    return 30 if cpus > 48 else 40 if cpus > 8 else 56


def _groups(topology: Topology) -> Iterator[Group]:
    for socket in topology.sockets:
        yield Group(kind="socket", label=f"Socket {socket.id}", cpus=socket.cpus)
    for die in topology.dies:
        yield Group(kind="die", label=f"Die {die.id}", cpus=die.cpus)
    for node in topology.numa_nodes:
        if node.cpus:
            yield Group(kind="node", label=f"NUMA node {node.id}", cpus=node.cpus, node_id=node.id)
    for cache in _shared_caches(topology):
        yield Group(kind="cache", label=cache_label(cache), cpus=cache.cpus)
    for cluster in topology.shared_clusters:
        yield Group(kind="cluster", label=f"Cluster {cluster.id}", cpus=cluster.cpus)
    for core in topology.cores:
        if len(core.cpus) > 1:
            yield Group(kind="core", label=f"Core {core.id}", cpus=core.cpus)


def _shared_caches(topology: Topology) -> list[Cache]:
    cores = {core.cpus for core in topology.cores}
    return [c for c in topology.caches if len(c.cpus) > 1 and c.cpus not in cores]


def cache_label(cache: Cache) -> str:
    """Return ``L3 32 MiB``, ``L1d 64 KiB``."""
    letter = {"Data": "d", "Instruction": "i"}.get(cache.type, "")
    return f"L{cache.level}{letter} {size(cache.size_bytes)}"


def _private_caches(topology: Topology) -> tuple[str, ...]:
    shared = set(_shared_caches(topology))
    private = [cache for cache in topology.caches if cache not in shared]
    private.sort(key=lambda cache: (cache.level, cache.type))
    return tuple(dict.fromkeys(cache_label(cache) for cache in private))


def _stacked_height(boxes: Sequence[Box]) -> int:
    """Return how high boxes are in rows of at most ``WIDEST``, as the browser puts them."""
    height = left = row = 0
    for box in boxes:
        if box.width > left:
            height, left, row = height + row, WIDEST, 0
        left -= box.width
        row = max(row, box.height)
    return height + row


def _boxes(groups: Sequence[Group], style: _Style) -> Iterator[Box]:
    """Yield a box for each outermost group; the larger come first in ``groups``."""
    while groups:
        outer = groups[0].cpus
        same = tuple(group for group in groups if group.cpus == outer)
        inner = [group for group in groups if group.cpus < outer]
        yield _box(same, tuple(_boxes(inner, style)), style)
        groups = [group for group in groups if group.cpus.isdisjoint(outer)]


def _box(same: tuple[Group, ...], inner: tuple[Box, ...], style: _Style) -> Box:
    boxes = tuple(sorted(inner, key=lambda box: box.cpus.first))
    cells = same[0].cpus - union(box.cpus for box in boxes)
    core = same[0].kind == "core"
    columns, width, height = _arranged(boxes, len(cells), style, in_a_row=core)
    label_px = 0 if core else _LETTER_PX * sum(len(group.label) + 1 for group in same)
    node = any(group.node_id is not None for group in same)
    return Box(
        groups=same,
        boxes=boxes,
        cells=cells,
        columns=columns,
        width=max(width, _NODE_PX if node else label_px) + (4 if core else 10),
        height=height + (4 if core else 28) + (80 if node else 0),
    )


def _arranged(
    boxes: Sequence[Box], cells: int, style: _Style, *, in_a_row: bool
) -> tuple[int, int, int]:
    """Return columns, width and height of what is inside a box."""
    count = len(boxes) or cells
    width = max((box.width for box in boxes), default=style.cell_px) + 3
    height = max((box.height for box in boxes), default=style.cell_px // 5 + 26) + 3

    def ugliness(columns: int) -> float:
        rows = math.ceil(count / columns)
        too_wide = 100.0 if columns > 1 and columns * width > WIDEST else 0.0
        ragged = 1.0 if count % columns else 0.0
        return too_wide + ragged + abs(math.log(columns * width / (rows * height) / style.shape))

    columns = count if in_a_row else min(range(1, count + 1), key=ugliness)
    return columns, columns * width, math.ceil(count / columns) * height


def walk(boxes: Iterable[Box]) -> Iterator[Box]:
    """Yield every box, outer ones first."""
    for box in boxes:
        yield box
        yield from walk(box.boxes)
