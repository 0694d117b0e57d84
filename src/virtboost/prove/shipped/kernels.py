"""Workloads that are C sources of the package, compiled where they run."""

from __future__ import annotations

from virtboost.prove.shipped.form import Option, Shipped
from virtboost.prove.spec import Metric

_CPU_NODE = Option(
    name="cpu_node",
    meaning="NUMA node whose pCPUs it runs on; any without",
    kind=int,
    least=0,
)
_MEMORY_NODE = Option(
    name="memory_node",
    meaning="NUMA node that its memory is bound to; the system's choice without",
    kind=int,
    least=0,
)
_SECONDS = Option(name="seconds", meaning="of measuring", kind=float, default=5, least=0.01)


def _figure(name: str, unit: str) -> str:
    return rf"(?m)^{name}: (\S+) {unit}$"


KERNELS = (
    Shipped(
        name="stream",
        meaning="Bandwidth of memory from the pCPUs of one NUMA node to the memory of another",
        program="cc",
        package="gcc",
        options=(
            _CPU_NODE,
            _MEMORY_NODE,
            Option(
                name="threads",
                meaning="each on a pCPU of its own if cpu_node is given; as many as pCPUs without",
                kind=int,
                least=1,
            ),
            Option(
                name="mebibytes",
                meaning="of each of three arrays: 4 times the last-level caches, or it is of them",
                kind=float,
                default=256,
                least=0.001,
            ),
            _SECONDS,
        ),
        metrics=(
            Metric(
                name="triad",
                pattern=_figure("triad", "MB/s"),
                better="higher",
                unit="MB/s",
                meaning="best rate of a[i] = b[i] + s * c[i], counted as STREAM counts",
            ),
        ),
        script="kernel.sh",
        kernel="stream",
        last='run "$program" "${cpu_node:--1}" "${memory_node:--1}" "${threads:-0}"'
        ' "$mebibytes" "$seconds"\n',
    ),
    Shipped(
        name="chase",
        meaning="Latency of memory from a pCPU of one NUMA node to the memory of another",
        program="cc",
        package="gcc",
        options=(
            _CPU_NODE,
            _MEMORY_NODE,
            Option(
                name="mebibytes",
                meaning="that it walks through: more than a cache holds, or it is the cache's",
                kind=float,
                default=256,
                least=0.001,
            ),
            _SECONDS,
            Option(
                name="pages",
                meaning="any (as the host is set), base, huge (of the pool) or transparent",
                kind=str,
                default="any",
                choices=("any", "base", "huge", "transparent"),
            ),
        ),
        metrics=(
            Metric(
                name="latency",
                pattern=_figure("latency", "ns"),
                better="lower",
                unit="ns",
                meaning="of a load whose address is what the load before it found",
            ),
        ),
        script="kernel.sh",
        kernel="chase",
        last='run "$program" "${cpu_node:--1}" "${memory_node:--1}" "$mebibytes" "$seconds"'
        ' "$pages"\n',
    ),
    Shipped(
        name="composite",
        meaning="Arithmetic, system calls, pipes, switches, processes and file copies in one index",
        program="cc",
        package="gcc",
        options=(
            Option(
                name="copies",
                meaning="of each part at once",
                kind=int,
                default=1,
                least=1,
            ),
            Option(
                name="seconds",
                meaning="of measuring, a sixth for each part",
                kind=float,
                default=12,
                least=0.06,
            ),
            Option(
                name="directory",
                meaning="of the files that are copied; TMPDIR or /tmp without",
                kind=str,
            ),
        ),
        metrics=(
            Metric(
                name="index",
                pattern=r"(?m)^index: (\S+)$",
                better="higher",
                meaning="geometric mean of six rates over fixed bases; only comparable with itself",
            ),
        ),
        script="kernel.sh",
        kernel="composite",
        last='run "$program" "$copies" "$seconds" "${directory:-${TMPDIR:-/tmp}}"\n',
    ),
)
