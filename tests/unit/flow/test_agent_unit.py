"""The systemd unit, as systemd itself reads it."""

from __future__ import annotations

import subprocess
from importlib import resources
from pathlib import Path

from support.daemon import need


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    need("systemd-analyze")
    text = (resources.files("virtboost.flow.agent") / "virtboost-flow.service").read_text()
    unit = tmp_path / "virtboost-flow.service"
    unit.write_text(text)
    done = subprocess.run(
        ("systemd-analyze", "verify", "--man=no", unit), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    unit.write_text(text.replace("ExecStart=", "ExecStart=/no/such/program "))
    done = subprocess.run(
        ("systemd-analyze", "verify", "--man=no", unit), capture_output=True, text=True, check=False
    )
    assert "not executable" in done.stderr
