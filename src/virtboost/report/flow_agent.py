"""A running agent of flow for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table
from rich.text import Text

from virtboost.flow.agent.status import FlowStatus
from virtboost.flow.refusal import REASONS
from virtboost.model.wording import size
from virtboost.report.columns import wrapped
from virtboost.report.printable import printable

STATES = {
    "open": "entries are carried out",
    "closed": "every packet passes until the next check",
    "quarantined": "QUARANTINED, every packet passes until the next start",
    "waiting": "no ovs-vswitchd is there",
}

HEADING = 4
"""Lines of a table beside its rows."""


def status_lines(found: FlowStatus, *, width: int) -> Iterator[str]:
    """Yield what an agent does.

    Args:
        found: Its status.
        width: Columns of the terminal.
    """
    yield printable(
        f"agent {found.pid} at {found.datapath or 'no datapath'}: {STATES[found.state]}"
    )
    if found.reason:
        yield from wrapped(printable(found.reason), width, indent=2)
    yield printable(f"in front of {', '.join(found.ports) or 'no port'}; {_policy(found)}")
    yield (
        f"{found.entries:,} of {found.max_entries:,} entries took {found.packets:,} packets, "
        f"{size(found.bytes)}; {found.removed:,} entries are gone"
    )
    yield f"a check of everything took {found.check_ms:.1f} ms; the lease is {found.lease_ms} ms"
    if not found.samples:
        yield "samples: none in front of the kernel's datapath"
    yield from _counts("samples", found.verified)
    yield from _counts("left to Open vSwitch", found.passes)
    yield from _counts("no entries", {_told(why): n for why, n in found.refused.items()})
    yield from _counts("closed for a change of", found.closed)


def _policy(found: FlowStatus) -> str:
    observes = "it only observes, " if found.observe else ""
    tcp = "taken, their windows unchecked" if found.tcp_window == "liberal" else "left alone"
    return f"{observes}tracked connections of TCP are {tcp}"


def _told(why: str) -> str:
    number = int(why[1:]) if why.startswith("R") and why[1:].isdecimal() else 0
    return f"{why} {REASONS[number]}" if number in REASONS else why


def _counts(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    if counts:
        yield f"{title}:"
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        yield printable(f"  {count:>14,}  {name}")


def top_table(found: FlowStatus, height: int) -> Table:
    """Return the busiest entries as a table of at most so many lines."""
    title = f"{found.datapath or 'no datapath'}: {STATES[found.state]}"
    table = Table(title=Text(printable(title)), box=None, title_justify="left")
    for heading in ("packets/s", "packets", "bytes", "port", "what"):
        table.add_column(heading, justify="left" if heading in ("port", "what") else "right")
    for each in found.busiest[: max(height - HEADING, 1)]:
        rate, names = f"{each.packets_per_s:,.0f}", (printable(each.port), printable(each.what))
        cells = (rate, f"{each.packets:,}", size(each.bytes), *names)
        table.add_row(*(Text(cell) for cell in cells))
    return table
