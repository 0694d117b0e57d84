"""Where experiments and their workloads run: over SSH, and in containers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.engines import Engines
from support.proving import Prover
from support.sshd import serving
from virtboost.errors import BadAnswer
from virtboost.prove.place import program_at
from virtboost.transport.program import local_program, ssh_program
from virtboost.transport.source import NOT_RUN, STOPPED

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("engines")]

SETTING = Path("/proc/sys/vm/dirty_expire_centisecs")

SPEC = """
factors:
- {{name: stat, changes: [{{kind: sysctl, name: vm.dirty_expire_centisecs, value: '{value}'}}]}}
workloads:
- name: interval
  command: [sh, -c, 'cat /proc/sys/vm/dirty_expire_centisecs; {more}']
  at: '{at}'
  metrics: [{{name: value, pattern: '(\\S+)', better: higher, unit: s}}]
settle_s: 0
alpha: 0.5
null_blocks: 0
"""


@pytest.fixture
def before() -> Iterator[str]:
    found = SETTING.read_text()
    yield found
    SETTING.write_text(found)


def asked(before: str, at: str = "", more: str = "true") -> str:
    return SPEC.format(value=2 * int(before), at=at, more=more)


def test_a_host_over_ssh(before: str, tmp_path: Path) -> None:
    """What it takes of the host is told by the host's shell."""
    with serving(tmp_path, {"plain": ""}) as server:
        found = Prover(tmp_path, server.config).prove(asked(before), "-H", "ssh://plain")
    (verdict,) = found["verdicts"]
    assert (verdict["outcome"], verdict["effect"]) == ("better", int(before))
    assert found["about"]["host"] == "ssh://plain"
    assert found["self_load"]["context_switches_per_s"] is None
    assert found["self_load"]["cpu_percent"] > 0
    assert SETTING.read_text() == before


def test_a_client_over_ssh(before: str, tmp_path: Path) -> None:
    """This host is changed, and what runs on the client shows it: here it is the same kernel."""
    with serving(tmp_path, {"client": ""}) as server:
        found = Prover(tmp_path, server.config).prove(asked(before, at="ssh://client"))
        assert server.seen("Starting session") >= 24
    assert found["verdicts"][0]["effect"] == int(before)


def test_a_lost_connection_is_no_figure_and_the_next_start_undoes_first(
    before: str, tmp_path: Path
) -> None:
    """The server ends while the workload runs with the change made."""
    flag = tmp_path / "flag"
    more = f"[ $(cat /proc/sys/vm/dirty_expire_centisecs) = {before.strip()} ] || {{ touch {flag}; sleep 20; }}"
    prover: Prover | None = None
    with serving(tmp_path, {"plain": ""}) as server:
        prover = Prover(tmp_path, server.config)
        (tmp_path / "spec.yaml").write_text(asked(before, more=more))
        words = ("prove", "spec.yaml", "--yes", "-H", "ssh://plain")
        cut = f"while [ ! -e {flag} ]; do sleep 0.1; done; pkill -KILL -P {server.pid}; kill {server.pid}"
        ender = subprocess.Popen(("sh", "-c", cut))
        prover.run(*words, status=3)
        ender.wait(10)
        assert SETTING.read_text() != before
    (tmp_path / "again").mkdir()
    with serving(tmp_path / "again", {"plain": ""}) as server:
        (tmp_path / "ssh" / "config").write_text(server.config.read_text())
        found = prover.prove(asked(before), "-H", "ssh://plain")
    assert found["verdicts"][0]["before"] == float(before)
    assert SETTING.read_text() == before


def test_a_container(engines: Engines, before: str, tmp_path: Path) -> None:
    """What runs in it sees the kernel's setting; its own file system tells that it is in there."""
    engines.run("vb-prove")
    try:
        engines.docker("exec", "vb-prove", "sh", "-c", "echo 5 > /only-here")
        more = "[ $(cat /only-here) = 5 ]"
        found = Prover(tmp_path).prove(asked(before, at="container:vb-prove", more=more))
        assert found["verdicts"][0]["effect"] == int(before)
    finally:
        engines.remove("vb-prove")


def test_a_program_of_a_container_that_takes_too_long_ends_in_it(engines: Engines) -> None:
    engines.run("vb-prove")
    try:
        program = program_at("container:vb-prove", local_program, ssh_program)
        assert program(("sleep", "4321"), 0.5).status == STOPPED
        assert "sleep 4321" not in engines.docker("exec", "vb-prove", "ps")
        ended = program(("sh", "-c", "echo out; echo 'a b' >&2; exit 3"), 20)
        assert (ended.status, ended.stdout, ended.stderr) == (3, "out\n", "a b\n")
    finally:
        engines.remove("vb-prove")


def test_a_program_of_this_machine_ends_with_what_it_started() -> None:
    begun = time.monotonic()
    ended = local_program(("sh", "-c", "sleep 4322 & sleep 4323"), 0.5)
    assert ended.status == STOPPED
    assert time.monotonic() - begun < 10
    assert subprocess.run(("pgrep", "-f", "sleep 432[23]"), check=False).returncode == 1
    assert local_program(("/nonexistent",), 1).status == NOT_RUN


def test_a_program_over_ssh(tmp_path: Path) -> None:
    with serving(tmp_path, {"plain": "", "cut": "echo nothing of the kind"}) as server:
        program = ssh_program("ssh://plain", config=server.config)
        ended = program(("sh", "-c", "printf 'no end\\n\\nof line'; echo why >&2; exit 3"), 20)
        assert (ended.status, ended.stdout, ended.stderr) == (3, "no end\n\nof line", "why\n")
        assert program(("printf", "%s", "$HOME 'x' \""), 20).stdout == "$HOME 'x' \""
        assert program(("sleep", "4324"), 0.5).status == STOPPED
        assert subprocess.run(("pgrep", "-f", "sleep 4324"), check=False).returncode == 1
        assert program(("nonexistent-program",), 20).status == NOT_RUN
        with pytest.raises(BadAnswer, match="cut off"):
            ssh_program("ssh://cut", config=server.config)(("true",), 20)
