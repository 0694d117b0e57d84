"""``virtboost flow run`` in a guest: the product as it is here, and the libraries that it takes."""

from __future__ import annotations

import importlib.metadata
import io
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rich

from lab.packages import cache
from lab.run import Running
from support.bpf import ROOT
from support.guest import InGuest, unpack
from support.kernel_switch import RUN

FOLDER = "/tmp/agent"

COMPILED = ("msgspec", "lxml")
"""Libraries that are another machine's; they are fetched for it."""

PURE = ("typer", "rich", "annotated_doc", "shellingham", "typing_extensions.py")

ENVIRONMENT = (
    f"export PATH=/usr/bin:/bin:/usr/sbin:/sbin PYTHONPATH={FOLDER} XDG_STATE_HOME={FOLDER}/state"
)
"""busybox has a ``setpriv`` in ``/bin``, and an ``ip`` in ``/sbin``."""

SOCKET = f"{FOLDER}/flow.sock"

PATIENCE_S = 60


def ship_product(server: Running, objects: Path) -> None:
    """Copy the product with its libraries into the guest."""
    content = io.BytesIO()
    libraries = Path(rich.__file__).parents[1]
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(ROOT / "src/virtboost", "virtboost", filter=_source)
        for name in PURE:
            archive.add(libraries / name, name, filter=_source)
        for file in ("xdp.bpf.o", "tc.bpf.o"):
            archive.add(objects / file, f"virtboost/flow/bpf/{file}")
        for wheel in _wheels():
            _add_wheel(archive, wheel)
    unpack(server, FOLDER, content)


def _source(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.name.endswith(("__pycache__", ".o")) else member


def _wheels() -> list[Path]:
    """Return the wheels of aarch64, of the versions that are here; fetched once."""
    folder = cache() / "wheels"
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in COMPILED]
    platforms = [f"--platform=manylinux{each}_aarch64" for each in ("2014", "_2_26", "_2_28")]
    done = subprocess.run(
        (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
         "--python-version=3.11", f"--find-links={folder}", f"--dest={folder}", *platforms, *wanted),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no wheels of aarch64: {done.stderr.strip().splitlines()[-1]}")
    return [next(folder.glob(f"{each.replace('==', '-')}-*aarch64.whl")) for each in wanted]


def _add_wheel(archive: tarfile.TarFile, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        for name in content.namelist():
            if name.endswith((".py", ".so")):
                data = content.read(name)
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


class GuestAgent:
    """One process."""

    def __init__(self, server: Running, guest: InGuest) -> None:
        self._server, self._guest = server, guest

    @property
    def log(self) -> str:
        return self._server.ask(f"cat {FOLDER}/log")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._guest.ask("status", SOCKET)
        return found

    def until(self, wanted: Callable[[dict[str, Any]], bool], do: Callable[[], object]) -> Any:
        """Do something again and again until it says what is wanted."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            do()
            found = self.status()
            if wanted(found):
                return found
            time.sleep(0.1)
        raise AssertionError(f"{self.status()}\n{self.log}")

    def kill(self, signal: str) -> None:
        """Have it end, and wait until it has."""
        self._server.ask(
            f"pid=$(cat {FOLDER}/pid); kill -{signal} $pid; while [ -d /proc/$pid ]; do sleep 0.1; done"
        )


@contextmanager
def guest_agent(server: Running, guest: InGuest, *options: str) -> Iterator[GuestAgent]:
    """Run one in front of ``v1`` and ``up0``; it is killed at the end if it still runs."""
    words = " ".join(("--ovs", RUN, "--ports", "v1,up0", "--socket", SOCKET, *options))
    run = f"echo $$ >{FOLDER}/pid; exec python3.11 -m virtboost flow run {words}"
    server.ask(
        f"{ENVIRONMENT}; rm -f {SOCKET}; sh -c '{run}' </dev/null >{FOLDER}/log 2>&1 & "
        f"for n in $(seq 600); do grep -q 'attached to up0' {FOLDER}/log && exit; sleep 0.1; done; "
        f"cat {FOLDER}/log >&2; exit 1"
    )
    running = GuestAgent(server, guest)
    try:
        yield running
    finally:
        server.ask(f"kill -9 $(cat {FOLDER}/pid) || true")
