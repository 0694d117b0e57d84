"""Many runs: here, in several processes, on a Dask cluster: the same bytes."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.networks import described
from virtboost.errors import TransportError
from virtboost.model.document import from_json, to_json
from virtboost.net.simulate.outcome import Study
from virtboost.net.simulate.sweep import Sweep, study

SWEEP = Sweep(
    network=described(nodes=50, churn={"pods_per_s": 2, "node_failures_per_day": 1}),
    design="calico-reflectors",
    seeds=(1, 2, 3),
    sizes=(40, 20, 40),
)


def test_runs_are_by_size_then_by_seed() -> None:
    found = study(SWEEP)
    assert [(run.nodes, run.seed) for run in found.runs] == [
        (20, 1),
        (20, 2),
        (20, 3),
        (40, 1),
        (40, 2),
        (40, 3),
    ]
    assert from_json(to_json(found), Study, "study") == found


def test_processes_make_no_difference() -> None:
    assert to_json(study(SWEEP, jobs=2)) == to_json(study(SWEEP))


def a_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """A scheduler of Dask and a worker on loopback, with ports and a folder of their own."""
    address = f"tcp://127.0.0.1:{a_port()}"
    environment = {
        "PYTHONPATH": ":".join(filter(None, sys.path)),
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    quiet = ("--no-dashboard",)
    commands = (
        ("distributed.cli.dask_scheduler", "--host", address, *quiet),
        (
            "distributed.cli.dask_worker",
            address,
            "--nworkers",
            "1",
            "--nthreads",
            "1",
            "--no-nanny",
            "--local-directory",
            str(tmp_path),
            *quiet,
        ),
    )
    started = [
        subprocess.Popen((sys.executable, "-m", *command), env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]  # fmt: skip
    try:
        answers(address)
        yield address
    finally:
        for process in reversed(started):
            process.kill()
        for process in started:
            process.wait(30)


def answers(address: str) -> None:
    host, port = address.removeprefix("tcp://").split(":")
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, "no scheduler"
            time.sleep(0.1)
        else:
            return


@pytest.mark.filterwarnings("ignore")  # of distributed and what it imports
def test_a_dask_cluster_makes_no_difference(scheduler: str) -> None:
    assert to_json(study(SWEEP, dask=scheduler)) == to_json(study(SWEEP))


@pytest.mark.filterwarnings("ignore")  # of distributed and what it imports
def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virtboost.net.simulate.sweep.WAIT_S", 1)
    with pytest.raises(TransportError, match=r"--dask tcp://127\.0\.0\.1"):
        study(SWEEP, dask=f"tcp://127.0.0.1:{a_port()}")
