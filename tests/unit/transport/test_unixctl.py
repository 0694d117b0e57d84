"""The control socket of ovs-vswitchd: answers in pieces, refusals, and nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.unixctl import answering
from virtboost.errors import Unreachable
from virtboost.transport.unixctl import Unixctl


def test_answers_with_braces_in_pieces_and_refusals(tmp_path: Path) -> None:
    text = "a}\n{b}}" * 100
    with answering(tmp_path / "ctl", (text, None), (None, "no such command\nat all"), ("", None)):
        with Unixctl(tmp_path / "ctl") as daemon:
            assert daemon.ask("one", "argument") == text
            with pytest.raises(Unreachable, match=r"two: no such command$"):
                daemon.ask("two")
            assert daemon.ask("three") == ""
            with pytest.raises(Unreachable, match="the connection broke"):
                daemon.ask("four")


def test_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no ovs-vswitchd"):
        Unixctl(tmp_path)
    (tmp_path / "ovs-vswitchd.pid").write_text("1\n")
    with pytest.raises(Unreachable, match=r"ovs-vswitchd\.1\.ctl"):
        Unixctl(tmp_path)
