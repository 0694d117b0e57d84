"""``virtboost check`` as a program: what it prints where, and the page that it writes."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

NAME = "主机-café"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording of one pCPU and no guest, on a host with a name that few locales can write."""
    files = {
        "proc/cpuinfo": "processor : 0\nCPU implementer : 0x48\nCPU part : 0xd01\n",
        "proc/meminfo": "MemTotal: 1024 kB\n",
        "proc/sys/kernel/hostname": f"{NAME}\n",
        "sys/devices/system/cpu/online": "0\n",
        "sys/devices/system/cpu/cpu0/topology/physical_package_id": "36\n",
        "sys/devices/system/cpu/cpu0/topology/core_id": "0\n",
        "sys/devices/system/cpu/cpu0/topology/core_siblings": "1\n",
        "sys/devices/system/cpu/cpu0/topology/thread_siblings": "1\n",
        "sys/devices/system/node/node0/cpulist": "0\n",
        "sys/devices/system/node/node0/meminfo": "Node 0 MemTotal: 1024 kB\n",
        "sys/devices/system/node/node0/distance": "10\n",
    }
    folder = tmp_path / "recording"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def virtboost(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "virtboost", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        timeout=60,
        check=False,
    )


def test_page_is_written_and_its_path_comes_last(recording: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.html"
    done = virtboost("check", "-H", recording, "--html", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"report: {file}"
    assert f"<bdi>{NAME}</bdi>" in file.read_text()
    assert [entry.name for entry in file.parent.iterdir()] == ["report.html"]


def test_json_stays_alone_on_stdout(recording: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    plain = virtboost("check", "-H", recording, "--json")
    done = virtboost("check", "-H", recording, "--json", "--html", file)
    assert done.stdout == plain.stdout
    assert file.exists()


def test_hosts_that_failed_are_on_the_page(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    file = tmp_path / "report.html"
    done = virtboost("check", "-H", recording, "-H", tmp_path / "empty", "--html", file)
    assert done.returncode == 3
    assert "could not be read" in file.read_text()


@pytest.mark.parametrize("place", ["recording", "recording/proc/cpuinfo/report.html", "/dev/full"])
def test_a_place_that_cannot_be_written_is_one_line(
    recording: Path, tmp_path: Path, place: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = virtboost("check", "-H", recording, "--html", tmp_path / place)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/dev/null").is_file()


def test_without_jinja2_it_says_what_to_install(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "jinja2.py").write_text("raise ImportError('jinja2')\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = virtboost("check", "-H", recording, "--html", tmp_path / "x.html", PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr == "virtboost: --html needs jinja2: pip install 'virtboost[report]'\n"


def test_a_name_that_the_locale_cannot_write_is_escaped(recording: Path) -> None:
    done = virtboost("check", "-v", "-H", recording, PYTHONIOENCODING="ascii:strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(r"\u4e3b\u673a-caf\xe9")


@pytest.mark.parametrize("columns", ["80", "132"])
@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_no_line_is_wider_than_the_terminal(
    recording: Path, columns: str, verbose: list[str]
) -> None:
    done = virtboost("check", *verbose, "-H", recording, COLUMNS=columns)
    widths = [
        sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in line)
        for line in done.stdout.splitlines()
    ]
    assert max(widths) <= int(columns)
    assert "\x1b" not in done.stdout


def test_every_item_has_a_page() -> None:
    done = virtboost("check", "--explain", "memory.thp")
    assert done.returncode == 0
    assert done.stdout.startswith("memory.thp: ")
