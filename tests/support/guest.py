"""A server of the lab with Open vSwitch, and the data plane in it."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.run import Running
from support.bpf import ROOT
from virtboost.flow.encode import Encoded

SHIPPED = {
    "src": (
        *("virtboost/__init__.py", "virtboost/errors.py", "virtboost/flow/__init__.py"),
        *(f"virtboost/flow/{name}.py" for name in ("abi", "clsact", "dataplane", "needs")),
        *(f"virtboost/flow/agent/{name}.py" for name in ("__init__", "control")),
    ),
    "tests": tuple(f"support/{name}.py" for name in ("__init__", "prog_run", "in_guest")),
}
"""Files that run there, by the folder that they are in."""

THERE = "/tmp/virtboost"


class GuestError(Exception):
    """The data plane in the guest refused."""


class InGuest:
    """The data plane in a guest."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, name: str, *arguments: object) -> Any:
        """Return what a method of ``in_guest.Guest`` returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise GuestError(answer["error"])
        return answer["answer"]

    def install(self, made: Encoded) -> None:
        self.ask("install", bytes(made.key).hex(), bytes(made.entry).hex())

    def send(self, device: str, frame: bytes) -> None:
        self.ask("send", device, frame.hex())

    def carried(self, near: str, far: str, frame: bytes) -> bytes:
        return bytes.fromhex(self.ask("carried", near, far, frame.hex()))


def ship(server: Running, objects: Path) -> None:
    """Copy the product's files and the programs into the guest."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for folder, files in SHIPPED.items():
            for file in files:
                archive.add(ROOT / folder / file, file)
        for file in ("xdp.bpf.o", "tc.bpf.o"):
            archive.add(objects / file, file)
    unpack(server, THERE, content)


def unpack(server: Running, folder: str, content: io.BytesIO) -> None:
    """Unpack a tar in a folder of the guest."""
    script = f"mkdir -p {folder} && tar -x -C {folder}"
    subprocess.run(_ssh(server, script), input=content.getvalue(), check=True, timeout=60)


@contextmanager
def in_guest(server: Running) -> Iterator[InGuest]:
    """Start Python there; it ends with the connection."""
    script = f"cd {THERE} && exec python3.11 -m support.in_guest {THERE}"
    process = subprocess.Popen(
        _ssh(server, script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield InGuest(process)
    finally:
        process.kill()
        process.communicate()


def _ssh(server: Running, script: str) -> tuple[str, ...]:
    return ("ssh", "-F", str(server.config), server.machine.name, script)
