"""A density report for a terminal: nodes, guests that straddle, room for more, and the moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtboost.model.density import Density, HostDensity, Move, NodeDensity, Room
from virtboost.model.wording import listed, size
from virtboost.report.columns import wrapped


def density_lines(found: Density, *, width: int) -> Iterator[str]:
    """Yield a report on hosts.

    Args:
        found: The report.
        width: Columns of the terminal.
    """
    for host in found.hosts:
        yield from _host(host, width)
        yield ""
    if found.emptied:
        count = len(found.moves)
        word = "migration empties" if count == 1 else "migrations empty"
        yield f"{count} {word} {listed(map(str, found.emptied))}:"
        yield from _moves(found.moves, width)
    elif len(found.hosts) > 1:
        yield "no host can be emptied by moving its guests to the others"


def _host(host: HostDensity, width: int) -> Iterator[str]:
    yield str(host.server)
    yield from _table(host.nodes, width)
    for guest in host.straddling:
        yield from wrapped(f"straddles: {guest.name}: {guest.reason}", width, indent=2, hang=4)
    for room in host.rooms:
        yield from wrapped(_room(room, host.replan_moves), width, indent=2, hang=4)
    if host.moves:
        yield f"  moves on this host, in this order: {len(host.moves)}"
        yield from _moves(host.moves, width)
    for note in host.notes:
        yield from wrapped(f"note: {note}", width, indent=2, hang=4)


_CPU_HEADS = ("CPUs", "in use", "free", "stranded")
_MEMORY_HEADS = ("memory", "in use", "free", "stranded")


def _table(nodes: Sequence[NodeDensity], width: int) -> Iterator[str]:
    rows = [(str(node.id), *_cpus(node), *_memory(node)) for node in nodes]
    heads = ("node", *_CPU_HEADS, *_MEMORY_HEADS)
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = (cell.rjust(columns) for cell, columns in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}"
    for node in nodes:
        if node.sibling_cpus:
            text = f"node {node.id}: CPUs {node.sibling_cpus} idle: a guest has their siblings"
            yield from wrapped(text, width, indent=2, hang=4)
    if any(node.stranded_cpus or node.stranded_bytes for node in nodes):
        yield from wrapped("stranded: no guest of a size that runs fits there", width, indent=2)


def _cpus(node: NodeDensity) -> tuple[str, ...]:
    counts = (node.cpus, node.used_cpus, node.free_cpus, node.stranded_cpus)
    return tuple(map(str, counts))


def _memory(node: NodeDensity) -> tuple[str, ...]:
    counts = (node.memory_bytes, node.used_bytes, node.free_bytes, node.stranded_bytes)
    return tuple(map(size, counts))


def _room(room: Room, replan_moves: int) -> str:
    nodes = f" on {room.cells} nodes" if room.cells > 1 else ""
    counts = f"{room.now} now"
    if room.moved != room.now:
        counts += f", {room.moved} after the moves"
    if room.replanned > room.moved:
        counts += f", {room.replanned} if all were planned anew, with {replan_moves} moves"
    return (
        f"room for more of {room.vcpus} vCPUs and {size(room.memory_bytes)}{nodes} "
        f"({room.running} running): {counts}"
    )


def _moves(moves: tuple[Move, ...], width: int) -> Iterator[str]:
    for number, move in enumerate(moves, 1):
        before, after = _nodes(move.node_ids), _nodes(move.to_node_ids)
        if move.server != move.to_server:
            before, after = f"{move.server} {before}", f"{move.to_server} {after}"
        cpus = f" CPUs {move.to_pcpus}" if move.to_pcpus else ""
        how = "live" if move.live else "stopped"
        text = f"{number}. {move.name}: {before} -> {after}{cpus}, {how}: {move.reason}"
        yield from wrapped(text, width, indent=4, hang=3)
        if move.hindrance:
            yield from wrapped(move.hindrance, width, indent=7)


def _nodes(node_ids: tuple[int, ...]) -> str:
    return f"node{'' if len(node_ids) == 1 else 's'} {', '.join(map(str, node_ids))}"
