"""The workloads that virtboost knows, run for real: what they measure, and what they leave."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.daemon import ask, exclusive, gone, huge_pages, wait_until
from virtboost.model.cpuset import CpuSet
from virtboost.prove.figure import figure
from virtboost.prove.shipped import WORKLOADS, known
from virtboost.prove.spec import Workload

pytestmark = pytest.mark.xdist_group("shipped")

Value = str | int | float

BRIEF: dict[str, dict[str, Value]] = {
    "stress-ng-cpu": {"seconds": 1},
    "stress-ng-stream": {"seconds": 6},
    "stress-ng-switch": {"seconds": 1},
    "sysbench-cpu": {"seconds": 1, "threads": 2},
    "sysbench-memory": {"seconds": 1, "block": "1M", "operation": "read", "access": "rnd"},
    "sysbench-threads": {"seconds": 1, "threads": 4},
    "fio": {"seconds": 1, "size": "4m", "rw": "randrw", "direct": 0},
    "iperf3": {"seconds": 1, "parallel": 2},
    "redis-benchmark": {"requests": 5000},
    "pgbench": {"seconds": 1, "scale": 1, "clients": 2},
    "stream": {"seconds": 0.2, "mebibytes": 16},
    "chase": {"seconds": 0.2, "mebibytes": 1},
    "composite": {"seconds": 0.6, "copies": 2},
}


class Place:
    """Where workloads of a test run, and keep what they make."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "temporary"
        self.cache = folder / "cache"
        self.temporary.mkdir(mode=0o755)
        self.environment = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "XDG_CACHE_HOME": str(self.cache),
        }

    def start(self, name: str, /, **options: Value) -> subprocess.Popen[str]:
        _skip_without(name)
        return subprocess.Popen(
            known(Workload(name="asked", use=name, options=options)).command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def run(self, name: str, /, **options: Value) -> tuple[int, str, str]:
        with self.start(name, **options) as process:
            stdout, stderr = process.communicate(timeout=60)
        return process.returncode, stdout, stderr

    def figures(self, name: str, /, **options: Value) -> dict[str, float]:
        status, stdout, stderr = self.run(name, **options)
        assert status == 0, stderr
        return {each.name: figure(each, stdout) for each in WORKLOADS[name].metrics}

    def refusal(self, name: str, /, **options: Value) -> str:
        status, _, stderr = self.run(name, **options)
        assert status != 0
        return stderr.splitlines()[-1]


@pytest.fixture
def place() -> Iterator[Place]:
    with TemporaryDirectory(prefix="virtboost-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL, which is not root, works below
        yield Place(Path(folder))


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _skip_without(name: str) -> None:
    shipped = WORKLOADS[name]
    servers = {"redis-benchmark": ["redis-server"], "pgbench": ["psql"]}
    for program in (shipped.program, *servers.get(name, ())):
        if shutil.which(program) is None:
            pytest.skip(f"not installed: {program}")
    if shipped.metrics[0].json:
        pytest.importorskip("jmespath")


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_has_figures_and_leaves_nothing(place: Place, name: str, port: int) -> None:
    own = {"port": port} if name == "iperf3" else {}
    found = place.figures(name, **BRIEF[name], **own)
    assert all(value > 0 for value in found.values()), found
    assert list(place.temporary.iterdir()) == []


def test_memory_is_farther_than_a_cache(place: Place) -> None:
    near = place.figures("chase", mebibytes=0.015625, seconds=0.2)["latency"]
    far = place.figures("chase", mebibytes=64, seconds=0.2)["latency"]
    assert far > 2 * near


def test_a_load_takes_cycles_of_the_nearest_cache(place: Place) -> None:
    """A load of an L1 cache takes 3 to 5 cycles of 0.2 to 1 ns; others run at the same time."""
    assert 0.5 < place.figures("chase", mebibytes=0.015625, seconds=0.2)["latency"] < 30


def test_stream_and_stress_ng_tell_of_one_machine(place: Place) -> None:
    """Of 24 bytes that STREAM counts, two thirds are read; stress-ng tells a mean."""
    _, stdout, _ = place.run("stream", mebibytes=128, threads=1, seconds=2)
    (mean,) = re.findall(r"triad_mean: (\S+) MB/s", stdout)
    theirs = place.figures("stress-ng-stream", seconds=6)["read rate"] * 3 / 2
    assert theirs / 5 < float(mean) < theirs * 5


@pytest.mark.needs_root
def test_huge_pages_are_used_and_given_back(place: Place) -> None:
    if os.geteuid() != 0:
        pytest.skip("huge pages need root")
    with exclusive("kernel"), huge_pages(32):
        with place.start("chase", mebibytes=64, seconds=60, pages="huge") as process:
            maps = Path(f"/proc/{_kernel_process(place, process.pid)}/smaps")
            wait_until(
                lambda: "Private_Hugetlb:   65536 kB" in maps.read_text(), 20, maps.read_text
            )
            process.terminate()


def test_huge_pages_that_there_are_not(place: Place) -> None:
    assert "free huge page" in place.refusal("chase", mebibytes=1 << 24, pages="huge")


def test_transparent_huge_pages_are_those_of_the_kernel(place: Place) -> None:
    offered = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not offered.exists() or "[never]" in offered.read_text():
        pytest.skip("the kernel gives no transparent huge pages")
    status, stdout, stderr = place.run("chase", mebibytes=64, seconds=0.2, pages="transparent")
    assert (status, stderr) == (0, "")
    assert "transparent_mebibytes: 64\n" in stdout


def _program(process: str) -> str:
    """Return what it runs; nothing if it is gone."""
    try:
        return str(Path(f"/proc/{process}/exe").readlink())
    except FileNotFoundError:
        return ""


def _kernel_process(place: Place, parent: int) -> int:
    """Return the process of a kernel that a workload has compiled, once it is that."""
    found: list[int] = []
    own = f"{place.cache}/"

    def there() -> bool:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found[:] = [int(child) for child in children if _program(child).startswith(own)]
        return bool(found)

    wait_until(there, 20, lambda: "no kernel runs")
    return found[0]


def _bound_pages(process: int) -> list[str]:
    """Return the pages of memory that is bound, by their nodes, once 8 MiB are touched."""
    maps = Path(f"/proc/{process}/numa_maps")
    found: list[str] = []

    def touched() -> bool:
        lines = [line for line in maps.read_text().splitlines() if " bind:0 " in line]
        found[:] = re.findall(r" (N\d+=\d+)", "\n".join(lines))
        return sum(int(each.partition("=")[2]) for each in found) >= 2048

    wait_until(touched, 20, maps.read_text)
    return found


@pytest.mark.parametrize("name", ["chase", "stream"])
def test_it_is_where_it_was_asked_to_be(place: Place, name: str) -> None:
    """The kernel's word: numa_maps for the memory, status for the pCPUs."""
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("this kernel has no NUMA")
    threads: dict[str, Value] = {"threads": 1} if name == "stream" else {}
    with place.start(
        name, cpu_node=0, memory_node=0, mebibytes=8, seconds=60, **threads
    ) as process:
        try:
            kernel = _kernel_process(place, process.pid)
            assert {each.partition("=")[0] for each in _bound_pages(kernel)} == {"N0"}
            node = CpuSet.parse(Path("/sys/devices/system/node/node0/cpulist").read_text().strip())
            status = Path(f"/proc/{kernel}/status").read_text()
            (allowed,) = re.findall(r"Cpus_allowed_list:\t(\S+)", status)
            usable = CpuSet(os.sched_getaffinity(0)) & node
            first = CpuSet({min(usable)})
            assert CpuSet.parse(allowed) == (first if name == "stream" else usable)
        finally:
            process.terminate()
        assert process.wait(20) == 143


@pytest.mark.parametrize("name", ["chase", "stream"])
def test_nodes_that_there_are_not(place: Place, name: str) -> None:
    assert place.refusal(name, cpu_node=1023) == (
        "cpu_node 1023: this machine has no such NUMA node"
    )
    assert place.refusal(name, memory_node=1023).startswith("memory_node 1023: mbind: ")
    assert place.refusal(name, memory_node=5000).startswith("memory_node 5000: ")
    for option in ("cpu_node", "memory_node"):
        said = place.refusal(name, **{option: 1 << 40})
        assert said == f"{option}: no number, or none from -1 to 1e9: {1 << 40}"


def test_several_at_once_compile_one_kernel(place: Place) -> None:
    started = [place.start("chase", mebibytes=1, seconds=0.1) for _ in range(4)]
    ended = [process.communicate(timeout=60)[1] for process in started]
    assert ended == [""] * 4
    assert [process.returncode for process in started] == [0] * 4
    (kernel,) = (place.cache / "virtboost").iterdir()
    before = kernel.stat().st_ino
    place.figures("chase", mebibytes=1, seconds=0.1)
    assert kernel.stat().st_ino == before


def test_a_kernel_without_a_home(place: Place) -> None:
    """An agent in a guest has none."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        place.environment.pop(name, None)
    place.figures("chase", mebibytes=1, seconds=0.1)
    assert list(place.temporary.iterdir()) == []


def test_a_compiler_that_fails(place: Place, tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'kernel.c:1: error: no such thing' >&2\nexit 1\n")
    compiler.chmod(0o755)
    place.environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    assert place.refusal("chase") == "cc: kernel.c:1: error: no such thing"
    assert list((place.cache / "virtboost").iterdir()) == []


def test_fio_only_reads_what_is_not_its_own(place: Place, tmp_path: Path) -> None:
    precious = tmp_path / "pre:cious"
    precious.write_bytes(b"x" * (1 << 20))
    assert "not allowed" in place.refusal("fio", file=str(precious), rw="randwrite", seconds=1)
    assert place.figures("fio", file=str(precious), direct=0, seconds=1)["iops"] > 0
    assert precious.read_bytes() == b"x" * (1 << 20)
    missing = tmp_path / "missing"
    assert place.refusal("fio", file=str(missing)) == f"file: {missing}: no such file"
    assert not missing.exists()


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Two that see each other: 10.9.8.1 and 10.9.8.2."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    names = (f"vba{os.getpid()}", f"vbb{os.getpid()}")
    for name in names:
        ask("ip", "netns", "add", name)
    try:
        peer = ("peer", "name", "veth0", "netns", names[1])
        ask("ip", "-n", names[0], "link", "add", "veth0", "type", "veth", *peer)
        for number, name in enumerate(names, 1):
            ask("ip", "-n", name, "address", "add", f"10.9.8.{number}/24", "dev", "veth0")
            ask("ip", "-n", name, "link", "set", "veth0", "up")
        yield names
    finally:
        for name in names:
            ask("ip", "netns", "del", name)


@pytest.mark.needs_root
@pytest.mark.parametrize("more", [{}, {"udp": 1}, {"reverse": 1}], ids=["tcp", "udp", "reverse"])
def test_iperf3_between_namespaces(
    place: Place, namespaces: tuple[str, str], more: dict[str, Value]
) -> None:
    """Only the veth pair joins them: its counters saw what iperf3 says it moved."""
    client, server = namespaces
    found = place.figures(
        "iperf3",
        server="10.9.8.2",
        server_command=f"ip netns exec {server}",
        client_command=f"ip netns exec {client}",
        seconds=1,
        **more,
    )
    assert ask("ip", "netns", "pids", server) == ""
    way = "rx" if "reverse" in more else "tx"
    counter = f"/sys/class/net/veth0/statistics/{way}_bytes"
    moved = int(ask("ip", "netns", "exec", client, "cat", counter))
    # Counted with headers and what was lost or sent again; the second is one by its own clock.
    assert 0 < found["bandwidth"] < 1.2 * 8 * moved


def test_a_server_that_does_not_start(place: Place, port: int) -> None:
    with socket.create_server(("0.0.0.0", port)):
        said = place.refusal("iperf3", port=port)
    assert said.startswith("iperf3 does not start: ")
    assert "in use" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [("iperf3", "Connection refused"), ("redis-benchmark", "Connection refused")],
)
def test_a_server_that_is_not_there(place: Place, name: str, said: str, port: int) -> None:
    server = {"server" if name == "iperf3" else "host": "127.0.0.1"}
    assert said in place.refusal(name, port=port, **server)


def test_a_database_that_is_not_there(place: Place, port: int) -> None:
    _, _, stderr = place.run("pgbench", host="127.0.0.1", port=port)
    assert "Connection refused" in stderr


LONG: dict[str, dict[str, Value]] = {
    "stress-ng-switch": {"seconds": 100},
    "sysbench-cpu": {"seconds": 100},
    "fio": {"seconds": 100, "size": "4m", "direct": 0},
    "iperf3": {"seconds": 100},
    "redis-benchmark": {"requests": 1_000_000_000},
    "pgbench": {"seconds": 100, "scale": 1},
    "composite": {"seconds": 600, "copies": 2},
}


def _descendants(process: int) -> set[int]:
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except FileNotFoundError:
        return set()
    children = {int(each) for each in text.split()}
    return children.union(*map(_descendants, children))


def _measuring(process: int, program: str) -> bool:
    """Tell whether the program itself runs, and not what prepares it."""
    for each in _descendants(process):
        try:
            words = Path(f"/proc/{each}/cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if Path(words[0]).name.startswith(program) and "--initialize" not in words:
            return True
    return False


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("name", LONG)
def test_nothing_outlives_it(place: Place, name: str, signum: signal.Signals, port: int) -> None:
    own = {"port": port} if name == "iperf3" else {}
    with place.start(name, **LONG[name], **own) as process:
        program = "composite" if name == "composite" else WORKLOADS[name].program
        wait_until(lambda: _measuring(process.pid, program), 30, lambda: f"{name} does not begin")
        time.sleep(0.2)
        others = _descendants(process.pid)
        process.send_signal(signum)
        assert process.wait(20) == (-signum if signum == signal.SIGKILL else 128 + signum)
    assert others
    wait_until(lambda: all(map(gone, others)), 20, lambda: f"left of {name}: {others}")
    if signum != signal.SIGKILL:
        assert list(place.temporary.iterdir()) == []
