"""Workloads that are other people's programs."""

from __future__ import annotations

from virtboost.prove.shipped.form import Option, Shipped, Value
from virtboost.prove.spec import Metric


def _whole(name: str, default: Value, meaning: str, *, least: int = 1) -> Option:
    return Option(name=name, meaning=meaning, kind=int, default=default, least=least)


def _text(name: str, default: str, meaning: str, *choices: str) -> Option:
    return Option(name=name, meaning=meaning, kind=str, default=default, choices=choices)


def _yes(name: str, default: int, meaning: str) -> Option:
    return Option(
        name=name, meaning=f"1: {meaning}; or 0", kind=int, default=default, choices=(0, 1)
    )


def _seconds(default: int, least: int = 1) -> Option:
    return _whole("seconds", default, "of measuring", least=least)


def _stress(stressor: str, meaning: str, metric: Metric, *, seconds: Option) -> Shipped:
    return Shipped(
        name=f"stress-ng-{stressor}",
        meaning=meaning,
        program="stress-ng",
        package="stress-ng",
        options=(_whole("instances", 1, "at once; 0: as many as pCPUs", least=0), seconds),
        metrics=(metric,),
        script="stress-ng.sh",
        fixed={"stressor": stressor},
    )


def _row(stressor: str) -> str:
    """Return a pattern of operations in a second of real time, of a line of its table.

    Version 0.15.00 marks the line ``info:``, 0.15.06 and later ones ``metrc:``.
    """
    return rf"(?m)^stress-ng: \w+: +\[\d+\] {stressor} +\d+(?: +[\d.]+){{3}} +([\d.]+)"


_STRESS = (
    _stress(
        "cpu",
        "Arithmetic of many kinds",
        Metric(
            name="rate",
            pattern=_row("cpu"),
            better="higher",
            unit="bogo ops/s",
            meaning="rounds through all its methods, of all instances",
        ),
        seconds=_seconds(5),
    ),
    _stress(
        "stream",
        "Bandwidth of memory, in loops like those of STREAM",
        Metric(
            name="read rate",
            pattern=r"([\d.]+) (?:MB per sec memory read rate|memory read rate \(MB per sec\))",
            better="higher",
            unit="MB/s",
            meaning="what one instance reads; the mean of the instances",
        ),
        seconds=_seconds(10, least=6),  # "run duration too short to determine memory rate"
    ),
    _stress(
        "switch",
        "Switches between two processes that write to each other through a pipe",
        Metric(
            name="rate",
            pattern=_row("switch"),
            better="higher",
            unit="bogo ops/s",
            meaning="messages, of all instances",
        ),
        seconds=_seconds(5),
    ),
)


def _sysbench(test: str, meaning: str, metric: Metric, *options: Option) -> Shipped:
    return Shipped(
        name=f"sysbench-{test}",
        meaning=meaning,
        program="sysbench",
        package="sysbench",
        options=(_whole("threads", 1, "at once"), _seconds(5), *options),
        metrics=(metric,),
        script="sysbench.sh",
        fixed={"test": test},
    )


_SYSBENCH = (
    _sysbench(
        "cpu",
        "Arithmetic: divisions that look for primes",
        Metric(
            name="rate",
            pattern=r"events per second:\s+([\d.]+)",
            better="higher",
            unit="events/s",
            meaning="searches for all primes up to max_prime, of all threads",
        ),
        _whole("max_prime", 10000, "last number that is looked at", least=3),
    ),
    _sysbench(
        "memory",
        "Bandwidth of writing or reading one block over and over: of a cache, where it is small",
        Metric(
            name="rate",
            pattern=r"transferred \(([\d.]+) MiB/sec\)",
            better="higher",
            unit="MiB/s",
            meaning="of all threads",
        ),
        _text("block", "1K", "size of the block, such as 1K or 64M"),
        _text("operation", "write", "write or read", "write", "read"),
        _text("access", "seq", "seq or rnd", "seq", "rnd"),
    ),
    _sysbench(
        "threads",
        "Threads that wait for each other's locks: the scheduler",
        Metric(
            name="events",
            pattern=r"total number of events:\s+(\d+)",
            better="higher",
            meaning="rounds of taking and leaving locks, in all the time of measuring",
        ),
        _whole("locks", 8, "that the threads share"),
    ),
)


def _of_both(function: str, path: str) -> str:
    """Return the JMESPath of a function of what reads and writes have, or one of them."""
    return f"{function}(jobs[0].[read, write][].{path})"


_FIO = Shipped(
    name="fio",
    meaning="Reads and writes of a disk",
    program="fio",
    package="fio",
    options=(
        _text(
            "rw",
            "randread",
            "kind of access",
            *("read", "write", "rw", "randread", "randwrite", "randrw"),
        ),
        _text("bs", "4k", "size of an access"),
        _text("size", "256m", "of the file that it makes"),
        _whole("iodepth", 16, "accesses on their way at once"),
        _yes("direct", 1, "past the page cache"),
        _text("directory", "", "of the file that it makes and removes; TMPDIR or /tmp without"),
        _text("file", "", "file or device that it reads instead; nothing is written to it"),
        _seconds(10),
        _text("ioengine", "libaio", "how fio asks the kernel"),
    ),
    metrics=(
        Metric(
            name="iops",
            json=_of_both("sum", "iops"),
            better="higher",
            unit="IOPS",
            meaning="accesses in a second, reads and writes",
        ),
        Metric(
            name="bandwidth",
            json=_of_both("sum", "bw_bytes"),
            better="higher",
            unit="B/s",
            meaning="bytes in a second, reads and writes",
        ),
        Metric(
            name="p99",
            json=_of_both("max", 'clat_ns.percentile."99.000000"'),
            better="lower",
            unit="ns",
            meaning="99 of 100 accesses are completed in less; of reads or writes, the slower",
        ),
    ),
    script="fio.sh",
)

_IPERF3 = Shipped(
    name="iperf3",
    meaning="Bandwidth of a network between two hosts, guests, containers or namespaces",
    program="iperf3",
    package="iperf3",
    options=(
        _text("server", "", "where its server is; without, one is started and ended"),
        Option(name="port", meaning="of the server", kind=int, default=5201, least=1),
        _seconds(10),
        _whole("parallel", 1, "streams at once"),
        _yes("reverse", 0, "the server sends"),
        _yes("udp", 0, "UDP, as fast as it goes"),
        Option(
            name="server_command",
            meaning="before the server that is started, such as: ip netns exec b; server is its"
            " address then",
            kind=str,
            words=True,
        ),
        Option(
            name="client_command",
            meaning="before the client, such as: ip netns exec a",
            kind=str,
            words=True,
        ),
    ),
    metrics=(
        Metric(
            name="bandwidth",
            json="end.sum_received.bits_per_second",
            better="higher",
            unit="bit/s",
            meaning="what was received",
        ),
    ),
    script="iperf3.sh",
)


def _requests(command: str) -> Metric:
    return Metric(
        name=command.lower(),
        pattern=rf'(?m)^"{command}","([\d.]+)"',
        better="higher",
        unit="requests/s",
        meaning=f"{command} requests of all clients",
    )


_REDIS = Shipped(
    name="redis-benchmark",
    meaning="Small requests to a key-value store: system calls, network stack, one busy thread",
    program="redis-benchmark",
    package="redis-tools",
    options=(
        _text(
            "host", "", "of a running server; without, one is started on a socket file and ended"
        ),
        _whole("port", 6379, "of a running server"),
        _whole("requests", 200000, "of each kind"),
        _whole("clients", 50, "at once"),
        _whole("bytes", 3, "of a value"),
        _whole("pipeline", 1, "requests that a client sends at once"),
    ),
    metrics=(_requests("SET"), _requests("GET")),
    script="redis-benchmark.sh",
)

_PGBENCH = Shipped(
    name="pgbench",
    meaning="Transactions like those of TPC-B in PostgreSQL: locks, system calls, flushes to disk",
    program="pgbench",
    package="postgresql",
    options=(
        _text("host", "", "of a running server; without, one is started in a folder and ended"),
        _whole("port", 5432, "of the server"),
        _text("user", "postgres", "of a running server"),
        _text("database", "postgres", "of a running server, filled by pgbench --initialize"),
        _text("directory", "", "of the data of the server that is started; TMPDIR or /tmp without"),
        _whole("scale", 10, "hundreds of thousands of accounts that the server starts with"),
        _whole("clients", 10, "at once"),
        _whole("threads", 1, "of pgbench"),
        _seconds(10),
    ),
    metrics=(
        Metric(
            name="tps",
            pattern=r"(?m)^tps = ([\d.]+)",
            better="higher",
            unit="transactions/s",
            meaning="without the time to connect",
        ),
        Metric(
            name="latency",
            pattern=r"(?m)^latency average = ([\d.]+) ms",
            better="lower",
            unit="ms",
            meaning="mean of a transaction",
        ),
    ),
    script="pgbench.sh",
)

PROGRAMS = (*_STRESS, *_SYSBENCH, _FIO, _IPERF3, _REDIS, _PGBENCH)
