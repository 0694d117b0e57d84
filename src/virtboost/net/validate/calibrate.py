"""A machine's costs from what was measured on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

from msgspec import Struct, structs

from virtboost.net.emulate.outcome import Emulation
from virtboost.net.simulate.cost import Costs
from virtboost.net.validate import work
from virtboost.net.validate.fit import Row, explained, fitted
from virtboost.net.validate.rung import Run, SpeakerRun

KNEES = (250, 500, 750, 1_000, 1_500, 2_000)
"""Of peers, beyond which a session costs more, those that are tried."""

POWERS = (1.0, 1.5, 2.0)
"""Of peers, with which it grows then, those that are tried."""

LARGE = 250
"""Peers of a BIRD, from which on measurements can tell the knee."""

Shares = Callable[[int, Costs], Mapping[str, float]]
"""Says how often each cost is in the CPU seconds of so many nodes, as sessions of costs grow."""


class Data(Struct, frozen=True, kw_only=True):
    """What costs are fitted to."""

    emulations: Sequence[Emulation]
    blocks: int
    """Of a node."""
    climbed: Sequence[Run]


def calibrated(data: Data, belief: Costs, shares: Shares) -> Costs:
    """Return the costs that explain what was measured.

    Args:
        data: What was measured.
        belief: Costs before; where nothing was measured they stay.
        shares: Of costs in an emulation.
    """
    found = _with(belief, work.MEMORY, memory_rows(data))
    found = min(
        (
            _speaker(data, structs.replace(found, session_knee=knee, session_power=power), shares)
            for knee, power in _growths(data, found)
        ),
        key=lambda costs: _misfit(cpu_rows(data, costs, shares), costs),
    )
    return of_ladders(found, data.climbed)


def of_ladders(costs: Costs, climbed: Sequence[Run]) -> Costs:
    """Return costs with those that ladders of other daemons than BIRD tell."""
    found = _with(costs, ("rule_s",), work.rule_time(climbed))
    found = _with(found, ("rule_bytes",), work.rule_memory(climbed))
    found = _with(found, ("northd_row_s",), work.northd_time(climbed))
    return _watch(found, work.watch_time(climbed))


def memory_rows(data: Data) -> list[Row]:
    """Return the memory of all BIRDs that were weighed."""
    emulated = (row for run in data.emulations for row in work.emulated_memory(run, data.blocks))
    return [*emulated, *work.climbed_memory(data.climbed)]


def cpu_rows(data: Data, costs: Costs, shares: Shares) -> list[Row]:
    """Return the CPU seconds of all networks and single BIRDs."""
    return [
        *_emulated_cpu(data, costs, shares),
        *work.climbed_cpu(data.climbed, costs),
    ]


def _emulated_cpu(data: Data, costs: Costs, shares: Shares) -> Iterator[Row]:
    for run in data.emulations:
        yield Row(shares(run.nodes, costs), run.cost.daemon_cpu_s)


def _growths(data: Data, costs: Costs) -> list[tuple[int, float]]:
    large = any(isinstance(run, SpeakerRun) and run.rung.peers >= LARGE for run in data.climbed)
    if not large:
        return [(costs.session_knee, costs.session_power)]
    return [*product(KNEES, POWERS)]


def _speaker(data: Data, costs: Costs, shares: Shares) -> Costs:
    return _with(costs, work.SPEAKER, cpu_rows(data, costs, shares))


def _misfit(rows: Sequence[Row], costs: Costs) -> float:
    found = structs.asdict(costs)
    return sum((explained(row, found) / row.value - 1) ** 2 for row in rows)


def _with(costs: Costs, names: Sequence[str], rows: Sequence[Row]) -> Costs:
    return structs.replace(costs, **fitted(rows, {name: getattr(costs, name) for name in names}))


def _watch(costs: Costs, rows: Sequence[Row]) -> Costs:
    found = fitted(rows, {"watch_s": costs.watch_s, "put_s": costs.watch_s})
    return structs.replace(costs, watch_s=found["watch_s"])
