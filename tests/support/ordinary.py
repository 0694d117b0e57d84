"""Run the product as an ordinary user, wherever Python and the project are."""

from __future__ import annotations

import subprocess
import sys

_TWICE = """
import contextlib, io, os, sys
def work():
{work}
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    with contextlib.suppress(SystemExit):
        work()
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    os.environ["HOME"] = "/nonexistent"
    os.environ.pop("XDG_RUNTIME_DIR", None)
work()
"""
"""The work is done twice, since modules must be imported before the rights go: Python and the
project may lie in root's home."""


def run_as_nobody(work: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as ``nobody``, or as this user where the tests do not run as root."""
    indented = "\n".join(f"    {line}" for line in work.splitlines())
    return subprocess.run(
        (sys.executable, "-c", _TWICE.replace("{work}", indented), *arguments),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def virtboost_as_nobody(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as ``nobody``."""
    return run_as_nobody("from virtboost.cli.main import main\nmain()", *arguments)
