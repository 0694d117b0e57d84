"""Emulations as tests run them: by the command, or from a scene; and what they must not touch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.daemon import PATH, ask
from virtboost.net.emulate.launch import emulate
from virtboost.net.emulate.outcome import Emulation
from virtboost.net.emulate.scene import Scene

DESCRIPTION = """\
nodes: [{count: 50}]
pods_per_node: 30
fabric: {kind: l2}
addresses: {pods: [10.244.0.0/16], services: 10.96.0.0/16, nodes: 192.168.0.0/16}
"""


@contextmanager
def command(
    folder: Path, *options: str, before: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    path = folder / "net.yaml"
    path.write_text(DESCRIPTION)
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": PATH, "COLUMNS": "100"}
    with subprocess.Popen(
        [*before, sys.executable, "-m", "virtboost", "net", "emulate", str(path), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ran(wanted: Scene) -> Emulation:
    return emulate(wanted, lambda _: None)


def seen(run: Emulation, key: str) -> float:
    measured = run.measures[key].measured
    assert measured.least == measured.most, key
    return measured.median


def outside() -> tuple[bool, str, set[str]]:
    """Return what an emulation must not touch of the machine."""
    devices = Path("/sys/class/net")
    named = {path.name for pattern in ("br0", "p[01]") for path in devices.glob(pattern)}
    return Path("/run/netns/n0").exists(), ask("sysctl", "-n", "net.ipv4.neigh.default.gc_thresh3"), named  # fmt: skip


def below(pid: int) -> dict[int, str]:
    """Return the processes that descend from one, with their names."""
    rows = [line.split(None, 2) for line in ask("ps", "-e", "-o", "pid=,ppid=,comm=").splitlines()]
    found: dict[int, str] = {}
    wanted = {pid}
    while (
        new := {int(row[0]): row[2] for row in rows if int(row[1]) in wanted}.items()
        - found.items()
    ):
        found.update(new)
        wanted = {each for each, _ in new}
    return found
