"""How late packets still follow a rule or a connection that is gone, with a fast path and without."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from differential.churn import Churned, churned, forgotten
from differential.pipelines import DEVICES
from differential.twin import Nothing, Side
from differential.world import World
from differential.world import world as made
from support.accelerated import Agents, agents
from support.daemon import ask

TITLE = "Flow changes"

CHURNS = (
    ("changes of a rule, 100 a second", 500, 0.01),
    ("changes of a rule, 5 a second", 50, 0.2),
)
"""Name, how many, seconds between them."""

FLUSHES, STOPS = 30, 5

NOTE = """
Packets of one connection through two hosts with VXLAN and conntrack, about one in a millisecond; the rule writes its version into each. For each
change: how long after the switch's barrier reply the last packet went in that left by an older rule; 0 where none did. Flush: how long after
`dpctl/flush-conntrack` returned the first packet went in that the host took for a new connection's; its megaflows stay. Agent stopped: SIGSTOP before
the change, so that only the lease (500 ms) ends the entry. Every packet arrived once, and all but the version is what stock made of it.
"""


def versions() -> Sequence[str]:
    """Return that of the switch."""
    return (ask("ovs-vswitchd", "--version").splitlines()[0],)


def run() -> str:
    """Return the result as Markdown."""
    with tempfile.TemporaryDirectory(prefix="virtboost-") as name, ExitStack() as stack:
        stock, fast = (stack.enter_context(made(Path(name) / each)) for each in ("s", "f"))
        side = stack.enter_context(agents(fast.hosts, DEVICES))
        side.ready()
        rows = list(_rows(stock, fast, side))
    head = "| | stock, ms | accelerated, ms | goal, ms |\n|---|---|---|---|"
    return "\n".join((head, *rows)) + f"\n{NOTE}"


def _rows(stock: World, fast: World, side: Agents) -> Iterator[str]:
    for what, changes, interval_s in CHURNS:
        both = (
            _churned(stock, Nothing(), changes, interval_s),
            _churned(fast, side, changes, interval_s),
        )
        alike = both[0].frames & both[1].frames
        assert alike.total() == min(each.frames.total() for each in both), what
        yield _row(what, [_spread(each.stale_ms) for each in both], "5 typical, 500 at worst")
    flushed = [_flushed(stock, Nothing()), _flushed(fast, side)]
    yield _row("connections flushed", flushed, "500 at worst")
    yield _row(
        "a changed rule, agent stopped", ["", _spread(list(_stopped(fast, side)))], "500 at worst"
    )


def _churned(world: World, side: Side, changes: int, interval_s: float) -> Churned:
    world.renew()
    found = churned(world, side, changes=changes, interval_s=interval_s)
    assert found.sent == found.frames.total()
    return found


def _flushed(world: World, side: Side) -> str:
    world.renew()
    return _spread(forgotten(world, side, flushes=FLUSHES))


def _stopped(fast: World, side: Agents) -> Iterator[float]:
    for _ in range(STOPS):
        fast.renew()
        side.ready()
        yield churned(fast, side, changes=1, interval_s=0.1, after_s=1, frozen=True).stale_ms[0]


def _row(what: str, cells: Sequence[str], goal: str) -> str:
    return f"| {what} | {' | '.join(cells)} | {goal} |"


def _spread(values: Sequence[float]) -> str:
    middle, high = (
        statistics.median(values),
        statistics.quantiles(values, n=100, method="inclusive")[98],
    )
    return f"{middle:.1f} (99 %: {high:.1f}, worst {max(values):.1f}; {len(values)})"
