"""Bandwidth and latency of pairs of nodes on a server that has four; its shell is busybox's."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import virtboost.prove
from lab.packages import run
from lab.run import Running
from virtboost.model.cpuset import CpuSet
from virtboost.prove.figure import figure
from virtboost.prove.shipped import WORKLOADS, known
from virtboost.prove.spec import Workload

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("lab")]

COMPILER = "aarch64-linux-gnu-gcc"
KERNELS = Path(next(iter(virtboost.prove.__path__))) / "kernels"
CACHE = "/tmp/cache"


def command(name: str, **options: str | int | float) -> str:
    """Return the command as a line of a shell."""
    workload = known(Workload(name="asked", use=name, options=options))
    return f"XDG_CACHE_HOME={CACHE} {shlex.join(workload.command)}"


def ask(server: Running, line: str, stdin: bytes) -> str:
    """Return what a line prints."""
    words = ("ssh", "-F", str(server.config), server.machine.name, line)
    done = subprocess.run(words, input=stdin, capture_output=True, timeout=90, check=True)
    return done.stdout.decode()


def ask_shell(server: Running, script: str) -> str:
    """Return what a script prints: the server's sshd takes no line as long as that."""
    return ask(server, "sh", script.encode())


@pytest.fixture(params=["stream", "chase"])
def kernel(request: pytest.FixtureRequest, server: Running, tmp_path: Path) -> str:
    """A kernel in the cache of the server, which has no compiler."""
    name = str(request.param)
    if shutil.which(COMPILER) is None:
        pytest.skip(f"not installed: {COMPILER}")
    made = tmp_path / name
    run((COMPILER, "-O3", "-static", "-pthread", "-o", str(made), str(KERNELS / f"{name}.c")))
    (cached,) = re.findall(rf"kernel=({name}-\w+)", command(name))
    path = f"{CACHE}/virtboost/{cached}-aarch64"
    ask(server, f"mkdir -p {CACHE}/virtboost; cat >{path}; chmod +x {path}", made.read_bytes())
    return name


@pytest.mark.parametrize(("cpu_node", "memory_node"), [(0, 0), (0, 3), (2, 1)])
def test_a_pair_of_nodes(server: Running, kernel: str, cpu_node: int, memory_node: int) -> None:
    """While it measures, the kernel tells where its memory and its pCPUs are."""
    options = {"cpu_node": cpu_node, "memory_node": memory_node, "mebibytes": 2, "seconds": 8}
    threads = {"threads": 1} if kernel == "stream" else {}
    look = f"""
sleep 5
maps=$(grep -l ' bind:{memory_node} ' /proc/[0-9]*/numa_maps)
grep ' bind:' $maps
grep Cpus_allowed_list ${{maps%numa_maps}}status
wait
"""
    told = ask_shell(server, f"{command(kernel, **options, **threads)} &{look}")
    pages = re.findall(r" N(\d+)=(\d+)", told)
    assert {node for node, _ in pages} == {str(memory_node)}
    assert sum(int(count) for _, count in pages) >= 512  # 2 MiB of pages of 4 KiB
    (allowed,) = re.findall(r"Cpus_allowed_list:\t(\S+)", told)
    node = CpuSet(range(cpu_node * 4, cpu_node * 4 + 4))
    assert CpuSet.parse(allowed) == (CpuSet({cpu_node * 4}) if kernel == "stream" else node)
    assert f"memory_node: {memory_node}\n" in told
    assert all(figure(each, told) > 0 for each in WORKLOADS[kernel].metrics)


def test_no_compiler(server: Running) -> None:
    said = ask_shell(server, f"{command('composite')} 2>&1 || true")
    assert said.splitlines()[-1] == "no C compiler (cc); Debian package gcc"
