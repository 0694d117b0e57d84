"""A daemon's datapaths: one of the kernel is refused, none at all is waited for."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from virtboost.errors import InputError, Unreachable
from virtboost.flow.agent.link import Link
from virtboost.flow.agent.watch import Watch
from virtboost.transport.unixctl import Unixctl


@contextmanager
def answering(path: Path, *answers: tuple[str | None, str | None]) -> Iterator[None]:
    """Answer questions on a control socket with results and errors, in turn, in pieces of 7 bytes."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def answer() -> None:
        client, _ = server.accept()
        with client:
            for result, error in answers:
                client.recv(1 << 16)
                text = json.dumps({"id": 0, "result": result, "error": error}).encode()
                for at in range(0, len(text), 7):
                    client.sendall(text[at : at + 7])

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        server.close()


@pytest.mark.parametrize(
    ("names", "error", "problem"),
    [("system@ovs-system\n", InputError, "userspace datapath"), ("", Unreachable, "no datapath")],
)
def test_datapaths(tmp_path: Path, names: str, error: type[Exception], problem: str) -> None:
    watch = Watch(lambda _: None)
    with answering(tmp_path / "ctl", (names, None)):
        with pytest.raises(error, match=problem):
            Link(tmp_path / "ctl", watch)
    watch.stop()


def test_answers_with_braces_in_pieces_and_refusals(tmp_path: Path) -> None:
    text = "a}\n{b}}" * 100
    with answering(tmp_path / "ctl", (text, None), (None, "no such command\nat all"), ("", None)):
        with Unixctl(tmp_path / "ctl") as daemon:
            assert daemon.ask("one", "argument") == text
            with pytest.raises(Unreachable, match="two: no such command$"):
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
