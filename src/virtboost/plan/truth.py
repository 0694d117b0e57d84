"""What a guest is told of its CPUs: the truth, as far as a regular topology can say it."""

from __future__ import annotations

from collections.abc import Sequence

from virtboost.model.cpuset import CpuSet
from virtboost.model.guest import GuestTopology
from virtboost.model.host import Host
from virtboost.plan.supply import CoreGroup

Path = tuple[tuple[int, int] | int, ...]
"""Where one vCPU is: socket, die, cluster, core, from the outside in."""

_ARM_HAS_NO_DIES = "aarch64"
"""QEMU's ``virt`` machine of Arm tells guests sockets, clusters, cores and threads, no dies."""


def told_topology(paths: Sequence[Path], arch: str | None) -> GuestTopology:
    """Return sockets, dies, clusters, cores and threads of a guest.

    A level that the guest's vCPUs do not fill evenly is left out: its number is 1.

    Args:
        paths: Of each vCPU in their order: socket, die, cluster and core on the host.
        arch: The host's.
    """
    dies = () if arch == _ARM_HAS_NO_DIES else (1,)
    for levels in ((0, *dies, 2, 3), (0, 2, 3), (2, 3), (0, 3), (3,)):
        counts = _counts([tuple(path[level] for level in levels) for path in paths])
        if counts is not None:
            by_level = dict(zip(levels, counts, strict=False))
            return GuestTopology(
                sockets=by_level.get(0, 1),
                dies=by_level.get(1, 1),
                clusters=by_level.get(2, 1),
                cores=by_level[3],
                threads=counts[-1],
            )
    return GuestTopology(sockets=1, cores=len(paths))


def _counts(paths: Sequence[tuple[object, ...]]) -> list[int] | None:
    """Return how many of each level are in one of the level above, and threads of a core.

    None where some have more than others, or come back after others.
    """
    counts = []
    inside = [list(paths)]
    for level in range(len(paths[0])):
        parts = [_runs(part, level) for part in inside]
        sizes = {len(runs) for runs in parts}
        if len(sizes) > 1 or any(_repeats(runs, level) for runs in parts):
            return None
        counts.append(sizes.pop())
        inside = [run for runs in parts for run in runs]
    threads = {len(part) for part in inside}
    return [*counts, threads.pop()] if len(threads) == 1 else None


def _runs(paths: Sequence[tuple[object, ...]], level: int) -> list[list[tuple[object, ...]]]:
    runs: list[list[tuple[object, ...]]] = []
    for path in paths:
        if runs and runs[-1][0][level] == path[level]:
            runs[-1].append(path)
        else:
            runs.append([path])
    return runs


def _repeats(runs: Sequence[Sequence[tuple[object, ...]]], level: int) -> bool:
    return len({run[0][level] for run in runs}) < len(runs)


def path_of(group: CoreGroup, core: CpuSet) -> Path:
    """Return where a pCPU of a core is."""
    cluster = -1 if group.cluster is None else group.cluster
    return group.domain[0], group.domain[1], cluster, core.first


def told_caches(host: Host, pcpus: CpuSet) -> dict[str, int]:
    """Return the sizes of the caches of some pCPUs, by ``l1d``, ``l1i``, ``l2``, ``l3``.

    A cache whose size is not told, or not the same for all, is left out.
    """
    sizes: dict[str, set[int | None]] = {}
    for cache in host.topology.caches:
        if not cache.cpus.isdisjoint(pcpus):
            letter = {"Data": "d", "Instruction": "i"}.get(cache.type, "")
            sizes.setdefault(f"l{cache.level}{letter}", set()).add(cache.size_bytes)
    return {
        name: found
        for name, several in sorted(sizes.items())
        if len(several) == 1 and (found := next(iter(several))) is not None
    }
