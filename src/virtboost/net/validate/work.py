"""How often each cost is in a run: what the fit takes beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtboost.net.emulate.outcome import Emulation
from virtboost.net.simulate.cost import Costs
from virtboost.net.validate.fit import Row
from virtboost.net.validate.rung import LogicalRun, RuleRun, Run, SpeakerRun, WatchRun

MEMORY = ("memory_bytes", "peer_bytes", "path_bytes", "origin_bytes")

SPEAKER = ("begin_s", "session_s", "send_s", "receive_s", "install_s", "message_s")
"""Costs of BGP in CPU seconds."""


def held(peers: float, paths: float, origins: float) -> dict[str, float]:
    """Return what is in the memory of a BIRD."""
    return dict(zip(MEMORY, (1, peers, paths, origins), strict=True))


def emulated_memory(run: Emulation, blocks: int) -> Iterator[Row]:
    """Yield the memory of a node's BIRD and of a reflector's, each the median of all.

    Args:
        run: What was measured.
        blocks: Of a node.
    """
    told = {key: measure.measured.median for key, measure in run.measures.items()}
    paths = told["rib_paths"]
    yield Row(held(told["sessions_per_node"], paths, paths / blocks), told["bird_memory"])
    if "reflector_memory" in told:
        routes = told["fib_routes"]
        work = held(told["sessions_per_reflector"], routes, routes / blocks)
        yield Row(work, told["reflector_memory"])


def climbed_memory(runs: Sequence[Run]) -> Iterator[Row]:
    """Yield the memory of BIRDs with synthetic peers."""
    for run in _speakers(runs):
        own = run.rung.role == "node"
        origins = run.rung.peers + own
        yield Row(
            held(run.rung.peers, run.rung.peers * run.rung.blocks + own, origins),
            run.memory_bytes,
        )


def climbed_cpu(runs: Sequence[Run], costs: Costs) -> Iterator[Row]:
    """Yield the CPU seconds of BIRDs with synthetic peers.

    Args:
        runs: Of ladders.
        costs: How sessions grow.
    """
    for run in _speakers(runs):
        peers, blocks = run.rung.peers, run.rung.blocks
        work = {
            "begin_s": 1.0,
            "session_s": peers * costs.session_growth(peers),
            "send_s": run.routes_sent,
            "receive_s": peers * blocks,
            "message_s": run.messages_sent + peers,
            "install_s": peers * blocks if run.rung.role == "node" else 0,
        }
        yield Row(work, run.cpu_s)


def rule_time(runs: Sequence[Run]) -> list[Row]:
    """Return the seconds of ovs-vswitchd for its rules."""
    return [Row({"rule_s": run.rung.rules}, run.seconds) for run in ruled(runs)]


def rule_memory(runs: Sequence[Run]) -> list[Row]:
    """Return the memory of ovs-vswitchd for its rules."""
    return [Row({"rule_bytes": run.rung.rules}, run.memory_bytes) for run in ruled(runs)]


def watch_time(runs: Sequence[Run]) -> list[Row]:
    """Return the CPU seconds of etcd for its watchers; putting the keys is a part of them."""
    return [
        Row({"put_s": run.rung.events, "watch_s": run.rung.events * run.rung.watchers}, run.cpu_s)
        for run in watched(runs)
    ]


def northd_time(runs: Sequence[Run]) -> list[Row]:
    """Return the CPU seconds of northd for another port, for which it computes all rows anew."""
    return [Row({"northd_row_s": run.rows}, run.cpu_s) for run in databases(runs)]


def ruled(runs: Sequence[Run]) -> list[RuleRun]:
    """Return the runs of ovs-vswitchd."""
    return [run for run in runs if isinstance(run, RuleRun)]


def watched(runs: Sequence[Run]) -> list[WatchRun]:
    """Return the runs of etcd."""
    return [run for run in runs if isinstance(run, WatchRun)]


def databases(runs: Sequence[Run]) -> list[LogicalRun]:
    """Return the runs of OVN's databases."""
    return [run for run in runs if isinstance(run, LogicalRun)]


def _speakers(runs: Sequence[Run]) -> Iterator[SpeakerRun]:
    return (run for run in runs if isinstance(run, SpeakerRun))
