"""What a host, a file or an error is called never steers the terminal, and exit statuses hold."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.sshd import virtboost

EVIL = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e\r"


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(virtboost(*arguments), capture_output=True, timeout=60, check=False)


def assert_printable(output: bytes) -> None:
    for line in output.decode().split("\n"):
        assert line.isprintable(), line


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / f"host{EVIL}"
    for path, text in {
        "sys/devices/system/cpu/online": "0",
        "proc/sys/kernel/hostname": f"name{EVIL}",
        "proc/sys/kernel/osrelease": EVIL,
        "proc/cpuinfo": f"model name\t: {EVIL}",
        "etc/os-release": f"ID={EVIL}",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.mark.parametrize("arguments", [("scan",), ("scan", "--json"), ("check",), ("check", "-v")])
def test_a_host_with_evil_names(recording: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, "-H", str(recording))
    assert done.returncode in (0, 1)
    assert b"name" in done.stdout
    assert_printable(done.stdout + done.stderr)


@pytest.mark.parametrize("name", [EVIL, os.fsdecode(b"\xff\xfe")])
def test_an_error_about_an_evil_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    missing = run("scan", "-H", str(path))
    path.mkdir()
    empty = run("scan", "-H", str(path))
    both = run("scan", "--json", "-H", str(path), "-H", str(path))
    assert [done.returncode for done in (missing, empty, both)] == [2, 2, 3]
    for done in (missing, empty, both):
        assert_printable(done.stdout + done.stderr)
    assert len(json.loads(both.stdout)["failed"]) == 2
