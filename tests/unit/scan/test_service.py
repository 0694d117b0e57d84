"""Services: a real irqbalance, procps's and busybox's ``ps``; what cannot be told is a gap."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtboost.model.service import Service
from virtboost.scan import service
from virtboost.scan.gaps import Gaps
from virtboost.transport.local import LocalReader
from virtboost.transport.source import Capture, Command, Output


@pytest.fixture
def irqbalance() -> Iterator[str]:
    """Run irqbalance for a moment, with a first look at the interrupts in ten minutes only."""
    program = shutil.which("irqbalance", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("irqbalance is not installed")
    arguments = "--foreground --interval=600 --banirq=4444"
    daemon = subprocess.Popen([program, *arguments.split()], stdout=subprocess.DEVNULL)
    try:
        if _ends_within(daemon, 0.5):
            pytest.skip("irqbalance does not run here: it needs root and two CPUs")
        yield arguments
    finally:
        daemon.kill()
        daemon.wait()


def _ends_within(daemon: subprocess.Popen[bytes], limit_s: float) -> bool:
    try:
        daemon.wait(limit_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _found(capture: Capture, name: str) -> Service | None:
    gaps = Gaps()
    found = {s.name: s for s in service.parse(capture, gaps)}
    assert not gaps.all()
    return found.get(name)


def test_running_irqbalance(irqbalance: str) -> None:
    found = _found(LocalReader().read(service.SOURCES), "irqbalance")
    assert found is not None
    assert found.active
    assert found.detail is not None
    assert found.detail.endswith(irqbalance)


def test_running_irqbalance_by_busybox(
    irqbalance: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    for applet in ("sh", "ps", "grep"):
        (tmp_path / applet).symlink_to(busybox)
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = subprocess.run(service.PROCESSES.argv, capture_output=True, text=True, check=True)
    found = _found(_capture({service.PROCESSES: Output(0, shown.stdout)}), "irqbalance")
    assert found == Service(name="irqbalance", active=True, enabled=None, detail=irqbalance)


def test_other_processes_are_not_recorded() -> None:
    (output,) = LocalReader().read((service.PROCESSES,)).outputs(service.PROCESSES)
    names = {line.split()[0] for line in output.stdout.splitlines()}
    assert names <= {"kthreadd", *(name[:15] for name in service.DAEMONS)}


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {service.PROCESSES: Output(1, "")},
        {service.PROCESSES: Output(0, "irqbalance irqbalance")},
        {service.UNITS: Output(1, "", "Failed to connect to bus: Host is down")},
    ],
    ids=["no programs", "container", "hidden processes", "no systemd"],
)
def test_services_that_cannot_be_told_are_a_gap(outputs: dict[Command, Output]) -> None:
    gaps = Gaps()
    assert service.parse(_capture(outputs), gaps) == ()
    assert [gap.what for gap in gaps.all()] == ["services"]


def _capture(outputs: dict[Command, Output]) -> Capture:
    return Capture({}, {command: (output,) for command, output in outputs.items()}, ())
