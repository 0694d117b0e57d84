"""A plan for a terminal: the host drawn by CPU, one line for each guest, and what it gave up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from virtboost.model.cpuset import CpuSet, union
from virtboost.model.host import Host
from virtboost.model.numa import NumaNode
from virtboost.model.placement import GuestPlacement
from virtboost.model.plan import Plan
from virtboost.model.wording import size
from virtboost.report.columns import wrapped

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

HOST, SHARED, FREE, OTHER, MANY = "#", "+", ".", "-", "*"

LEGEND = f"{HOST} host  {SHARED} shared pool  {FREE} free  {OTHER} used by what is not planned"


def plan_lines(host: Host, plan: Plan, *, verbose: bool, width: int) -> Iterator[str]:
    """Yield what is planned.

    Args:
        host: The host that the plan is for.
        plan: What goes where.
        verbose: Say of each guest why it is there, and what it is told of its CPUs.
        width: Columns of the terminal.
    """
    yield from wrapped(_summary(plan), width)
    yield ""
    letters = _letters(plan.guests)
    yield from _picture(host, plan, letters, width)
    for placement in plan.guests:
        yield from _guest(
            placement, letters.get(placement.name, MANY), verbose=verbose, width=width
        )
    for unplaced in plan.unplaced:
        yield from wrapped(f"no place for {unplaced.name}: {unplaced.reason}", width)
    for note in plan.notes:
        yield from wrapped(f"note: {note}", width)
    if plan.changes:
        yield f"changes to the host: {len(plan.changes)}; -o FILE writes them"


def _summary(plan: Plan) -> str:
    count = len(plan.guests) + len(plan.unplaced)
    proved = ""
    if plan.optimal:
        proved = ", the best that there is"
    elif plan.gap is not None:
        proved = f", within {100 * plan.gap:.1f} % of the best"
    return (
        f"{plan.hostname or 'the host'}: {len(plan.guests)} of {count} placed{proved}; "
        f"host keeps CPUs {plan.host_pcpus or 'none'}; free: {plan.free_pcpus or 'none'}"
    )


def _letters(placements: Sequence[GuestPlacement]) -> dict[str, str]:
    """Return a letter for each guest with pCPUs of its own; those that share have none."""
    own = [placement.name for placement in placements if placement.dedicated]
    return dict(zip(own, LETTERS, strict=False))


def _picture(host: Host, plan: Plan, letters: dict[str, str], width: int) -> Iterator[str]:
    owners = _owners(plan, letters)
    blocks = [cluster.cpus for cluster in host.topology.shared_clusters]
    blocks = blocks or [core.cpus for core in host.topology.cores]
    for node in host.topology.numa_nodes:
        if node.cpus:
            yield from _node(node, owners, blocks, width)
    yield f"  {LEGEND}"
    yield ""


def _owners(plan: Plan, letters: dict[str, str]) -> dict[int, str]:
    owners = dict.fromkeys(plan.free_pcpus, FREE)
    owners |= dict.fromkeys(plan.shared_pcpus, SHARED)
    owners |= dict.fromkeys(plan.host_pcpus, HOST)
    for placement in plan.guests:
        if placement.dedicated:
            own = placement.emulator_pcpus - plan.host_pcpus
            cpus = union((own, *(vcpu.pcpus for vcpu in placement.vcpus)))
            owners |= dict.fromkeys(cpus, letters.get(placement.name, MANY))
    return owners


def _node(
    node: NumaNode, owners: dict[int, str], blocks: Iterable[CpuSet], width: int
) -> Iterator[str]:
    words = [
        "".join(owners.get(cpu, OTHER) for cpu in block)
        for block in sorted(blocks, key=lambda block: block.first)
        if block <= node.cpus
    ]
    yield from wrapped(f"node {node.id}  {' '.join(words)}", width, indent=2, hang=8)


def _guest(placement: GuestPlacement, letter: str, *, verbose: bool, width: int) -> Iterator[str]:
    mark = letter if placement.dedicated else SHARED
    parts = []
    for cell in placement.cells:
        cpus = union(v.pcpus for v in placement.vcpus if v.vcpu in cell.vcpus)
        pages = f", {size(cell.memory_bytes)} in {size(cell.page_size_bytes)} pages"
        parts.append(f"node {cell.node_id} CPUs {cpus}{pages if cell.memory_bytes else ''}")
    yield from wrapped(f"{mark} {placement.name}: {'; '.join(parts)}", width, hang=4)
    for text in (*placement.why, *_told(placement)) if verbose else ():
        yield from wrapped(text, width, indent=4)
    for text in placement.given_up:
        yield from wrapped(f"gave up: {text}", width, indent=4)
    for text in placement.better:
        yield from wrapped(f"better: {text}", width, indent=4)


def _told(placement: GuestPlacement) -> Iterator[str]:
    """Yield where its other threads run, and what it sees of its CPUs."""
    if placement.kind == "container":
        return
    if placement.emulator_pcpus:
        yield f"emulator threads on CPUs {placement.emulator_pcpus}"
    for thread in placement.iothreads:
        yield f"I/O thread {thread.id} on CPUs {thread.pcpus}"
    told = placement.topology
    if told is not None:
        levels = ("sockets", "dies", "clusters", "cores", "threads")
        yield f"sees {', '.join(f'{level} {getattr(told, level)}' for level in levels)}"
