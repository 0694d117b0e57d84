"""Runs with several seeds and sizes: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from msgspec import Struct

from virtboost.errors import InputError, TransportError
from virtboost.net.description import Network
from virtboost.net.plan import DESIGNS
from virtboost.net.simulate.conditions import Conditions
from virtboost.net.simulate.cost import Costs
from virtboost.net.simulate.outcome import Scenario, Simulation, Study
from virtboost.net.simulate.simulation import simulate

NEEDS_DASK = "--dask needs distributed: pip install 'virtboost[dask]'"

WAIT_S = 10
"""For a scheduler to answer."""


class Sweep(Struct, frozen=True, kw_only=True):
    """What is run."""

    network: Network
    design: str
    """Key of ``plan.DESIGNS``."""
    scenarios: tuple[Scenario, ...] | None = None
    costs: Costs = Costs()
    conditions: Conditions = Conditions()
    seeds: tuple[int, ...] = (0,)
    sizes: tuple[int, ...] = ()
    """Nodes; empty: as many as are described."""


class Task(Struct, frozen=True):
    """One run of a sweep."""

    sweep: Sweep
    nodes: int
    seed: int


def run(task: Task) -> Simulation:
    """Run one of a sweep.

    Raises:
        InputError: As ``simulate``.
    """
    wanted = task.sweep
    return simulate(
        wanted.network,
        DESIGNS[wanted.design],
        scenarios=wanted.scenarios,
        costs=wanted.costs,
        conditions=wanted.conditions,
        seed=task.seed,
        nodes=None if task.nodes == wanted.network.node_count else task.nodes,
    )


def study(sweep: Sweep, *, jobs: int = 1, dask: str | None = None) -> Study:
    """Run a sweep; where it runs makes no difference to what comes of it.

    Args:
        sweep: What to run.
        jobs: Processes at once.
        dask: Address of a scheduler whose workers have virtboost, instead of own processes.

    Raises:
        InputError: A scenario does not fit, or Dask is not installed.
        TransportError: The scheduler does not answer.
    """
    sizes = sorted(set(sweep.sizes)) or [sweep.network.node_count]
    tasks = [Task(sweep, nodes, seed) for nodes in sizes for seed in sweep.seeds]
    if dask is not None:
        runs = _on_dask(tasks, dask)
    elif jobs > 1 and len(tasks) > 1:
        runs = _in_processes(tasks, jobs)
    else:
        runs = [run(task) for task in tasks]
    return Study(design=sweep.design, described_nodes=sweep.network.node_count, runs=tuple(runs))


def _in_processes(tasks: Sequence[Task], jobs: int) -> list[Simulation]:
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context) as pool:
            return list(pool.map(run, tasks))
    except BrokenProcessPool as error:
        raise InputError("a process was ended, for want of memory perhaps: fewer --jobs") from error


def _on_dask(tasks: Sequence[Task], address: str) -> list[Simulation]:
    try:
        from distributed import Client, KilledWorker  # noqa: PLC0415 (an extra, a second to import)
    except ImportError as error:
        raise InputError(NEEDS_DASK) from error
    try:
        with Client(address, timeout=WAIT_S) as client:  # type: ignore[no-untyped-call]
            return list(client.gather(client.map(run, tasks, pure=False)))
    except (OSError, ValueError, ImportError, KilledWorker) as error:
        raise TransportError(f"--dask {address}", str(error)) from error
