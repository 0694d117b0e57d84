"""Programs of this machine are read to their end, and stopped at a limit."""

import sys
import time

import pytest

from virtboost.transport.process import Finished, run


def shell(
    script: str, stdin: bytes = b"", limit_s: float = 10, max_bytes: int = 1 << 20
) -> Finished:
    return run(("sh", "-c", script), stdin=stdin, limit_s=limit_s, max_bytes=max_bytes)


def test_status_and_both_outputs() -> None:
    done = shell("echo out; echo err >&2; exit 3")
    assert done == Finished(status=3, stdout=b"out\n", stderr=b"err\n", timed_out=False)


def test_input_larger_than_a_pipe_goes_through() -> None:
    text = b"x" * (1 << 20)
    done = shell("cat", stdin=text, max_bytes=2 << 20)
    assert done.stdout == text


def test_input_that_nobody_reads() -> None:
    done = shell("exec <&-; echo fine", stdin=b"x" * (1 << 20))
    assert (done.status, done.stdout, done.timed_out) == (0, b"fine\n", False)


def test_input_ends() -> None:
    assert shell("cat; echo end").stdout == b"end\n"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo begun; sleep 60", id="silent"),
        pytest.param("echo begun; exec >&-; sleep 60", id="output closed"),
        pytest.param("trap '' TERM; echo begun; while :; do sleep 0.1; done", id="will not end"),
        pytest.param("echo begun; while :; do echo x >&2; sleep 0.01; done", id="never silent"),
    ],
)
def test_time_limit(script: str) -> None:
    start = time.monotonic()
    done = shell(script, limit_s=0.5)
    assert done.timed_out
    assert done.stdout == b"begun\n"
    assert time.monotonic() - start < 5


def test_output_limit() -> None:
    done = shell("yes", max_bytes=100_000)
    assert 100_000 < len(done.stdout) < 300_000
    assert not done.timed_out


def test_background_process_that_keeps_standard_error_open() -> None:
    """So does the master that OpenSSH leaves for a shared connection."""
    start = time.monotonic()
    done = shell("echo problem >&2; sleep 60 >/dev/null & echo $!")
    assert (done.status, done.stderr, done.timed_out) == (0, b"problem\n", False)
    assert time.monotonic() - start < 5
    run(("kill", done.stdout.decode().strip()), limit_s=5, max_bytes=100)


def test_signal() -> None:
    assert shell("kill -9 $$").status == -9


def test_missing_program() -> None:
    with pytest.raises(FileNotFoundError):
        run(("/nonexistent/program",), limit_s=1, max_bytes=1)


def test_environment() -> None:
    code = "import os; print(os.environ)"
    done = run((sys.executable, "-c", code), limit_s=10, max_bytes=1 << 20, env={"ONLY": "this"})
    assert b"'ONLY': 'this'" in done.stdout
    assert b"HOME" not in done.stdout
