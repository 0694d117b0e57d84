"""Between two namespaces over two hosts with VXLAN and conntrack: with a fast path, without, and no switch."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from bench import load
from bench.path import CHANGED, PORT, Between, bare, switched
from support import churn
from support.accelerated import Agents, agents
from support.daemon import ask
from support.vtep import UPLINK, Host

TITLE = "Flow end to end"

RUNS = 5

CHANGES_S = 0.01
"""Between changes of a rule, where it is changed."""

STOCK, FAST, LIMIT = "stock", "accelerated", "no switch"

NOTE = """
Two network namespaces, each behind a host with an Open vSwitch of its own (userspace datapath, AF_PACKET), VXLAN between them,
`ct(zone=7)` on both; the hosts share this machine's CPUs. Accelerated: `virtboost flow run --tcp-window liberal` on both hosts, TCP
windows unchecked in both. No switch: the same three pairs of veth, joined by an XDP program of one line, without a tunnel; offloads of the ends off
in all three. Runs in turn; each lasts {measured} s after {learned} s that do not count, in which the fast path is learned.
64-byte packets: what arrives of what one process sends as fast as it can. Request and response: 64 bytes over TCP, sockperf. Rules
that change: one of two that packets meet behind conntrack, on both hosts.
"""


T = TypeVar("T")


class Quantity(Struct, frozen=True):
    """A row."""

    what: str
    unit: str
    runs: Mapping[str, Sequence[float]]
    """By way, in the order of time."""
    goals: str = ""


def versions() -> Sequence[str]:
    """Return those of the switch and of what makes the load."""
    lines = (
        ask("ovs-vswitchd", "--version"),
        ask("iperf3", "--version"),
        ask("sockperf", "--version"),
    )
    return tuple(text.splitlines()[0].removesuffix(".") for text in lines)


def run() -> str:
    """Return the result as Markdown."""
    with tempfile.TemporaryDirectory(prefix="virtboost-") as name, ExitStack() as stack:
        folder = Path(name)
        ways = {
            STOCK: stack.enter_context(switched(folder / "stock")),
            FAST: stack.enter_context(switched(folder / "fast")),
            LIMIT: stack.enter_context(bare(folder / "bare")),
        }
        side = stack.enter_context(accelerated(ways[FAST]))
        quantities = list(_quantities(ways, side, folder))
    note = NOTE.format(measured=load.MEASURED_S, learned=load.LEARNED_S)
    return f"{_table(quantities)}\n{note}"


@contextmanager
def accelerated(path: Between) -> Iterator[Agents]:
    """Have an agent in front of both hosts."""
    hosts = {f"{host.number}": host for host in path.hosts}
    with agents(hosts, dict.fromkeys(hosts, (PORT, UPLINK))) as made:
        made.ready()
        yield made


def _quantities(ways: Mapping[str, Between], side: Agents, folder: Path) -> Iterator[Quantity]:
    before = side.packets()
    yield Quantity(
        "TCP, one stream", "Mbit/s", _in_turn(ways, load.stream), "8 times stock, 80 % of the limit"
    )
    assert side.packets() > before, "nothing was accelerated"
    yield Quantity("64-byte packets", "packets/s", _in_turn(ways, load.datagrams))
    trips = _in_turn(ways, lambda path: load.questions(path, folder / "log"))
    for percent, goal in ((50, ""), (99, "half of stock")):
        runs = {way: [load.percentile(run, percent) for run in each] for way, each in trips.items()}
        yield Quantity(f"TCP request and response, p{percent}", "us", runs, goal)
    yield Quantity("TCP connections opened and closed", "1/s", _in_turn(ways, load.connections))
    switches = {way: path for way, path in ways.items() if path.hosts}
    yield Quantity(
        f"TCP, one stream, {1 / CHANGES_S:.0f} changes of a rule a second",
        "Mbit/s",
        _in_turn(switches, _churned),
    )


def _churned(path: Between) -> float:
    with ExitStack() as stack:
        for host in path.hosts:
            stack.enter_context(_changing(host))
        return load.stream(path)


@contextmanager
def _changing(host: Host) -> Iterator[None]:
    """Change what the rule for packets from the tunnel does: to the same port, from another address."""
    actions = (churn.set_source("0200 0001 VVVV".replace(" ", "")), churn.OUTPUT_1)
    words = (f"{host.folder}/br-int.mgmt", f"{CHANGED:#x}", "60000", f"{CHANGES_S}", *actions)
    process = subprocess.Popen((sys.executable, churn.__file__, *words), stdout=subprocess.DEVNULL)
    try:
        yield
        assert process.poll() is None, "no more changes"
    finally:
        process.kill()
        process.wait()


def _in_turn(ways: Mapping[str, Between], measure: Callable[[Between], T]) -> dict[str, list[T]]:
    """Measure each way, forwards and backwards in turn."""
    found: dict[str, list[T]] = {way: [] for way in ways}
    for number in range(RUNS):
        order = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for way in order:
            found[way].append(measure(ways[way]))
    return found


def _table(quantities: Sequence[Quantity]) -> str:
    heads = (STOCK, FAST, LIMIT, f"{FAST} / {STOCK}", f"{FAST} / {LIMIT}", "goal")
    lines = [f"| | {' | '.join(heads)} |", f"|{'---|' * (len(heads) + 1)}"]
    for each in quantities:
        cells = [_spread(each.runs.get(way, ()), each.unit) for way in (STOCK, FAST, LIMIT)]
        ratios = [_ratio(each.runs, FAST, way) for way in (STOCK, LIMIT)]
        lines.append(f"| {' | '.join((each.what, *cells, *ratios, each.goals))} |")
    return "\n".join(lines)


def _ratio(runs: Mapping[str, Sequence[float]], way: str, other: str) -> str:
    pairs = zip(runs[way], runs.get(other, ()), strict=False)
    ratios = [one / two for one, two in pairs]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def _spread(values: Sequence[float], unit: str) -> str:
    if not values:
        return ""
    middle = statistics.median(values)
    return f"{middle:,.0f} {unit} ({min(values):,.0f} to {max(values):,.0f})"
